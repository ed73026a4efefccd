"""Tables of what a platform has no words for: field patterns to why, and what to do instead."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from orch.compile.view import View, children, node_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orch.compile.builder import ManifestBuilder
    from orch.compile.view import Node, Read
    from orch.types import Consequence, FieldPath, Key


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
    written = view.value.model_fields_set
    for pattern, loss in losses.items():
        keys = _keys(pattern)
        for path in _written(view.value, keys) if keys[0] in written else ():
            make.lose(_at(view, path), loss.reason, loss.mend, loss.consequence)


@cache
def _keys(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.split("."))


def _written(value: Any, keys: Sequence[str]) -> Iterator[FieldPath]:
    """Where a pattern fits. Views are made of that alone: most patterns fit nowhere."""
    if not keys:
        yield ()
        return
    kind = node_kind(value)
    found: Iterable[tuple[Key, Any]] = ()
    if kind is not None and issubclass(kind, View):
        name = keys[0]
        if name in value.model_fields_set and (part := getattr(value, name)) is not None:
            found = ((name, part),)
    elif kind is not None:
        found = children(value)
    for key, part in found:
        for path in _written(part, keys[1:]):
            yield (key, *path)


def _at(part: Any, path: FieldPath) -> Read | Node:
    for key in path:
        part = part.field(str(key)) if isinstance(part, View) else part[key]
    found: Read | Node = part
    return found
