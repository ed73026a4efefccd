"""The values that pass between the stages: each is frozen, and made in exactly one room."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Key = str | int
FieldPath = tuple[Key, ...]


_NEEDS_QUOTES = re.compile(r'[.\[\]" ]')


def render_path(path: FieldPath) -> str:
    """Write a path as a person does: `services.web.ports[0].target`, `configs["web.toml"]`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif key and not _NEEDS_QUOTES.search(key):
            text += f".{key}" if text else key
        else:
            text += f'["{key}"]'
    return text


_PART = re.compile(r'\["([^"]*)"\]|\[(\d+)\]|\.?([^.\["\]]+)')


def parse_path(text: str) -> FieldPath:
    """Read back what `render_path` wrote: `a.b[0]["c.d"]` as its keys."""
    return tuple(
        int(index) if index else (quoted or name) for quoted, index, name in _PART.findall(text)
    )


# -- diagnostics ---------------------------------------------------------------------------


class Severity(StrEnum):
    """Whether a diagnostic stops the work."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A point in a file; `line` and `column` count from 1, and 0 means unknown."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fault of the input: where it is, what is wrong and how to mend it.

    `unreachable` says that nothing is wrong with the input: what should run it does not answer.
    """

    fault: str
    path: FieldPath = ()
    place: Place = Place()
    mend: str = ""
    severity: Severity = Severity.ERROR
    unreachable: bool = False

    def __str__(self) -> str:
        path, place = render_path(self.path), str(self.place)
        where = f"{path} ({place})" if path and place else path or place
        text = f"{where}: {self.fault}" if where else self.fault
        return f"{text}; {self.mend}" if self.mend else text


# -- identity ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Instance:
    """One deployment of an application: which target, which namespace there, which name."""

    target: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.target}/{self.namespace}/{self.name}"


# -- compile: manifest and ledger ----------------------------------------------------------


class Fidelity(StrEnum):
    """What became of a field on a backend, best first."""

    NATIVE = "native"
    EMULATED = "emulated"
    DEGRADED = "degraded"
    LOST = "lost"
    REJECTED = "rejected"

    @property
    def rank(self) -> int:
        """0 is the best."""
        return _RANKS[self]


_RANKS = {outcome: rank for rank, outcome in enumerate(Fidelity)}


class Consequence(StrEnum):
    """What a loss touches, gravest first."""

    DATA = "data"
    SECURITY = "security"
    AVAILABILITY = "availability"
    NETWORK = "network"
    COSMETIC = "cosmetic"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What became of one field that the author set.

    `outputs` are paths such as `service/web:env.LOG_LEVEL`: resource id, colon, path in its body.
    `default` marks the one row an application gets for a default that the platform can't hold.
    """

    path: FieldPath
    outcome: Fidelity
    consequence: Consequence
    outputs: tuple[str, ...] = ()
    reason: str = ""
    mend: str = ""
    place: Place = Place()
    default: bool = False


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


class Ledger:
    """The account of every field that the author set. Native rows are made only when asked for."""

    def __init__(self, notable: tuple[LedgerEntry, ...], native: NativeRows | None = None) -> None:
        self.notable = notable
        self._native = native

    def __iter__(self) -> Iterator[LedgerEntry]:
        """Every row: native ones in the order of the file, then what deserves attention."""
        if self._native is not None:
            yield from self._native()
        yield from self.notable

    def worst(self) -> Fidelity:
        """The gravest outcome, `native` when nothing is notable."""
        return max((e.outcome for e in self.notable), key=lambda f: f.rank, default=Fidelity.NATIVE)


if TYPE_CHECKING:
    from collections.abc import Callable

    NativeRows = Callable[[], Iterator[LedgerEntry]]


# -- observe and diff ----------------------------------------------------------------------


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


# -- plan ----------------------------------------------------------------------------------


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
    secrets: Mapping[str, str] = field(default=EMPTY, repr=False, compare=False)

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


# -- apply ---------------------------------------------------------------------------------


class EventKind(StrEnum):
    """What an event tells; the last four end an action."""

    STARTED = "started"
    PROGRESS = "progress"
    WARNING = "warning"
    APPLIED = "applied"
    HEALTHY = "healthy"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a resource; `time` is seconds since the epoch, 0 when unset.

    For a rollout `data` holds `wanted`, `ready`, `updated` and may hold `reason`.
    """

    kind: EventKind
    id: str
    message: str = ""
    time: float = 0.0
    data: Mapping[str, Any] = EMPTY


class Verdict(StrEnum):
    """How a deploy ended."""

    DONE = "done"
    UNCHANGED = "unchanged"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a deploy: what was done, what was not, and why.

    `unreachable` tells that all that failed is the connection to the target.
    """

    verdict: Verdict
    revision: int
    done: tuple[str, ...] = ()
    failed: Mapping[str, str] = EMPTY
    not_started: tuple[str, ...] = ()
    message: str = ""
    unreachable: bool = False

    @property
    def exit_code(self) -> int:
        """0 done, 5 rolled back, 6 failed, 7 timed out, 9 cut off, 130 interrupted."""
        codes = {
            Verdict.ROLLED_BACK: 5,
            Verdict.FAILED: 9 if self.unreachable else 6,
            Verdict.TIMED_OUT: 7,
            Verdict.INTERRUPTED: 130,
        }
        return codes.get(self.verdict, 0)


# -- status and releases -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replica:
    """One running (or pending) copy of a service, or one run of a job."""

    id: str
    service: str
    state: str
    ready: bool
    node: str = ""
    index: int = 0
    revision: int = 0
    restarts: int = 0
    started: float = 0.0
    address: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service's size and health; `endpoints` are addresses that answer from outside.

    `failed` says that it was given up: only another deploy, restart or retry changes that.
    """

    name: str
    kind: str
    wanted: int
    ready: int
    updated: int
    healthy: bool
    message: str = ""
    endpoints: tuple[str, ...] = ()
    replicas: tuple[Replica, ...] = ()
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """An application as it is now."""

    app: str
    target: str
    revision: int
    healthy: bool
    services: tuple[ServiceStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a replica printed; `stream` is stdout or stderr, `time` is since the epoch."""

    service: str
    replica: str
    stream: str
    time: float
    text: str


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
