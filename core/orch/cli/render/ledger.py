"""The ledger: what became of every field, in one table by what a loss touches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.cli.render.report import Report, Span, printable
from orch.compile.levels import alike
from orch.types import Consequence, Fidelity, render_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orch.types import FieldPath, Ledger, LedgerEntry, Place

STYLES = {
    Fidelity.NATIVE: "good",
    Fidelity.EMULATED: "name",
    Fidelity.DEGRADED: "warn",
    Fidelity.LOST: "bad",
    Fidelity.REJECTED: "grave",
}
MANY = 100
_ORDER = {consequence: rank for rank, consequence in enumerate(Consequence)}


def rows_of(
    ledger: Ledger,
    locate: Callable[[FieldPath], Place],
    *,
    every: bool = False,
    positions: bool = False,
) -> list[LedgerEntry]:
    """Rows worth a look, or every one, with the places of those that a person would look up.

    Places cost a second parse of the file: native and emulated rows have none without
    `positions`, and when more than MANY rows are lossy none has one.
    """
    rows = list(ledger) if every else list(ledger.notable)
    if positions:
        return [placed(row, locate) for row in rows]
    return lossy_placed(rows, locate)


def lossy_placed(
    rows: Iterable[LedgerEntry], locate: Callable[[FieldPath], Place]
) -> list[LedgerEntry]:
    """The rows, with the places of those that are lossy as long as they are not too many."""
    rows = list(rows)
    lossy = [row for row in rows if row.outcome.rank >= Fidelity.DEGRADED.rank]
    chosen = set() if len(lossy) > MANY else {id(row) for row in lossy}
    return [placed(row, locate) if id(row) in chosen else row for row in rows]


def placed(entry: LedgerEntry, locate: Callable[[FieldPath], Place]) -> LedgerEntry:
    """The row with the place of its field in the file."""
    from dataclasses import replace

    return entry if entry.place.line or entry.default else replace(entry, place=locate(entry.path))


def add_ledger(
    report: Report, rows: Iterable[LedgerEntry], *, title: str, least: Fidelity = Fidelity.DEGRADED
) -> None:
    """Add one table of the rows that are as bad as `least` or worse, gravest first."""
    shown = sorted(
        (row for row in rows if row.outcome.rank >= least.rank),
        key=lambda row: (_ORDER[row.consequence], -row.outcome.rank, str(row.path)),
    )
    if not shown:
        return
    report.heading(title)
    columns = ("touches", "outcome", "field", "what happens")
    report.table(columns, [_row(*group) for group in alike(shown)])


def _row(row: LedgerEntry, *others: LedgerEntry) -> tuple[Span | str, ...]:
    where = f" ({row.place})" if str(row.place) else ""
    default = " (default)" if row.default else ""
    likewise = f" and {len(others)} more like it" if others else ""
    reason = f"{row.reason}; {row.mend}" if row.mend else row.reason
    return (
        row.consequence.value,
        Span(row.outcome.value, STYLES[row.outcome]),
        f"{render_path(row.path)}{where}{default}{likewise}",
        printable(reason),
    )


def tally(rows: Iterable[LedgerEntry]) -> str:
    """How many fields had which outcome, on one line."""
    counts = dict.fromkeys(Fidelity, 0)
    for row in rows:
        counts[row.outcome] += 1
    return ", ".join(f"{n} {outcome.value}" for outcome, n in counts.items() if n)
