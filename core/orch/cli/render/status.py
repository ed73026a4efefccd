"""Services, replicas, releases and drift as tables."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orch.cli.render.plan import object_lines
from orch.cli.render.report import Report, Span, printable
from orch.cli.render.values import clock, since, size
from orch.types import Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orch.apply.session import Drift
    from orch.types import Instance, Release, Replica, ServiceStatus, Status


def status_report(status: Status, instance: Instance) -> Report:
    """One row a service."""
    report = Report(f"Status of {instance}")
    if not status.services:
        report.line(f"{instance.name} is not deployed on {instance.target}/{instance.namespace}.")
        return report
    verdict = Span("healthy", "good") if status.healthy else Span("not healthy", "bad")
    revision = f", revision {status.revision}" if status.revision else ""
    place = f" on {instance.target}/{instance.namespace}{revision}: "
    report.line(Span(status.app, "strong"), place, verdict)
    columns = ("service", "kind", "ready", "updated", "health", "address", "message")
    report.table(columns, [_service(service) for service in status.services])
    return report


def _service(service: ServiceStatus) -> tuple[Span | str, ...]:
    health = Span("healthy", "good") if service.healthy else Span("unhealthy", "bad")
    return (
        Span(service.name, "name"),
        service.kind,
        f"{service.ready}/{service.wanted}",
        str(service.updated),
        health,
        " ".join(service.endpoints),
        printable(service.message),
    )


def replicas_report(status: Status, chosen: Sequence[Replica]) -> Report:
    """One row a replica."""
    report = Report(f"Replicas of {status.app}")
    if not chosen:
        report.line(f"{status.app} has no replicas.")
    columns = (
        "replica",
        "state",
        "ready",
        "restarts",
        "rev",
        "up",
        "node",
        "address",
        "id",
        "message",
    )
    report.table(columns, [_replica(replica) for replica in chosen])
    return report


def _replica(replica: Replica) -> tuple[Span | str, ...]:
    ready = Span("yes", "good") if replica.ready else Span("no", "warn")
    return (
        Span(f"{replica.service}[{replica.index}]", "name"),
        replica.state,
        ready,
        str(replica.restarts),
        str(replica.revision or ""),
        since(time.time() - replica.started) if replica.started else "",
        replica.node,
        replica.address,
        replica.id,
        printable(replica.message),
    )


def history_report(instance: Instance, releases: Iterable[Release]) -> Report:
    """One row a revision, newest first."""
    report = Report(f"History of {instance}")
    rows = [_release(release) for release in releases]
    if not rows:
        report.line(f"{instance.name} is not deployed on {instance.target}/{instance.namespace}.")
    report.table(("revision", "when", "who", "outcome", "what"), rows)
    return report


def _release(release: Release) -> tuple[Span | str, ...]:
    good = release.outcome in ("done", "unchanged")
    outcome = Span(release.outcome or "cut off", "good" if good else "warn")
    parts = (release.reason, release.summary, "" if good else release.message)
    what = "; ".join(part for part in parts if part)
    return (str(release.number), clock(release.when), release.who, outcome, printable(what))


def drift_report(instance: Instance, drifted: Sequence[Drift]) -> Report:
    """Every object that is not as it was applied."""
    report = Report(f"Drift of {instance}")
    for row in drifted:
        operation = Operation.DELETE if row.missing else Operation.UPDATE
        reason = "it is gone" if row.missing else "changed there since the last deploy"
        report.lines(object_lines(operation, row.id, reason, row.changes), code=True)
    if drifted:
        many = f"{len(drifted)} object{'s' if len(drifted) > 1 else ''}"
        report.line(Span("Drift: ", "warn"), f"{many}; `orch deploy` takes it back.")
    else:
        report.line(Span("No drift: ", "good"), f"{instance.name} is as it was deployed.")
    return report


def usage_report(status: Status, usage: Mapping[str, Mapping[str, float]]) -> Report:
    """What each replica uses."""
    report = Report(f"Use of {status.app}")
    rows: list[tuple[Span | str, ...]] = []
    for service in status.services:
        for replica in service.replicas:
            used = usage.get(replica.id)
            if used is not None:
                name = Span(f"{replica.service}[{replica.index}]", "name")
                rows.append(
                    (
                        name,
                        f"{used.get('cpu', 0):.2f}",
                        size(used.get("memory", 0)),
                        replica.node,
                        replica.id,
                    )
                )
    if not rows:
        report.line(f"{status.app} has no running replicas.")
    report.table(("replica", "cpu", "memory", "node", "id"), rows)
    return report
