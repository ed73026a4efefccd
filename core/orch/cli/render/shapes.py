"""The shapes of machine output. A change that breaks a reader raises the shape's version."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic reads these before 3.12

VERSION: Literal[1] = 1
_closed = with_config(ConfigDict(extra="forbid"))


@_closed
class DiagnosticShape(TypedDict):
    """A fault or warning; `path` is a field path, `line` and `column` count from 1, 0 unknown."""

    severity: Literal["error", "warning"]
    file: str
    line: int
    column: int
    path: str
    fault: str
    mend: str


@_closed
class ValidateShape(TypedDict):
    """Result of `validate`."""

    version: Literal[1]
    valid: bool
    app: str
    files: list[str]
    services: list[str]
    jobs: list[str]
    diagnostics: list[DiagnosticShape]


LedgerRow = TypedDict(
    "LedgerRow",
    {
        "path": str,
        "source": str,
        "outcome": Literal["native", "emulated", "degraded", "lost", "rejected"],
        "class": Literal["data", "security", "availability", "network", "cosmetic"],
        "outputs": list[str],
        "reason": str,
        "mend": str,
    },
)
LedgerRow.__doc__ = "What became of one field; `source` is file:line:column where it is known."
_closed(LedgerRow)


@_closed
class DependencyShape(TypedDict):
    """What must hold of another resource first."""

    id: str
    condition: Literal["created", "started", "healthy", "completed"]
    required: bool


@_closed
class ResourceShape(TypedDict):
    """One object in the platform's words; secrets appear as placeholders."""

    id: str
    kind: str
    name: str
    body: dict[str, Any]
    depends_on: list[DependencyShape]


@_closed
class CompileShape(TypedDict):
    """Result of `compile`."""

    version: Literal[1]
    backend: str
    app: str
    resources: list[ResourceShape]
    ledger: list[LedgerRow]
    notes: list[str]


@_closed
class LimitRow(TypedDict):
    """A part of the spec that meets a bound of the platform, and what becomes of it there."""

    path: str
    told: str


@_closed
class FieldComparison(TypedDict):
    """A field whose outcome is not the same everywhere, with that of each backend."""

    path: str
    outcomes: dict[str, str]


@_closed
class SizeShape(TypedDict):
    """Processors, and memory in bytes."""

    cpu: float
    memory: int


@_closed
class SizedRow(TypedDict):
    """What a replica of a service or job reserves, and what it gets; null when no size holds it."""

    path: str
    least_replicas: int
    most_replicas: int
    each_node: bool
    reserved: SizeShape
    gets: SizeShape | None


@_closed
class ChargeRow(TypedDict):
    """One line of an estimate, with the row of the table of prices that it rests on."""

    item: Literal["cluster", "cpu", "memory", "node", "volume", "object"]
    told: str
    amount: float
    price: float
    per: Literal["hour", "month"]
    month: float
    region: str
    seen: str
    source: str
    basis: str


@_closed
class CostShape(TypedDict):
    """What a month costs, with the fewest and with the most replicas of autoscaling.

    `missing` tells what could not be priced, `left_out` what no estimate holds.
    """

    currency: str
    month: float
    month_at_most: float
    charges: list[ChargeRow]
    missing: list[str]
    left_out: list[str]


@_closed
class AdviceShape(TypedDict):
    """The backends to take, best first and none when all refuse; `against` says why no other."""

    backends: list[str]
    reasons: list[str]
    against: dict[str, str]


@_closed
class BackendComparison(TypedDict):
    """How one backend stands to a spec.

    `held` is the share of fields that are native or emulated, 0 to 1; `classes` has the counts
    of `outcomes` by what a loss would touch; `cost` is null without prices; `faults` say why it
    does not compile at all; `resources` are there with `--manifests`.
    """

    backend: str
    accepted: bool
    held: float
    outcomes: dict[str, int]
    classes: dict[str, dict[str, int]]
    objects: dict[str, int]
    sizes: list[SizedRow]
    cost: CostShape | None
    refused: list[str]
    limits: list[LimitRow]
    notes: list[str]
    faults: list[DiagnosticShape]
    ledger: list[LedgerRow]
    resources: NotRequired[list[ResourceShape]]


@_closed
class CompareShape(TypedDict):
    """Result of `compare`; `reading` has what was changed already in reading the file."""

    version: Literal[1]
    app: str
    level: Literal["strict", "default", "loose"]
    recommendation: AdviceShape
    backends: list[BackendComparison]
    differing: list[FieldComparison]
    reading: list[LedgerRow]


@_closed
class ImportShape(TypedDict):
    """Result of `import`."""

    version: Literal[1]
    files: list[str]
    format: str
    document: dict[str, Any]
    ledger: list[LedgerRow]


@_closed
class ChangeShape(TypedDict):
    """One field that changes; `old` or `new` is missing when the field is added or removed."""

    op: Literal["add", "change", "remove"]
    path: str
    old: NotRequired[Any]
    new: NotRequired[Any]
    drift: bool


@_closed
class ActionShape(TypedDict):
    """One step of a plan."""

    operation: Literal[
        "create", "adopt", "update", "replace", "delete", "restart", "retry", "no-op"
    ]
    id: str
    kind: str
    name: str
    reason: str
    destroys_data: bool
    changes: list[ChangeShape]
    after: list[DependencyShape]


@_closed
class PlanShape(TypedDict):
    """Result of `plan` and `diff`."""

    version: Literal[1]
    app: str
    target: str
    namespace: str
    backend: str
    revision: int
    base_revision: int
    pending: bool
    summary: str
    actions: list[ActionShape]
    ledger: list[LedgerRow]
    warnings: list[DiagnosticShape]
    notes: list[str]


@_closed
class ResourceDiffShape(TypedDict):
    """One object that differs between two revisions."""

    id: str
    operation: Literal["create", "update", "delete"]
    changes: list[ChangeShape]


@_closed
class RevisionDiffShape(TypedDict):
    """Result of `diff REVISION REVISION`."""

    version: Literal[1]
    app: str
    old_revision: int
    new_revision: int
    resources: list[ResourceDiffShape]


@_closed
class OutcomeShape(TypedDict):
    """How a deploy, apply, rollback, scale, restart or down ended."""

    version: Literal[1]
    type: Literal["outcome"]
    app: str
    target: str
    verdict: Literal["done", "unchanged", "rolled-back", "failed", "timed-out", "interrupted"]
    revision: int
    done: list[str]
    failed: dict[str, str]
    not_started: list[str]
    message: str
    exit_code: int


@_closed
class EventShape(TypedDict):
    """One line of an event stream; `time` is seconds since the epoch."""

    version: Literal[1]
    type: Literal["event"]
    kind: str
    id: str
    message: str
    time: float
    data: dict[str, Any]


@_closed
class ServiceShape(TypedDict):
    """A service's size and health."""

    name: str
    kind: str
    wanted: int
    ready: int
    updated: int
    healthy: bool
    message: str
    endpoints: list[str]
    failed: bool


@_closed
class StatusShape(TypedDict):
    """Result of `status` and `wait`."""

    version: Literal[1]
    app: str
    target: str
    revision: int
    healthy: bool
    services: list[ServiceShape]


@_closed
class ReplicaShape(TypedDict):
    """One replica; `started` is seconds since the epoch, 0 when it never did."""

    service: str
    index: int
    id: str
    state: str
    ready: bool
    node: str
    revision: int
    restarts: int
    started: float
    address: str
    message: str


@_closed
class PsShape(TypedDict):
    """Result of `ps`."""

    version: Literal[1]
    app: str
    target: str
    replicas: list[ReplicaShape]


@_closed
class LogShape(TypedDict):
    """One line of `logs --json`."""

    version: Literal[1]
    type: Literal["log"]
    service: str
    replica: str
    stream: str
    time: float
    text: str


@_closed
class ReleaseShape(TypedDict):
    """One revision of the history; `when` is seconds since the epoch."""

    revision: int
    when: float
    who: str
    outcome: str
    summary: str
    message: str
    reason: str


@_closed
class HistoryShape(TypedDict):
    """Result of `history`, newest first."""

    version: Literal[1]
    app: str
    target: str
    releases: list[ReleaseShape]


@_closed
class DriftRow(TypedDict):
    """An object that is not as it was applied."""

    id: str
    kind: str
    name: str
    missing: bool
    changes: list[ChangeShape]


@_closed
class DriftShape(TypedDict):
    """Result of `drift`."""

    version: Literal[1]
    app: str
    target: str
    drifted: bool
    objects: list[DriftRow]


@_closed
class UsageRow(TypedDict):
    """What one replica uses: cpu in cores, memory in bytes."""

    service: str
    index: int
    id: str
    cpu: float
    memory: float


@_closed
class TopShape(TypedDict):
    """Result of `top`."""

    version: Literal[1]
    app: str
    target: str
    replicas: list[UsageRow]


@_closed
class BackendRow(TypedDict):
    """One backend; `missing` names the modules that are not installed."""

    name: str
    summary: str
    available: bool
    missing: list[str]
    install: str
    options: dict[str, str]


@_closed
class BrokenRow(TypedDict):
    """A plugin that could not be loaded."""

    name: str
    distribution: str
    fault: str


@_closed
class BackendsShape(TypedDict):
    """Result of `backends`."""

    version: Literal[1]
    backends: list[BackendRow]
    readers: list[str]
    secret_providers: list[str]
    broken: list[BrokenRow]


@_closed
class SupportRow(TypedDict):
    """The best that a field can get on a backend."""

    backend: str
    outcome: str
    reason: str


@_closed
class FieldShape(TypedDict):
    """One field, as told by `explain`."""

    path: str
    type: str
    default: str
    required: bool
    description: str
    fields: dict[str, str]
    support: list[SupportRow]


@_closed
class ExplainShape(TypedDict):
    """Result of `explain`."""

    version: Literal[1]
    fields: list[FieldShape]


@_closed
class LiveShape(TypedDict):
    """A running deployment; `revision` is 0 for what something else deployed."""

    backend: str
    namespace: str
    revision: int
    when: float
    who: str
    drifted: list[str]
    status: StatusShape


@_closed
class LiveCompareShape(TypedDict):
    """Result of `compare --live`; `changes` would make the left spec the right one's."""

    version: Literal[1]
    differs: bool
    left: LiveShape
    right: LiveShape
    changes: list[ChangeShape]


SHAPES: dict[str, type[Any]] = {
    "validate": ValidateShape,
    "compile": CompileShape,
    "compare": CompareShape,
    "compare-live": LiveCompareShape,
    "import": ImportShape,
    "explain": ExplainShape,
    "plan": PlanShape,
    "diff-revisions": RevisionDiffShape,
    "outcome": OutcomeShape,
    "event": EventShape,
    "status": StatusShape,
    "ps": PsShape,
    "log": LogShape,
    "history": HistoryShape,
    "drift": DriftShape,
    "top": TopShape,
    "backends": BackendsShape,
}
"""Every documented shape by the name that `orch schema` knows."""
