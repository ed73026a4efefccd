"""How a deploy ended, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.cli.render.report import Report, Span, printable
from orch.types import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch.types import Instance, LogLine, Outcome, Status

_HEADS = {
    Verdict.DONE: ("done", "good"),
    Verdict.UNCHANGED: ("nothing to do", "good"),
    Verdict.ROLLED_BACK: ("failed and was rolled back", "bad"),
    Verdict.FAILED: ("failed", "bad"),
    Verdict.TIMED_OUT: ("timed out", "bad"),
    Verdict.INTERRUPTED: ("interrupted", "warn"),
}
_NEXT = {
    Verdict.ROLLED_BACK: "mend the cause above and deploy again; the last good release serves",
    Verdict.FAILED: "mend the cause and deploy again, or roll back; see `orch history`",
    Verdict.TIMED_OUT: "give more time with --timeout, or look at `orch status` and `orch logs`",
}
_NEXT_OF_FIRST = "mend the cause and deploy again; `orch status` and `orch logs` tell more"


def outcome_report(
    outcome: Outcome,
    instance: Instance,
    logs: Mapping[str, Sequence[LogLine]],
    status: Status | None,
) -> Report:
    """The verdict; for a failure the reason of each service with its last log lines."""
    report = Report(f"Outcome of {instance}")
    for id_, reason in outcome.failed.items():
        report.line(Span("✗ ", "bad"), Span(id_, "strong"), f": {printable(reason)}")
        report.lines([_log(row) for row in logs.get(id_, ())], code=True)
    word, style = _HEADS[outcome.verdict]
    place = f" on {instance.target}/{instance.namespace}"
    report.line(Span(instance.name, "strong"), f"{place}: ", Span(word, style), _tail(outcome))
    _addresses(report, status)
    if told := _next(outcome):
        report.line(Span("  next: ", "name"), told)
    return report


def _next(outcome: Outcome) -> str:
    first = outcome.verdict is Verdict.FAILED and outcome.revision <= 1
    return _NEXT_OF_FIRST if first else _NEXT.get(outcome.verdict, "")


def _log(row: LogLine) -> tuple[Span, ...]:
    return (Span(f"    {row.replica or row.service} | ", "dim"), Span(printable(row.text)))


def _tail(outcome: Outcome) -> str:
    revision = f", revision {outcome.revision}" if outcome.revision else ""
    told = _beside_failures(outcome) if outcome.verdict is not Verdict.DONE else ""
    message = f"; {printable(told)}" if told else ""
    return f"{revision}{message}"


def _beside_failures(outcome: Outcome) -> str:
    """The message without the reasons of failures, which stand above it."""
    told = outcome.message
    for id_, reason in outcome.failed.items():
        told = told.removeprefix(f"{id_}: {reason}").removeprefix("; ")
    return told


def _addresses(report: Report, status: Status | None) -> None:
    for service in status.services if status else ():
        for endpoint in service.endpoints:
            report.line("  ", Span(service.name, "name"), f"  {endpoint}")
