"""What is on the platform, whose it is, and what differs from what was wanted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.types.diagnostics import Diagnostic
    from orch.types.paths import FieldPath


@dataclass(frozen=True, slots=True)
class Instance:
    """One deployment of an application: which target, which namespace there, which name."""

    target: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.target}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Observed:
    """One object as it is on the platform, normalised.

    `applied` is the body that we last applied, None when unknown or never ours. `owner` is the
    instance its marker names, None for an object made by hand. `uid` and `version` are the
    platform's own, for preconditions. `failed` says why an object that is as we left it does not
    run as it should, when it would not get there by itself: its last rollout or run failed, or
    its replicas can't be kept running. It quotes nothing that a workload printed.
    """

    id: str
    kind: str
    name: str
    body: Mapping[str, Any]
    applied: Mapping[str, Any] | None = None
    owner: Instance | None = None
    revision: int = 0
    uid: str = ""
    version: str = ""
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Crowded:
    """A wanted resource that has room only once these others have gone; else the problem stands."""

    id: str
    freed_by: tuple[str, ...]
    problem: Diagnostic


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is there: objects by resource id, and what the target can't do for this manifest.

    `problems` stand against it as it is. `crowded` names what has room only after others went.
    """

    instance: Instance
    objects: Mapping[str, Observed] = EMPTY
    problems: tuple[Diagnostic, ...] = ()
    facts: Mapping[str, Any] = EMPTY
    crowded: tuple[Crowded, ...] = ()


class Op(StrEnum):
    """What happened to a field."""

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs. `drift` says that somebody else moved it since we applied."""

    op: Op
    path: FieldPath
    old: Any = None
    new: Any = None
    drift: bool = False
