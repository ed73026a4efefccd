"""Which backend holds an application best, and why not the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orch.compare.names import names_text
from orch.compile.levels import ACCEPTABLE, GRAVE
from orch.types import Fidelity, render_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch.compare.compare import Comparison, Standing
    from orch.compare.cost import Estimate

_WORSE = (Fidelity.LOST, Fidelity.DEGRADED)


@dataclass(frozen=True, slots=True)
class Advice:
    """The backends to take, best first, the reasons, and for each other one why not."""

    best: tuple[str, ...]
    reasons: tuple[str, ...]
    against: tuple[tuple[str, str], ...] = ()


def advise(compared: Comparison) -> Advice:
    """Weigh fidelity first, gravest losses before others, and the cost among those that are alike.

    One without prices is never thought cheaper or dearer: it is named beside the cheapest.
    """
    accepting = [standing for standing in compared.standings if standing.accepted]
    if not accepting:
        return _none(compared)
    first = min(map(_losses, accepting))
    equal = [standing for standing in accepting if _losses(standing) == first]
    best = _affordable(equal)
    others = [standing for standing in compared.standings if standing not in best]
    against = tuple((other.backend, _against(other, best[0], best)) for other in others)
    return Advice(
        tuple(standing.backend for standing in best),
        tuple(_reasons(best, equal, accepting, compared)),
        against,
    )


def _losses(standing: Standing) -> tuple[int, ...]:
    """How much is not held: lost of data and security, lost, changed."""
    rows = [row for row in standing.rows if not row.default]
    grave = sum(row.outcome is Fidelity.LOST and row.consequence in GRAVE for row in rows)
    return grave, *(sum(row.outcome is outcome for row in rows) for outcome in _WORSE)


def _affordable(equal: Sequence[Standing]) -> list[Standing]:
    """Those of which no whole price is known, and the cheapest of each currency of the others."""
    cheapest: dict[str, float] = {}
    for cost in filter(None, map(_whole, equal)):
        cheapest[cost.currency] = min(cost.month, cheapest.get(cost.currency, cost.month))
    return [s for s in equal if not (c := _whole(s)) or c.month == cheapest[c.currency]]


def _whole(standing: Standing) -> Estimate | None:
    return standing.cost if standing.cost and not standing.cost.missing else None


def _reasons(
    best: Sequence[Standing],
    equal: Sequence[Standing],
    accepting: Sequence[Standing],
    compared: Comparison,
) -> list[str]:
    first = best[0]
    count = sum(first.counts.values())
    held = sum(first.counts[outcome] for outcome in ACCEPTABLE)
    native = first.counts[Fidelity.NATIVE]
    told = [
        f"a deploy goes ahead at the level {compared.level.value}",
        f"{held} of {count} fields mean there what they say, {native} by the platform itself",
    ]
    if loss := _loss_text(first):
        least = ", and no other does less" if len(accepting) > 1 else ""
        told.append(f"it {loss}{least}")
    told += _money(best, equal)
    return told


def _money(best: Sequence[Standing], equal: Sequence[Standing]) -> list[str]:
    priced = [s for s in best if _whole(s)]
    dearer = sum(_whole(s) is not None for s in equal) > len(priced)
    among = "the least of those that hold as much" if dearer else "by the table of prices"
    told = [f"{s.backend} costs about {_price(s)} a month, {among}" for s in priced]
    unpriced = [s.backend for s in best if not _whole(s)]
    if unpriced and len(best) > 1:
        told.append(f"no whole price is known for {names_text(unpriced)}: weigh them yourself")
    return told


def _against(other: Standing, first: Standing, best: Sequence[Standing]) -> str:
    if other.faults:
        return f"does not compile: {other.faults[0].fault}"
    if other.refused:
        more = len(other.refused) - 1
        path = render_path(other.refused[0].path)
        return f"refuses {path}" + (f" and {more} more" if more else "")
    if _losses(other) != _losses(first):
        return _loss_text(other)
    cheapest = next(s for s in best if _whole(s))
    return f"holds as much and costs about {_price(other)} a month, {cheapest.backend} less"


def _loss_text(standing: Standing) -> str:
    """`loses 2 fields (security) and changes 1 (network)`, empty when all is held."""
    told = []
    for verb, outcome in (("loses", Fidelity.LOST), ("changes", Fidelity.DEGRADED)):
        rows = [r for r in standing.rows if r.outcome is outcome and not r.default]
        touched = [name for name, _ in Counter(r.consequence.value for r in rows).most_common()]
        if rows:
            noun = "field" if len(rows) == 1 else "fields"
            told.append(f"{verb} {len(rows)} {noun} ({', '.join(touched)})")
    return " and ".join(told)


def _price(standing: Standing) -> str:
    cost = standing.cost
    return f"{cost.month:,.2f} {cost.currency}" if cost else "?"


def _none(compared: Comparison) -> Advice:
    compiling = [s for s in compared.standings if not s.faults]
    against = tuple((s.backend, _against(s, s, ())) for s in compared.standings)
    reasons = ["every backend refuses this spec as it is"]
    if compiling:
        nearest = min(compiling, key=lambda s: len(s.refused))
        fields = "field" if len(nearest.refused) == 1 else "fields"
        reasons.append(f"{nearest.backend} is nearest: {len(nearest.refused)} {fields} to change")
    return Advice((), tuple(reasons), against)
