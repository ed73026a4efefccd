"""A comparison in the shape of machine output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.cli.render import machine
from orch.cli.render.ledger import lossy_placed, placed
from orch.compare.advice import advise
from orch.types import render_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.backend.sizes import Size
    from orch.cli.render.shapes import (
        AdviceShape,
        BackendComparison,
        CompareShape,
        CostShape,
        FieldComparison,
        SizedRow,
        SizeShape,
    )
    from orch.compare.compare import Comparison, Standing
    from orch.compare.cost import Estimate
    from orch.compare.sizes import Sized
    from orch.load.source import Loaded
    from orch.types import Fidelity, FieldPath


def comparison_shape(
    compared: Comparison, loaded: Loaded, *, manifests: bool = False
) -> CompareShape:
    """Everything that the report is made from, and the places of what is lost or changed."""
    read = loaded.ledger.notable if loaded.ledger is not None else ()
    return {
        "version": 1,
        "app": compared.app,
        "level": compared.level.value,
        "recommendation": _advice(compared),
        "backends": [_standing(s, loaded, manifests=manifests) for s in compared.standings],
        "differing": [_field(*item) for item in compared.differing().items()],
        "reading": [machine.ledger_row(placed(row, loaded.locate)) for row in read],
    }


def _advice(compared: Comparison) -> AdviceShape:
    advice = advise(compared)
    return {
        "backends": list(advice.best),
        "reasons": list(advice.reasons),
        "against": dict(advice.against),
    }


def _standing(standing: Standing, loaded: Loaded, *, manifests: bool) -> BackendComparison:
    shape: BackendComparison = {
        "backend": standing.backend,
        "accepted": standing.accepted,
        "held": round(standing.held, 4),
        "outcomes": _counts(standing.counts),
        "classes": {
            touched.value: _counts(counts) for touched, counts in standing.by_consequence.items()
        },
        "objects": dict(standing.objects),
        "sizes": [_sized(row) for row in standing.sizes],
        "cost": _cost(standing.cost) if standing.cost else None,
        "refused": [render_path(row.path) for row in standing.refused],
        "limits": [
            {"path": render_path(limit.path), "told": limit.told} for limit in standing.limits
        ],
        "notes": list(standing.notes),
        "faults": [machine.diagnostic(fault) for fault in standing.faults],
        "ledger": [
            machine.ledger_row(row) for row in lossy_placed(standing.notable, loaded.locate)
        ],
    }
    if manifests:
        shape["resources"] = [machine.resource(row) for row in standing.resources]
    return shape


def _counts(counts: Mapping[Fidelity, int]) -> dict[str, int]:
    return {outcome.value: count for outcome, count in counts.items()}


def _sized(row: Sized) -> SizedRow:
    return {
        "path": render_path((row.kind, row.name)),
        "least_replicas": row.least,
        "most_replicas": row.most,
        "each_node": row.per_node,
        "reserved": _size(row.asked),
        "gets": _size(row.gets) if row.gets else None,
    }


def _size(size: Size) -> SizeShape:
    return {"cpu": size.cpus / 1000, "memory": size.memory}


def _cost(cost: Estimate) -> CostShape:
    return {
        "currency": cost.currency,
        "month": cost.month,
        "month_at_most": cost.at_most,
        "charges": [
            {
                "item": charge.row.item,
                "told": charge.told,
                "amount": charge.amount,
                "price": charge.row.price,
                "per": charge.row.per,
                "month": charge.month,
                "region": charge.row.region,
                "seen": charge.row.seen.isoformat(),
                "source": charge.row.source,
                "basis": charge.row.basis,
            }
            for charge in cost.charges
        ],
        "missing": list(cost.missing),
        "left_out": list(cost.left_out),
    }


def _field(path: FieldPath, outcomes: Mapping[str, Fidelity]) -> FieldComparison:
    told = {backend: outcome.value for backend, outcome in outcomes.items()}
    return {"path": render_path(path), "outcomes": told}
