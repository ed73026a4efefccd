"""What each part of an application asks for, and what a platform makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orch.backend.sizes import Size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.backend.sizes import SizeRule
    from orch.spec.application import Application, Job, Service
    from orch.spec.container import Resources


@dataclass(frozen=True, slots=True)
class Sized:
    """A service or job: what one replica reserves, and what it gets, None when no size holds it.

    `least` and `most` are the numbers of replicas between which it is scaled, the same where it
    is not. A `per_node` one has a replica on every node, and a job's runs end.
    """

    kind: str
    name: str
    asked: Size
    gets: Size | None
    least: int = 1
    most: int = 1
    per_node: bool = False

    @property
    def is_service(self) -> bool:
        """Whether it runs for as long as the application does."""
        return self.kind == "services"


def sizes_of(app: Application, rule: SizeRule) -> tuple[Sized, ...]:
    """Every service and job of the application, as this rule rounds it."""
    return tuple(_sized(app, rule))


def _sized(app: Application, rule: SizeRule) -> Iterator[Sized]:
    for name, service in app.services.items():
        asked, gets = _replica(service, service.deploy.resources, rule)
        scale, replicas = service.autoscale, service.deploy.replicas
        least, most = (scale.min, scale.max) if scale else (replicas, replicas)
        per_node = service.deploy.mode == "global"
        yield Sized("services", name, asked, gets, least, most, per_node)
    for name, job in app.jobs.items():
        asked, gets = _replica(job, job.resources, rule)
        yield Sized("jobs", name, asked, gets, job.parallelism, job.parallelism)


def _replica(
    unit: Service | Job, main: Resources | None, rule: SizeRule
) -> tuple[Size, Size | None]:
    """What its containers ask for together: the largest of those that run first, or all others."""
    staying = [main, *(sidecar.resources for sidecar in unit.sidecars.values())]
    first = [before.resources for before in unit.pre_start]
    asked = _together([_reserved(r) for r in staying], [_reserved(r) for r in first])
    rounded = _together(
        [_container(r, rule) for r in staying], [_container(r, rule) for r in first]
    )
    return asked, rule.replica(rounded)


def _together(staying: list[Size], first: list[Size]) -> Size:
    total = Size()
    for size in staying:
        total += size
    for size in first:
        total = total.at_least(size)
    return total


def _container(resources: Resources | None, rule: SizeRule) -> Size:
    return rule.container(_reserved(resources), _limited(resources))


def _reserved(resources: Resources | None) -> Size:
    bound = resources.reservations if resources else None
    return Size(bound.cpus or 0, bound.memory or 0) if bound else Size()


def _limited(resources: Resources | None) -> Size:
    bound = resources.limits if resources else None
    return Size(bound.cpus or 0, bound.memory or 0) if bound else Size()
