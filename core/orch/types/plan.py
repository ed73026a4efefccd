"""What a deploy will do, in an order that honours every dependency."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.types.diagnostics import Diagnostic
    from orch.types.manifest import Dependency
    from orch.types.observed import Change, Instance, Observed


class Operation(StrEnum):
    """What is done to an object.

    A retry is a fresh attempt at what failed, by an object that changes in nothing: what serves
    stays, whatever does not is started anew, and its rollout is watched as after a change.
    """

    CREATE = "create"
    ADOPT = "adopt"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    RESTART = "restart"
    RETRY = "retry"
    NOOP = "no-op"


@dataclass(frozen=True, slots=True)
class Action:
    """One step of a plan. `after` lists what must hold first; its ids are resource ids.

    An update whose `before` has another id renames that object to this one, and changes it.

    `fingerprint` covers the owned fields that the step rests on, so that an object that moved
    is noticed. `sends` names the secrets whose values the step sends; `secrets` holds those
    values, is filled just before the step and is in no repr, plan file or log.
    """

    operation: Operation
    id: str
    kind: str
    name: str
    reason: str
    body: Mapping[str, Any] | None = None
    before: Observed | None = None
    changes: tuple[Change, ...] = ()
    after: tuple[Dependency, ...] = ()
    rollout: bool = False
    destroys_data: bool = False
    fingerprint: str = ""
    instance: Instance | None = None
    revision: int = 0
    stateful: bool = False
    sends: tuple[str, ...] = ()
    secrets: Mapping[str, bytes] = field(default=EMPTY, repr=False, compare=False)

    @property
    def formerly(self) -> str:
        """The id that the object has until this step renames it, empty when it keeps its own."""
        return self.before.id if self.before and self.before.id != self.id else ""


@dataclass(frozen=True, slots=True)
class Drift:
    """An object that is not as we left it: fields that somebody else moved, or it is missing."""

    id: str
    kind: str
    name: str
    changes: tuple[Change, ...] = ()
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a deploy will do, in an order that honours every dependency.

    `document` is the resolved spec in its canonical form (no secret values) and `versions` maps
    each secret to its provider's version or keyed hash; both go into the release. `reason` says
    what asked for it, verb first: `deploy`, `scale web=3`, `restart web`, `rollback to 4`, `down`.
    `base_revision` is the newest release when the plan was made, 0 when there was none. `folder`
    is where relative paths of secrets start, for one who applies the plan elsewhere.
    """

    instance: Instance
    backend: str
    actions: tuple[Action, ...]
    document: Mapping[str, Any]
    revision: int
    fingerprint: str
    versions: Mapping[str, str] = EMPTY
    warnings: tuple[Diagnostic, ...] = ()
    notes: tuple[str, ...] = ()
    base_revision: int = 0
    summary: str = ""
    reason: str = "deploy"
    folder: str = ""

    @property
    def pending(self) -> tuple[Action, ...]:
        """The steps that change something."""
        return tuple(a for a in self.actions if a.operation is not Operation.NOOP)
