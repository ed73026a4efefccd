"""A comparison as one HTML page that needs no other file and asks no server."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch.cli.render import compare as texts
from orch.cli.render.ledger import placed
from orch.cli.render.report import printable
from orch.compare.advice import advise
from orch.compare.manifests import side_by_side
from orch.compare.names import names_text
from orch.types import Consequence, Fidelity, render_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orch.compare.compare import Comparison, Standing
    from orch.compare.manifests import Part
    from orch.load.source import Loaded

_ASSETS = Path(__file__).parent / "assets"
_SHOWN = [outcome for outcome in Fidelity if outcome is not Fidelity.NATIVE]


def comparison_page(compared: Comparison, loaded: Loaded) -> str:
    """The page. Whatever stands in it is escaped, and no script but its own may run."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup, escape

    def breakable(text: str) -> Markup:
        """A path or name that may be folded behind its dots and colons."""
        return Markup(re.sub(r"([.:])", r"\1<wbr>", str(escape(text))))  # noqa: S704  (escaped)

    script = (_ASSETS / "compare.js").read_text(encoding="utf-8")
    pages = Environment(
        loader=FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["breakable"] = breakable
    return pages.get_template("compare.html").render(
        script=Markup(script),  # noqa: S704  (our own file)
        style=Markup((_ASSETS / "compare.css").read_text(encoding="utf-8")),  # noqa: S704
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        outcomes=[outcome.value for outcome in Fidelity],
        **_content(compared, loaded),
    )


def _content(compared: Comparison, loaded: Loaded) -> dict[str, Any]:
    advice = advise(compared)
    names = [standing.backend for standing in compared.standings]
    return {
        "app": printable(compared.app),
        "level": compared.level.value,
        "names": names,
        "advice": {
            "best": texts.either(advice.best) if advice.best else "",
            "reasons": [printable(reason) for reason in advice.reasons],
            "against": [(n, printable(why)) for n, why in texts.grouped(advice.against)],
        },
        "overview": _overview(compared),
        "touched": _touched(compared),
        "made": texts.made(compared),
        "differing": _differing(compared),
        "reading": _reading(loaded),
        "sizes": _sizes(compared),
        "costs": _costs(compared),
        "groups": [_group(group) for group in compared.alike()],
        "parts": [_part(part) for part in side_by_side(compared.standings)],
    }


def _backends(standings: Iterable[Standing]) -> dict[str, str]:
    """How a group of backends is called, and its names as the script looks for them."""
    names = [standing.backend for standing in standings]
    return {"text": names_text(names), "names": " ".join(names)}


def _overview(compared: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "backend": standing.backend,
            "verdict": texts.verdict(standing).text,
            "accepted": standing.accepted,
            "held": texts.share(standing),
            "share": -1.0 if standing.faults else round(standing.held * 100, 2),
            "counts": [(o.value, standing.counts[o]) for o in _SHOWN],
            "objects": len(standing.resources),
            "kinds": texts.objects_text(standing),
            "cost": texts.money(standing.cost) if standing.cost else "",
            "month": standing.cost.month if standing.cost else -1,
        }
        for standing in compared.standings
    ]


def _touched(compared: Comparison) -> dict[str, Any]:
    rows = [
        {
            "label": texts.label(group),
            **_backends(group),
            "cells": [texts.losses(group[0].by_consequence[touched]) for touched in Consequence],
        }
        for group in compared.alike()
    ]
    return {"columns": [touched.value for touched in Consequence], "rows": rows}


def _differing(compared: Comparison) -> dict[str, Any]:
    rows = [
        {
            "fields": texts.fields_text(paths),
            "fared": [outcome.value if outcome else "" for outcome in fared],
        }
        for paths, fared in texts.differing(compared)
    ]
    groups = [{"label": texts.label(g), **_backends(g)} for g in compared.alike()]
    return {"groups": groups, "rows": rows}


def _reading(loaded: Loaded) -> list[dict[str, str]]:
    rows = loaded.ledger.notable if loaded.ledger is not None else ()
    return [
        {
            "outcome": row.outcome.value,
            "touches": row.consequence.value,
            "field": render_path(row.path),
            "place": str(placed(row, loaded.locate).place),
            "told": printable(f"{row.reason}; {row.mend}" if row.mend else row.reason),
        }
        for row in rows
    ]


def _sizes(compared: Comparison) -> dict[str, Any]:
    groups = texts.sized_alike(compared)
    rows = [[str(getattr(cell, "text", cell)) for cell in row] for row in texts.size_rows(groups)]
    named = [{"label": texts.label(group), **_backends(group)} for group in groups]
    return {"groups": named, "rows": rows}


def _costs(compared: Comparison) -> dict[str, Any]:
    priced = [(s.backend, s.cost) for s in compared.standings if s.cost]
    largest = max((cost.at_most for _, cost in priced), default=0) or 1
    rows = [
        {
            "backend": backend,
            "told": texts.money(cost),
            "share": round(100 * cost.month / largest, 1),
            "charges": [
                {
                    "told": charge.told,
                    "month": f"{charge.month:,.2f}",
                    "price": texts.price_text(charge.row),
                    "source": charge.row.source,
                    "basis": charge.row.basis,
                }
                for charge in cost.charges
            ],
            "left_out": [printable(told) for told in (*cost.missing, *cost.left_out)],
        }
        for backend, cost in priced
    ]
    unpriced = [s.backend for s in compared.standings if s.cost is None]
    return {"rows": rows, "unpriced": names_text(unpriced)}


def _group(group: Sequence[Standing]) -> dict[str, Any]:
    standing = group[0]
    return {
        **_backends(group),
        "verdict": texts.verdict(standing).text,
        "accepted": standing.accepted,
        "faults": [printable(str(fault)) for fault in standing.faults],
        "rows": [
            {"outcome": outcome.value, "touches": touched.value, "field": field, "told": told}
            for outcome, touched, entries in texts.by_gravity(standing)
            for field, told in texts.reasons(entries)
        ],
        "limits": [(render_path(limit.path), limit.told) for limit in standing.limits],
        "notes": list(dict.fromkeys(printable(note) for one in group for note in one.notes)),
    }


def _part(part: Part) -> dict[str, Any]:
    variants = [
        {
            "text": names_text(variant.backends),
            "names": " ".join(variant.backends),
            "objects": len(variant.resources),
            "yaml": texts.variant_text(variant),
        }
        for variant in part.variants
    ]
    return {"name": printable(part.name), "variants": variants}
