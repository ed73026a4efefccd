"""One service of the model while it is written to the document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.load.account import Writer
    from orch.load.item import Item
    from orch.types import FieldPath

JOB_MODES = frozenset(("replicated-job", "global-job"))
COMPLETED = "service_completed_successfully"


@dataclass(frozen=True)
class Surroundings:
    """What a service needs to know of the whole file."""

    model: Item
    base: str
    jobs: frozenset[str]
    dropped: frozenset[str]
    chosen_profiles: frozenset[str]
    names_default_network: bool
    volume_names: dict[str, str] = field(default_factory=dict)

    def service(self, name: str) -> Item | None:
        """A service of the file, None when there is none."""
        return self.model.at("services", name)

    def section(self, name: str) -> str:
        """Where a service of the file goes: `services` or `jobs`."""
        return "jobs" if name in self.jobs else "services"


@dataclass(frozen=True)
class Part:
    """A service, where it goes, and what is around it."""

    name: str
    item: Item
    writer: Writer
    around: Surroundings

    @property
    def is_job(self) -> bool:
        """Whether it ends, and is a job of the spec."""
        return self.name in self.around.jobs

    @property
    def path(self) -> FieldPath:
        """Where it stands in the document."""
        return (self.around.section(self.name), self.name)

    def at(self, *keys: str | int) -> FieldPath:
        """A path below it."""
        return (*self.path, *keys)

    def get(self, key: str) -> Item | None:
        """A key of the service."""
        return self.item.get(key)


def jobs_of(model: Item) -> frozenset[str]:
    """Services that end: by their mode, or because another one awaits their completion."""
    found = set()
    services = model.get("services")
    for name, service in services.items() if services is not None else ():
        mode = service.at("deploy", "mode")
        if mode is not None and mode.value in JOB_MODES:
            found.add(name)
        found |= set(_awaited(service))
    return frozenset(found & set(_services(model)))


def _awaited(service: Item) -> list[str]:
    links = service.get("depends_on")
    return [
        name
        for name, link in (links.items() if links is not None else ())
        if (condition := link.get("condition")) is not None and condition.value == COMPLETED
    ]


def _services(model: Item) -> Mapping[str, Item]:
    services = model.get("services")
    return services.value if services is not None else {}


def dropped_of(model: Item) -> frozenset[str]:
    """Services that something outside the application provides."""
    return frozenset(
        name
        for name, service in _services(model).items()
        if not name.startswith("x-") and service.get("provider") is not None
    )
