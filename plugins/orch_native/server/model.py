"""What the control plane knows, as frozen rows; the store has a table for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from orch.frozen import EMPTY
from orch_native.api import RolloutPhase
from orch_native.messages import Desired, State

if TYPE_CHECKING:
    from collections.abc import Mapping

FINAL = frozenset({State.COMPLETED, State.FAILED, State.STOPPED})


class App(NamedTuple):
    """One instance, as this server names it."""

    namespace: str
    name: str


class Key(NamedTuple):
    """A resource's place: its instance, kind and name."""

    app: App
    kind: str
    name: str

    @property
    def id(self) -> str:
        """The id that a manifest knows it by."""
        return f"{self.kind}/{self.name}"

    def __str__(self) -> str:
        return f"{self.app.namespace}/{self.app.name}/{self.name}"


@dataclass(frozen=True, slots=True)
class Proven:
    """The last state of a resource that was seen healthy, to which a failed update returns."""

    template: int
    body: Mapping[str, Any]
    revision: int


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """A resource as it is wanted. `template` is the version of what its replicas are made from."""

    uid: str
    key: Key
    body: Mapping[str, Any]
    applied: Mapping[str, Any] | None
    revision: int = 0
    version: int = 1
    template: int = 0
    proven: Proven | None = None
    deleting: bool = False
    created: float = 0.0


@dataclass(frozen=True, slots=True)
class Template:
    """What replicas are made from: a body, and the exact configs and secrets it goes with.

    `pins` maps `configs/NAME` to the digest of the content and `secrets/NAME` to a version, `unit`
    to the name that its replicas know themselves by and `volumes` to that which is in the names of
    their own volumes: both outlive a rename.
    """

    uid: str
    number: int
    body: Mapping[str, Any]
    revision: int
    fingerprint: str
    pins: Mapping[str, str] = EMPTY


@dataclass(frozen=True, slots=True)
class Alloc:
    """One replica or run attempt: above `state` is what the server wants, below what was seen.

    `leaving` is when it was decided that it goes: it gets no new traffic from then on, and is
    told to stop after the drain. An alloc without a node waits to be placed; `reason` says why.
    """

    id: str
    uid: str
    index: int
    template: int
    node: str = ""
    desired: Desired = Desired.RUN
    run: int = 0
    created: float = 0.0
    leaving: float | None = None
    reason: str = ""
    state: State = State.PENDING
    ready: bool = False
    started: bool = False
    restarts: int = 0
    exit_code: int | None = None
    message: str = ""
    since: float = 0.0
    ready_since: float | None = None
    address: str = ""
    ports: Mapping[str, int] = EMPTY
    driver: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs, or will without a new order."""
        return self.state in FINAL or (not self.node and self.leaving is not None)

    @property
    def gone(self) -> bool:
        """Whether it was told to go and has gone."""
        return self.leaving is not None and self.ended

    @property
    def holds(self) -> bool:
        """Whether it holds its slot: it is there and not on its way out."""
        return self.leaving is None and self.state is not State.STOPPED

    @property
    def serving(self) -> bool:
        """Whether it may be sent new traffic."""
        return self.ready and self.leaving is None and self.state is State.RUNNING


@dataclass(frozen=True, slots=True)
class Deployment:
    """A change of a service on its way.

    `template` is what it works towards, `base` what it returns to. `batch_done` is when the last
    batch was found healthy. `cause` is what began it: create, update, scale, restart.
    """

    uid: str
    number: int
    template: int
    base: int | None
    phase: RolloutPhase = RolloutPhase.PROGRESSING
    started: float = 0.0
    batch_done: float | None = None
    promoted: bool = False
    cause: str = "update"
    message: str = ""
    reason: str = ""
    failed: tuple[str, ...] = ()
    ended: float | None = None

    @property
    def moving(self) -> bool:
        """Whether it still changes something by itself."""
        return self.phase in (RolloutPhase.PROGRESSING, RolloutPhase.ROLLING_BACK)


class RunPhase(StrEnum):
    """Where a job's run stands; the last three are final."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job. `scheduled` is the moment that a schedule named, else its start."""

    uid: str
    number: int
    template: int
    cause: str
    scheduled: float
    started: float
    phase: RunPhase = RunPhase.RUNNING
    ended: float | None = None
    message: str = ""


# -- what the pure parts decide --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Make an allocation; without a node the scheduler chooses one."""

    index: int
    template: int
    node: str = ""
    run: int = 0


@dataclass(frozen=True, slots=True)
class Leave:
    """Take it out of the traffic, and stop it after the drain."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell its agent to stop it."""

    id: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget it; what is left of it on the node is removed."""

    id: str


@dataclass(frozen=True, slots=True)
class SetDeployment:
    """Note how the deployment stands."""

    deployment: Deployment


@dataclass(frozen=True, slots=True)
class Revert:
    """Make the proven state the wanted one again."""


@dataclass(frozen=True, slots=True)
class Prove:
    """Note that the wanted state was seen healthy."""


@dataclass(frozen=True, slots=True)
class SetRun:
    """Note how a run stands."""

    run: Run


@dataclass(frozen=True, slots=True)
class DropRun:
    """Forget a finished run and its allocations."""

    number: int


@dataclass(frozen=True, slots=True)
class Fire:
    """Begin a run for this moment of the schedule; `cause` says what began it."""

    scheduled: float
    cause: str = "schedule"


@dataclass(frozen=True, slots=True)
class Passed:
    """Note up to which moment the schedule has been dealt with."""

    moment: float


@dataclass(frozen=True, slots=True)
class Tell:
    """Write to the event log."""

    kind: str
    message: str


Change = (
    Start
    | Leave
    | Stop
    | Drop
    | SetDeployment
    | Revert
    | Prove
    | SetRun
    | DropRun
    | Fire
    | Passed
    | Tell
)


@dataclass(slots=True)
class Step:
    """What shall happen now, and when to look again even if nothing is heard."""

    changes: list[Change] = field(default_factory=list)
    wake: float | None = None

    def at(self, moment: float) -> None:
        """Look again at this moment at the latest."""
        self.wake = moment if self.wake is None else min(self.wake, moment)

    def add(self, *changes: Change) -> None:
        """Let these happen."""
        self.changes.extend(changes)
