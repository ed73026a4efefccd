"""Which field of the spec a field of an object comes from, by the account that compile kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orch_kubernetes.api.faults import fits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orch.types import FieldPath, LedgerEntry
    from orch_kubernetes.api.faults import Step

_PARTS = re.compile(r"[^.\[\]]+")
SIZE = ("spec", "resources", "requests", "storage")


def origin(rows: Iterable[LedgerEntry], id_: str, field: Sequence[str]) -> FieldPath:
    """The path in the spec that a resource's field was written from.

    Where none was, the service, volume or the like that the resource is made for; `field` holds
    keys, and positions in lists as text.
    """
    best: tuple[int, FieldPath] = (0, (id_,))
    for row in rows:
        for output in row.outputs:
            resource, _, where = output.partition(":")
            if resource == id_:
                fit = _common(_PARTS.findall(where), field)
                best = max(best, (1 + fit, row.path), key=lambda pair: pair[0])
    fit, path = best
    return path if fit > len(field) else path[:2]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    same = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        same += 1
    return same


def positions(body: Any, path: Sequence[Step]) -> list[str]:
    """A field as the API names it, with items of lists by their position in a body."""
    found: list[str] = []
    for step in path:
        key: Any = step
        if not isinstance(step, str):
            items = body if isinstance(body, list | tuple) else ()
            key = next((n for n, item in enumerate(items) if fits(item, step)), -1)
        elif step.isdigit() and isinstance(body, list | tuple):
            key = int(step)
        found.append(str(key))
        try:
            body = body[key]
        except (KeyError, IndexError, TypeError):
            body = None
    return found
