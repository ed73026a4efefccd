"""Backends side by side: advice, counts, fields that differ, and what happens on each."""

from __future__ import annotations

from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any

from orch.cli.render.ledger import STYLES, add_ledger, placed
from orch.cli.render.report import Report, Span, line, printable
from orch.cli.render.yaml import yaml_text
from orch.compare.advice import advise
from orch.compare.manifests import side_by_side
from orch.compare.names import names_text
from orch.compile.levels import ACCEPTABLE
from orch.spec.units import Bytes, Cpus
from orch.types import Consequence, Fidelity, render_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orch.backend.sizes import Size
    from orch.compare.compare import Comparison, Standing
    from orch.compare.cost import Estimate
    from orch.compare.manifests import Variant
    from orch.compare.sizes import Sized
    from orch.load.source import Loaded
    from orch.types import FieldPath, LedgerEntry

Row = tuple[Span | str, ...]
NONE = "–"
_GRAVITY = {touched: rank for rank, touched in enumerate(Consequence)}
_MIB = 1 << 20


def comparison_report(compared: Comparison, loaded: Loaded, *, manifests: bool = False) -> Report:
    """Advice and counts first, then where the backends differ, then what each does and why."""
    names = [standing.backend for standing in compared.standings]
    report = Report(f"{compared.app} on {names_text(names)}")
    report.table((compared.app, *_COLUMNS), [_overview(s) for s in compared.standings])
    _add_touched(report, compared)
    _add_advice(report, compared)
    report.heading("What is made")
    report.table(("", "objects"), list(made(compared)))
    _add_differing(report, compared)
    if loaded.ledger is not None:
        rows = [placed(row, loaded.locate) for row in loaded.ledger.notable]
        title = "Changed already in reading the file"
        add_ledger(report, rows, title=title, least=Fidelity.EMULATED)
    _add_sizes(report, compared)
    _add_costs(report, compared)
    for group in compared.alike():
        _tell(report, group)
    if manifests:
        _add_manifests(report, compared)
    return report


def refusal_text(compared: Comparison) -> str:
    """Which backends refuse, in a line for stderr."""
    names = names_text([standing.backend for standing in compared.refusing])
    verb = "refuses" if len(compared.refusing) == 1 else "refuse"
    return f"orch: {names} {verb} this spec at the level {compared.level.value} (exit code 4)"


def label(group: Sequence[Standing]) -> str:
    """A short name for backends that are alike."""
    more = len(group) - 1
    return f"{group[0].backend} +{more}" if more else group[0].backend


# -- overview ----------------------------------------------------------------------------------

_COLUMNS = ("deploy", "held", "emulated", "degraded", "lost", "rejected", "objects", "a month")


def _overview(standing: Standing) -> Row:
    worse = [outcome for outcome in Fidelity if outcome is not Fidelity.NATIVE]
    return (
        standing.backend,
        verdict(standing),
        share(standing),
        *(_count(standing, outcome) for outcome in worse),
        str(len(standing.resources)) if standing.resources else NONE,
        money(standing.cost) if standing.cost else Span(NONE, "dim"),
    )


def verdict(standing: Standing) -> Span:
    """Whether a deploy would go ahead."""
    if standing.faults:
        return Span("does not compile", "grave")
    if standing.refused:
        count = len(standing.refused)
        return Span(f"refused for {count} field{'s' if count > 1 else ''}", "bad")
    return Span("yes", "good")


def share(standing: Standing) -> str:
    """How much is held, rounded down: 100 % means every field."""
    return NONE if standing.faults else f"{int(standing.held * 100)} %"


def money(cost: Estimate) -> str:
    """What a month costs, with the fewest and the most replicas; ≥ where a part is missing."""
    most = f" to {cost.at_most:,.2f}" if cost.at_most != cost.month else ""
    least = "≥ " if cost.missing else ""
    return f"{least}{cost.month:,.2f}{most} {cost.currency}"


def made(compared: Comparison) -> list[tuple[str, str]]:
    """Objects by kind, with the backends on which they are as many side by side."""
    groups: dict[str, list[str]] = {}
    for standing in compared.standings:
        groups.setdefault(objects_text(standing), []).append(standing.backend)
    return [(names_text(names), told) for told, names in groups.items()]


def objects_text(standing: Standing) -> str:
    """Objects by kind, those of which there are most first."""
    counted = sorted(standing.objects.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {kind}" for kind, count in counted) or NONE


def _count(standing: Standing, outcome: Fidelity) -> Span:
    count = standing.counts[outcome]
    return Span(str(count), STYLES[outcome]) if count else Span(NONE, "dim")


def _add_touched(report: Report, compared: Comparison) -> None:
    """What is not held, by what it touches; backends that lose nothing are left out."""
    rows: list[Row] = []
    for group in compared.alike():
        cells = [losses(group[0].by_consequence[touched]) for touched in Consequence]
        if any(cells):
            rows.append((label(group), *(cell or Span(NONE, "dim") for cell in cells)))
    if rows:
        report.heading("What is not held, by what it touches")
        report.table(("", *(touched.value for touched in Consequence)), rows)


def losses(counts: Mapping[Fidelity, int]) -> str:
    """What is worse than emulated, on one line; empty for nothing."""
    return ", ".join(f"{n} {o.value}" for o, n in counts.items() if n and o not in ACCEPTABLE)


# -- advice ------------------------------------------------------------------------------------


def _add_advice(report: Report, compared: Comparison) -> None:
    if len(compared.standings) < 2:  # noqa: PLR2004
        return
    advice = advise(compared)
    report.heading("Recommendation")
    if advice.best:
        report.line("take ", Span(either(advice.best), "good"))
    report.lines([line(f"  {printable(reason)}") for reason in advice.reasons])
    report.table(("not", "because"), [(n, printable(why)) for n, why in grouped(advice.against)])


def either(names: Sequence[str]) -> str:
    """Names of which one may be chosen."""
    told = names_text(names)
    return f"one of {told}" if len(names) > 1 else told


def grouped(against: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Names of which the same is told, side by side."""
    groups: dict[str, list[str]] = {}
    for name, why in against:
        groups.setdefault(why, []).append(name)
    return [(names_text(names), why) for why, names in groups.items()]


# -- where they differ -------------------------------------------------------------------------


def _add_differing(report: Report, compared: Comparison) -> None:
    rows = differing(compared)
    if not rows:
        return
    groups = compared.alike()
    report.heading("Fields that do not fare the same everywhere")
    report.table(
        ("field", *map(label, groups)),
        [(fields_text(paths), *map(_outcome, fared)) for paths, fared in rows],
    )
    for group in groups:
        if len(group) > 1:
            told = f"{label(group)}: {names_text(s.backend for s in group)}"
            report.line(Span(told, "dim"))


def differing(
    compared: Comparison,
) -> list[tuple[list[FieldPath], tuple[Fidelity | None, ...]]]:
    """Fields of one part of the spec that fare alike, with the outcome by group; worst first."""
    firsts = [group[0].backend for group in compared.alike()]
    groups: dict[tuple[Any, ...], list[FieldPath]] = {}
    for path, outcomes in compared.differing().items():
        fared = tuple(outcomes.get(name) for name in firsts)
        groups.setdefault((path[:2], fared), []).append(path)
    found = sorted(groups.items(), key=lambda item: (_worst(item[0][1]), str(item[1])))
    return [(paths, fared) for (_, fared), paths in found]


def _worst(fared: Sequence[Fidelity | None]) -> int:
    return -max(outcome.rank for outcome in fared if outcome)


def _outcome(outcome: Fidelity | None) -> Span:
    return Span(outcome.value, STYLES[outcome]) if outcome else Span(NONE, "dim")


# -- sizes and costs ---------------------------------------------------------------------------


def _add_sizes(report: Report, compared: Comparison) -> None:
    groups = sized_alike(compared)
    rows = size_rows(groups)
    if rows:
        report.heading("What a replica gets, rounded as each platform rounds it")
        report.table(("", "replicas", "reserved", *map(label, groups)), rows)
        for group in groups:
            if len(group) > 1:
                told = f"{label(group)}: {names_text(s.backend for s in group)}"
                report.line(Span(told, "dim"))


def sized_alike(compared: Comparison) -> list[list[Standing]]:
    """Backends that compile, those side by side that round alike."""
    groups: dict[object, list[Standing]] = {}
    for standing in compared.standings:
        if not standing.faults:
            groups.setdefault(standing.sizes, []).append(standing)
    return list(groups.values())


def size_rows(groups: Sequence[Sequence[Standing]]) -> list[Row]:
    """A row for each part of which any platform sets something aside."""
    rows: list[Row] = []
    for alike in zip(*[group[0].sizes for group in groups], strict=True):
        first = alike[0]
        if any(row.gets is None or row.gets.cpus or row.gets.memory for row in alike):
            cells = [size_text(row.gets) for row in alike]
            path = render_path((first.kind, first.name))
            rows.append((path, replicas_text(first), size_text(first.asked), *cells))
    return rows


def size_text(size: Size | None) -> str:
    """`0.25 cpu, 512Mi`."""
    if size is None:
        return "no such size"
    told = [f"{Cpus(size.cpus)} cpu"] if size.cpus else []
    if size.memory:
        whole = size.memory % _MIB == 0
        told.append(str(Bytes(size.memory if whole else -(-size.memory // _MIB) * _MIB)))
    return ", ".join(told) or NONE


def replicas_text(row: Sized) -> str:
    """How many there are, at the least and at the most."""
    if row.per_node:
        return "each node"
    return str(row.least) if row.least == row.most else f"{row.least} to {row.most}"


def _add_costs(report: Report, compared: Comparison) -> None:
    priced = [(s.backend, s.cost) for s in compared.standings if s.cost]
    if not priced:
        return
    report.heading("What a month costs, by the table of prices")
    rows: list[Row] = []
    for name, cost in priced:
        rows += [(name, c.told, f"{c.month:,.2f}", price_text(c.row)) for c in cost.charges]
        rows.append((name, Span("together", "strong"), Span(money(cost), "strong"), ""))
    report.table(("", "what", "a month", "price"), rows)
    for told, names in left_out(compared):
        report.line(Span("not in it: ", "dim"), printable(f"{told} ({names})"))
    unpriced = [s.backend for s in compared.standings if s.cost is None]
    if unpriced:
        report.line(Span("without prices: ", "dim"), names_text(unpriced))


def left_out(compared: Comparison) -> list[tuple[str, str]]:
    """What estimates do not hold, and of which backends that is so."""
    groups: dict[str, list[str]] = {}
    for standing in compared.standings:
        cost = standing.cost
        for told in (*cost.missing, *cost.left_out) if cost else ():
            groups.setdefault(told, []).append(standing.backend)
    return [(told, names_text(names)) for told, names in groups.items()]


def price_text(row: Any) -> str:
    """A row of the table of prices in a few words."""
    place = f", {row.region}" if row.region else ""
    return f"{row.price:g} a{'n' if row.per == 'hour' else ''} {row.per}{place}, seen {row.seen}"


# -- what happens on each ----------------------------------------------------------------------


def _tell(report: Report, group: Sequence[Standing]) -> None:
    """What backends that are alike do otherwise, how they emulate, and which bounds are met."""
    standing, names = group[0], names_text(s.backend for s in group)
    if standing.faults:
        report.heading(f"{names}: does not compile")
        report.lines([line(Span("error: ", "bad"), str(fault)) for fault in standing.faults])
        return
    for outcome, touched, entries in by_gravity(standing):
        report.heading(f"{names}: {len(entries)} {outcome.value}, {touched.value}")
        report.table(("field", "what happens"), list(reasons(entries)))
    if standing.limits:
        report.heading(f"{names}: limits that are met")
        told: list[Row] = [(render_path(x.path), x.told) for x in standing.limits]
        report.table(("field", "what happens"), told)
    for note in dict.fromkeys(note for one in group for note in one.notes):
        report.line(Span("note: ", "dim"), note)


def by_gravity(
    standing: Standing,
) -> list[tuple[Fidelity, Consequence, list[LedgerEntry]]]:
    """The rows that are not native: worst outcomes first, and of each the gravest."""
    rows = sorted(standing.notable, key=_gravity)
    return [
        (entries[0].outcome, entries[0].consequence, entries)
        for entries in (list(alike) for _, alike in groupby(rows, key=_gravity))
    ]


def _gravity(row: LedgerEntry) -> tuple[int, int]:
    return -row.outcome.rank, _GRAVITY[row.consequence]


def reasons(entries: Sequence[LedgerEntry]) -> list[tuple[str, str]]:
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


# -- manifests ---------------------------------------------------------------------------------


def _add_manifests(report: Report, compared: Comparison) -> None:
    for part in side_by_side(compared.standings):
        for variant in part.variants:
            report.heading(f"{part.name} on {names_text(variant.backends)}")
            text = variant_text(variant) or "nothing is made for it"
            report.code(text)


def variant_text(variant: Variant) -> str:
    """The bodies of a variant's objects as YAML documents; secrets appear as placeholders."""
    return "---\n".join(
        f"# {r.kind} {printable(r.name)}\n{yaml_text(dict(r.body))}" for r in variant.resources
    )
