"""The values of the stages in the shapes of machine output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from orch.types import Op, render_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orch.cli.render import shapes
    from orch.types import (
        Action,
        Change,
        Dependency,
        Diagnostic,
        Event,
        LedgerEntry,
        LogLine,
        Manifest,
        Outcome,
        Plan,
        Release,
        Replica,
        Resource,
        ServiceStatus,
        Status,
    )


def diagnostic(row: Diagnostic) -> shapes.DiagnosticShape:
    """A diagnostic."""
    return {
        "severity": row.severity.value,
        "file": row.place.file,
        "line": row.place.line,
        "column": row.place.column,
        "path": render_path(row.path),
        "fault": row.fault,
        "mend": row.mend,
    }


def ledger_row(entry: LedgerEntry) -> shapes.LedgerRow:
    """A row of the ledger."""
    return {
        "path": render_path(entry.path),
        "source": str(entry.place),
        "outcome": entry.outcome.value,
        "class": entry.consequence.value,
        "outputs": list(entry.outputs),
        "reason": entry.reason,
        "mend": entry.mend,
    }


def dependency(edge: Dependency) -> shapes.DependencyShape:
    """An edge."""
    return {"id": edge.id, "condition": edge.condition.value, "required": edge.required}


def resource(made: Resource) -> shapes.ResourceShape:
    """One object of a manifest."""
    return {
        "id": made.id,
        "kind": made.kind,
        "name": made.name,
        "body": dict(made.body),
        "depends_on": [dependency(edge) for edge in made.depends_on],
    }


def manifest(made: Manifest, ledger: Iterable[LedgerEntry]) -> shapes.CompileShape:
    """A manifest with the given rows of its ledger."""
    return {
        "version": 1,
        "backend": made.backend,
        "app": made.app,
        "resources": [resource(row) for row in made.resources],
        "ledger": [ledger_row(entry) for entry in ledger],
        "notes": list(made.notes),
    }


def change(row: Change) -> shapes.ChangeShape:
    """A changed field."""
    shape: dict[str, Any] = {"op": row.op.value, "path": render_path(row.path)}
    if row.op is not Op.ADD:
        shape["old"] = row.old
    if row.op is not Op.REMOVE:
        shape["new"] = row.new
    return cast("shapes.ChangeShape", {**shape, "drift": row.drift})


def action(step: Action) -> shapes.ActionShape:
    """A step."""
    return {
        "operation": step.operation.value,
        "id": step.id,
        "kind": step.kind,
        "name": step.name,
        "reason": step.reason,
        "destroys_data": step.destroys_data,
        "changes": [change(row) for row in step.changes],
        "after": [dependency(edge) for edge in step.after],
    }


def plan(made: Plan, ledger: Iterable[LedgerEntry] = ()) -> shapes.PlanShape:
    """A plan with the given rows of the ledger."""
    return {
        "version": 1,
        "app": made.instance.name,
        "target": made.instance.target,
        "namespace": made.instance.namespace,
        "backend": made.backend,
        "revision": made.revision,
        "base_revision": made.base_revision,
        "pending": bool(made.pending),
        "summary": made.summary,
        "actions": [action(step) for step in made.actions],
        "ledger": [ledger_row(entry) for entry in ledger],
        "warnings": [diagnostic(row) for row in made.warnings],
        "notes": list(made.notes),
    }


def outcome(end: Outcome, app: str, target: str) -> shapes.OutcomeShape:
    """The end of a deploy."""
    return {
        "version": 1,
        "type": "outcome",
        "app": app,
        "target": target,
        "verdict": end.verdict.value,
        "revision": end.revision,
        "done": list(end.done),
        "failed": dict(end.failed),
        "not_started": list(end.not_started),
        "message": end.message,
        "exit_code": end.exit_code,
    }


def event(row: Event) -> shapes.EventShape:
    """A line of an event stream."""
    return {
        "version": 1,
        "type": "event",
        "kind": row.kind.value,
        "id": row.id,
        "message": row.message,
        "time": row.time,
        "data": dict(row.data),
    }


def status(seen: Status) -> shapes.StatusShape:
    """An application's health."""
    return {
        "version": 1,
        "app": seen.app,
        "target": seen.target,
        "revision": seen.revision,
        "healthy": seen.healthy,
        "services": [_service(service) for service in seen.services],
    }


def _service(seen: ServiceStatus) -> shapes.ServiceShape:
    return {
        "name": seen.name,
        "kind": seen.kind,
        "wanted": seen.wanted,
        "ready": seen.ready,
        "updated": seen.updated,
        "healthy": seen.healthy,
        "message": seen.message,
        "endpoints": list(seen.endpoints),
        "failed": seen.failed,
    }


def replicas(seen: Status, chosen: Iterable[Replica]) -> shapes.PsShape:
    """Replicas."""
    rows = [_replica(replica) for replica in chosen]
    return {"version": 1, "app": seen.app, "target": seen.target, "replicas": rows}


def _replica(seen: Replica) -> shapes.ReplicaShape:
    return {
        "service": seen.service,
        "index": seen.index,
        "id": seen.id,
        "state": seen.state,
        "ready": seen.ready,
        "node": seen.node,
        "revision": seen.revision,
        "restarts": seen.restarts,
        "started": seen.started,
        "address": seen.address,
        "message": seen.message,
    }


def log_line(row: LogLine) -> shapes.LogShape:
    """A printed line."""
    return {
        "version": 1,
        "type": "log",
        "service": row.service,
        "replica": row.replica,
        "stream": row.stream,
        "time": row.time,
        "text": row.text,
    }


def history(app: str, target: str, releases: Iterable[Release]) -> shapes.HistoryShape:
    """Revisions."""
    rows = [_release(release) for release in releases]
    return {"version": 1, "app": app, "target": target, "releases": rows}


def _release(kept: Release) -> shapes.ReleaseShape:
    return {
        "revision": kept.number,
        "when": kept.when,
        "who": kept.who,
        "outcome": kept.outcome,
        "summary": kept.summary,
        "message": kept.message,
        "reason": kept.reason,
    }
