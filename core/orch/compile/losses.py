"""Tables of what a platform has no words for: field patterns to why, and what to do instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch.compile.view import ListView, MapView, Node, View

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orch.compile.builder import ManifestBuilder
    from orch.compile.view import Read
    from orch.types import Consequence


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a field has no effect, and the mend."""

    reason: str
    mend: str = ""
    consequence: Consequence | None = None


def tell(make: ManifestBuilder, view: View, losses: Mapping[str, Loss]) -> None:
    """Account for every field of a view that the table names and the author wrote.

    A pattern is a path below the view; `*` stands for every name or index.
    """
    for pattern, loss in losses.items():
        for read in _found(view, pattern.split(".")):
            make.lose(read, loss.reason, loss.mend, loss.consequence)


def _found(part: Any, keys: Sequence[str]) -> Iterator[Read | Node]:
    if part is None:
        return
    if not keys:
        yield part
    elif isinstance(part, Node):
        for child in _children(part, keys[0]):
            yield from _found(child, keys[1:])


def _children(part: Node, key: str) -> Iterator[Any]:
    if isinstance(part, View):
        if key in part.value.model_fields_set:
            yield part.field(key)
    elif isinstance(part, MapView):
        yield from (child for _, child in part.items())
    elif isinstance(part, ListView):
        yield from part
