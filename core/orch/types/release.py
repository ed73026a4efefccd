"""The record of one deploy: enough to come back to it, and to delete it and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.types.manifest import Dependency
    from orch.types.observed import Instance


@dataclass(frozen=True, slots=True)
class InventoryItem:
    """One object of a release: enough to restore it, and to delete it and nothing else."""

    id: str
    kind: str
    name: str
    uid: str
    body: Mapping[str, Any]
    depends_on: tuple[Dependency, ...] = ()
    rollout: bool = False
    stateful: bool = False
    sends: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Release:
    """The record of one deploy. `outcome` is empty while it runs or when it was cut off.

    `outcome` is otherwise a Verdict's value, `plan` the fingerprint of the plan that made it.
    """

    instance: Instance
    number: int
    document: Mapping[str, Any]
    inventory: tuple[InventoryItem, ...]
    who: str
    when: float
    summary: str
    reason: str = ""
    outcome: str = ""
    message: str = ""
    versions: Mapping[str, str] = EMPTY
    orch_version: str = ""
    plan: str = ""
