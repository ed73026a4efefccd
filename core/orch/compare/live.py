"""Two running deployments of one application: how each stands, and in which fields they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY
from orch.plan.diff import diff_bodies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.types import Change, Drift, Instance, Release, ServiceStatus, Status

_UNITS = ("services", "jobs")
_OWN = ("apiVersion", "name")
"""What tells nothing of how an application runs."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment as it is now. `document` is the spec that it was made from, or read back from.

    `release` is the newest that went well, None for what something else deployed.
    """

    instance: Instance
    backend: str
    status: Status
    document: Mapping[str, Any]
    release: Release | None = None
    drifted: tuple[Drift, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Its services and jobs: those that are seen, or that were read back."""
        seen = tuple(row.name for row in self.status.services)
        return seen or tuple(n for noun in _UNITS for n in self.document.get(noun, EMPTY))

    def service(self, name: str) -> ServiceStatus | None:
        """How a service or job stands, None where it is not there."""
        return next((row for row in self.status.services if row.name == name), None)

    def unit(self, name: str) -> Mapping[str, Any]:
        """What the spec says of a service or job; empty where it says nothing."""
        for noun in _UNITS:
            if found := self.document.get(noun, EMPTY).get(name):
                return dict(found)
        return EMPTY


@dataclass(frozen=True, slots=True)
class LiveComparison:
    """Two deployments and the changes that would make the left one's spec the right one's."""

    left: Deployed
    right: Deployed
    changes: tuple[Change, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every service and job that is on either side."""
        return tuple(dict.fromkeys((*self.left.names, *self.right.names)))

    @property
    def differs(self) -> bool:
        """Whether a field differs, or something runs on one side alone."""
        return bool(self.changes) or set(self.left.names) != set(self.right.names)


def compare_deployed(left: Deployed, right: Deployed) -> LiveComparison:
    """Compare what was deployed on either side, field by field; nothing is asked again."""
    return LiveComparison(left, right, diff_bodies(_spec(left), _spec(right)))


def _spec(side: Deployed) -> dict[str, Any]:
    return {key: value for key, value in side.document.items() if key not in _OWN}
