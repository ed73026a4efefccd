"""What stands at a path of a JSON-shaped value, and the value without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from orch.types import FieldPath, Key

ABSENT: Final[Any] = type("Absent", (), {"__repr__": lambda _: "ABSENT"})()
"""What stands where nothing does."""


def at(value: Any, path: FieldPath) -> Any:
    """What stands at a path, ABSENT when nothing does."""
    for key in path:
        if not _has(value, key):
            return ABSENT
        value = value[key]
    return value


def without(value: Any, path: FieldPath) -> Any:
    """A copy in which nothing stands at a path; in a list, an empty place is left."""
    if not path or not _has(value, path[0]):
        return value
    first, rest = path[0], path[1:]
    if isinstance(first, int):
        changed = without(value[first], rest) if rest else None
        return [*value[:first], changed, *value[first + 1 :]]
    if rest:
        return {**value, first: without(value[first], rest)}
    return {key: item for key, item in value.items() if key != first}


def _has(value: Any, key: Key) -> bool:
    if isinstance(key, int):
        return isinstance(value, list) and key < len(value)
    return isinstance(value, dict) and key in value
