"""The values that pass between the stages: each is frozen, and made in exactly one room."""

from orch.types.diagnostics import Diagnostic, Place, Severity
from orch.types.ledger import Consequence, Fidelity, Ledger, LedgerEntry
from orch.types.manifest import Condition, Dependency, Manifest, Resource
from orch.types.observed import Change, Crowded, Instance, Observed, Op, Snapshot
from orch.types.outcome import Event, EventKind, Outcome, Verdict
from orch.types.paths import FieldPath, Key, parse_path, render_path
from orch.types.plan import Action, Drift, Operation, Plan
from orch.types.release import InventoryItem, Release
from orch.types.status import LogLine, Replica, ServiceStatus, Status

__all__ = [
    "Action",
    "Change",
    "Condition",
    "Consequence",
    "Crowded",
    "Dependency",
    "Diagnostic",
    "Drift",
    "Event",
    "EventKind",
    "Fidelity",
    "FieldPath",
    "Instance",
    "InventoryItem",
    "Key",
    "Ledger",
    "LedgerEntry",
    "LogLine",
    "Manifest",
    "Observed",
    "Op",
    "Operation",
    "Outcome",
    "Place",
    "Plan",
    "Release",
    "Replica",
    "Resource",
    "ServiceStatus",
    "Severity",
    "Snapshot",
    "Status",
    "Verdict",
    "parse_path",
    "render_path",
]
