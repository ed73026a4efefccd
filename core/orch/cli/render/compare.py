"""Backends side by side: counts, fields that differ, and what happens on each."""

from __future__ import annotations

from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any

from orch.cli.render import machine
from orch.cli.render.ledger import STYLES, add_ledger, placed
from orch.cli.render.report import Report, Span, line, printable
from orch.compile.levels import ACCEPTABLE
from orch.types import Consequence, Fidelity, render_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch.cli.render.shapes import BackendComparison, CompareShape, FieldComparison
    from orch.compare.compare import Comparison, Standing
    from orch.load.source import Loaded
    from orch.types import FieldPath, LedgerEntry

Row = tuple[Span | str, ...]
_NONE = "–"
_GRAVITY = {touched: rank for rank, touched in enumerate(Consequence)}


# -- for people --------------------------------------------------------------------------------


def comparison_report(compared: Comparison, loaded: Loaded) -> Report:
    """The counts first, then where the backends differ, then what each does and why."""
    names = [standing.backend for standing in compared.standings]
    report = Report(f"{compared.app} on {', '.join(names)}")
    report.table((compared.app, *names), _summary(compared))
    differing = _differing(compared)
    if differing:
        report.heading("Fields that do not fare the same everywhere")
        report.table(("field", *names), differing)
    if loaded.ledger is not None:
        rows = [placed(row, loaded.locate) for row in loaded.ledger.notable]
        title = "Changed already in reading the file"
        add_ledger(report, rows, title=title, least=Fidelity.EMULATED)
    for standing in compared.standings:
        _tell(report, standing)
    return report


def refusal_text(compared: Comparison) -> str:
    """Which backends refuse, in a line for stderr."""
    names = " and ".join(standing.backend for standing in compared.refusing)
    verb = "refuses" if len(compared.refusing) == 1 else "refuse"
    return f"orch: {names} {verb} this spec at the level {compared.level.value} (exit code 4)"


def _summary(compared: Comparison) -> list[Row]:
    seen = compared.standings
    rows: list[Row] = [("deploy", *map(_verdict, seen)), ("held as it says", *map(_share, seen))]
    rows += [
        (f"  {outcome.value}", *[_count(standing, outcome) for standing in seen])
        for outcome in Fidelity
        if any(standing.counts[outcome] for standing in seen)
    ]
    for touched in Consequence:
        cells = [_losses(standing.by_consequence[touched]) for standing in seen]
        if any(cells):
            rows.append((f"touches {touched.value}", *[cell or _NONE for cell in cells]))
    return [*rows, ("objects", *map(_objects, seen))]


def _verdict(standing: Standing) -> Span:
    if standing.faults:
        return Span("does not compile", "grave")
    if standing.refused:
        count = len(standing.refused)
        return Span(f"refused for {count} field{'s' if count > 1 else ''}", "bad")
    return Span("yes", "good")


def _share(standing: Standing) -> str:
    """Rounded down: 100 % means every field."""
    return _NONE if standing.faults else f"{int(standing.held * 100)} %"


def _count(standing: Standing, outcome: Fidelity) -> Span:
    count = standing.counts[outcome]
    return Span(str(count), STYLES[outcome]) if count else Span(_NONE, "dim")


def _losses(counts: Mapping[Fidelity, int]) -> str:
    """What is worse than emulated, on one line; empty for nothing."""
    return ", ".join(f"{n} {o.value}" for o, n in counts.items() if n and o not in ACCEPTABLE)


def _objects(standing: Standing) -> str:
    told = [f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in standing.objects.items()]
    return ", ".join(told) or _NONE


def _differing(compared: Comparison) -> list[Row]:
    """A row for each group of fields of one part of the spec that fare alike, worst first."""
    groups: dict[tuple[Any, ...], list[FieldPath]] = {}
    for path, outcomes in compared.differing().items():
        fared = tuple(outcomes.get(standing.backend) for standing in compared.standings)
        groups.setdefault((path[:2], fared), []).append(path)
    found = sorted(groups.items(), key=lambda item: (_worst(item[0][1]), str(item[1])))
    return [(fields_text(paths), *map(_outcome, fared)) for (_, fared), paths in found]


def _worst(fared: Sequence[Fidelity | None]) -> int:
    return -max(outcome.rank for outcome in fared if outcome)


def _outcome(outcome: Fidelity | None) -> Span:
    return Span(outcome.value, STYLES[outcome]) if outcome else Span(_NONE, "dim")


def _tell(report: Report, standing: Standing) -> None:
    """What one backend does otherwise, how it emulates, and which bounds are met."""
    if standing.faults:
        report.heading(f"{standing.backend}: does not compile")
        report.lines([line(Span("error: ", "bad"), str(fault)) for fault in standing.faults])
        return
    rows = sorted(standing.notable, key=_gravity)
    for (_, _), alike in groupby(rows, key=_gravity):
        entries = list(alike)
        first = entries[0]
        count = f"{len(entries)} {first.outcome.value}, {first.consequence.value}"
        report.heading(f"{standing.backend}: {count}")
        report.table(("field", "what happens"), _reasons(entries))
    if standing.limits:
        report.heading(f"{standing.backend}: limits that are met")
        rows_of_limits: list[Row] = [(render_path(x.path), x.told) for x in standing.limits]
        report.table(("field", "what happens"), rows_of_limits)
    for note in standing.notes:
        report.line(Span("note: ", "dim"), note)


def _gravity(row: LedgerEntry) -> tuple[int, int]:
    """Worst outcomes first, and of each what touches the gravest."""
    return -row.outcome.rank, _GRAVITY[row.consequence]


def _reasons(entries: Sequence[LedgerEntry]) -> list[Row]:
    """A row for each reason, with every field that it holds for."""
    groups: dict[str, list[LedgerEntry]] = {}
    for row in entries:
        told = f"{row.reason}; {row.mend}" if row.mend else row.reason
        groups.setdefault(f"{told} (default)" if row.default else told, []).append(row)
    return [
        (fields_text([row.path for row in rows]), printable(told)) for told, rows in groups.items()
    ]


def fields_text(paths: Sequence[FieldPath]) -> str:
    """Several fields with what they share written once: `services.web.probes: tcp.port, interval`.

    Those of different services stand side by side.
    """
    parts = groupby(sorted(paths, key=_part), key=_part)
    return "; ".join(_of_one_part(list(alike)) for _, alike in parts)


def _part(path: FieldPath) -> str:
    return render_path(path[:2])


def _of_one_part(paths: Sequence[FieldPath]) -> str:
    if len(paths) == 1:
        return render_path(paths[0])
    columns = zip(*[path[:-1] for path in paths], strict=False)
    shared = tuple(keys[0] for keys in takewhile(lambda keys: len(set(keys)) == 1, columns))
    rests = ", ".join(render_path(path[len(shared) :]) for path in paths)
    return f"{render_path(shared)}: {rests}" if shared else rests


# -- for machines ------------------------------------------------------------------------------


def comparison_shape(compared: Comparison, loaded: Loaded) -> CompareShape:
    """Everything that the report is made from, and the places of what is lost or changed."""
    read = loaded.ledger.notable if loaded.ledger is not None else ()
    return {
        "version": 1,
        "app": compared.app,
        "level": compared.level.value,
        "backends": [_standing(standing, loaded) for standing in compared.standings],
        "differing": [_field(*item) for item in compared.differing().items()],
        "reading": [machine.ledger_row(placed(row, loaded.locate)) for row in read],
    }


def _standing(standing: Standing, loaded: Loaded) -> BackendComparison:
    return {
        "backend": standing.backend,
        "accepted": standing.accepted,
        "held": round(standing.held, 4),
        "outcomes": _counts(standing.counts),
        "classes": {
            touched.value: _counts(counts) for touched, counts in standing.by_consequence.items()
        },
        "objects": dict(standing.objects),
        "refused": [render_path(row.path) for row in standing.refused],
        "limits": [
            {"path": render_path(limit.path), "told": limit.told} for limit in standing.limits
        ],
        "notes": list(standing.notes),
        "faults": [machine.diagnostic(fault) for fault in standing.faults],
        "ledger": [machine.ledger_row(_with_place(row, loaded)) for row in standing.notable],
    }


def _counts(counts: Mapping[Fidelity, int]) -> dict[str, int]:
    return {outcome.value: count for outcome, count in counts.items()}


def _with_place(row: LedgerEntry, loaded: Loaded) -> LedgerEntry:
    return row if row.outcome in ACCEPTABLE else placed(row, loaded.locate)


def _field(path: FieldPath, outcomes: Mapping[str, Fidelity]) -> FieldComparison:
    told = {backend: outcome.value for backend, outcome in outcomes.items()}
    return {"path": render_path(path), "outcomes": told}
