"""An application in a platform's own words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.types.ledger import Ledger


class Condition(StrEnum):
    """What is awaited of a resource before one that depends on it is touched."""

    CREATED = "created"
    STARTED = "started"
    HEALTHY = "healthy"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Dependency:
    """An edge to another resource of the same manifest."""

    id: str
    condition: Condition = Condition.CREATED
    required: bool = True


@dataclass(frozen=True, slots=True)
class Resource:
    """One object of the platform.

    `id` is stable over revisions (`service/web`), `name` is what the platform calls it. `body`
    is JSON-shaped and holds only fields that we own; secrets appear as tokens, see
    `orch.compile.tokens`, and `secrets` names those that occur. `sends` names those whose value
    goes out with the object; when empty, an object that is no rollout sends all its `secrets`.
    `rollout` says that its health must be watched after a change; `stateful` that deleting it
    destroys data. A rollout's id ends in the true name of its service or job. `formerly` is the id
    that it had before a rename; core fills it in.
    """

    id: str
    kind: str
    name: str
    body: Mapping[str, Any]
    depends_on: tuple[Dependency, ...] = ()
    rollout: bool = False
    stateful: bool = False
    secrets: tuple[str, ...] = ()
    sends: tuple[str, ...] = ()
    formerly: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """An application in a platform's own words, and the account of what became of each field."""

    app: str
    backend: str
    resources: tuple[Resource, ...]
    ledger: Ledger
    notes: tuple[str, ...] = ()
