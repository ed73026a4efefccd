"""Faults of a file, as a compiler shows them: file:line:column: fault, then how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.cli.render.report import Report, Span, printable
from orch.types import Severity, render_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orch.types import Diagnostic


def diagnostics_report(diagnostics: Iterable[Diagnostic]) -> Report:
    """One line a fault, in the given order, and how many there were if several."""
    report = Report("Faults")
    counts = dict.fromkeys(Severity, 0)
    for diagnostic in diagnostics:
        counts[diagnostic.severity] += 1
        _add(report, diagnostic)
    if sum(counts.values()) > 1:
        report.line(Span(_summary(counts), "strong"))
    return report


def _add(report: Report, diagnostic: Diagnostic) -> None:
    style = "bad" if diagnostic.severity is Severity.ERROR else "warn"
    place, path = str(diagnostic.place), render_path(diagnostic.path)
    report.line(
        Span(f"{place}: " if place else "", "strong"),
        Span(f"{diagnostic.severity}: ", style),
        Span(f"{path}: " if path else "", "name"),
        printable(diagnostic.fault),
        Span(f"; {printable(diagnostic.mend)}" if diagnostic.mend else "", "dim"),
    )


def _summary(counts: dict[Severity, int]) -> str:
    told = [f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in counts.items() if n]
    return ", ".join(told)
