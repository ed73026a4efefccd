"""The model as a list of fields with patterns such as `services.*.ports.*.target`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from orch.spec.shape import root, shape_of_field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from orch.spec.shape import Shape

Pattern = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SpecField:
    """One field of the model; `shape` says what may stand there."""

    pattern: Pattern
    shape: Shape
    default: str
    required: bool
    description: str

    @property
    def path(self) -> str:
        """The pattern as a person writes it."""
        return ".".join(self.pattern)


@cache
def all_fields() -> tuple[SpecField, ...]:
    """Every field of the model, a parent before its children."""
    return tuple(_fields(root(), ()))


def find(wanted: str) -> list[SpecField]:
    """Fields whose pattern ends so: the whole path, or else the shallowest ones.

    A name or index fits `*`, and may be left out.
    """
    keys = _keys(wanted)
    above = {field: left for field in all_fields() if (left := _above(field.pattern, keys)) >= 0}
    whole = [field for field, left in above.items() if left == 0]
    least = min((len(field.pattern) for field in above), default=0)
    return whole or [field for field in above if len(field.pattern) == least]


def beside(wanted: str) -> list[SpecField]:
    """Fields that stand where this one would, if it were one."""
    parent = _keys(wanted)[:-1]
    return [f for f in all_fields() if parent and _above(f.pattern[:-1], parent) == 0]


def _keys(wanted: str) -> tuple[str, ...]:
    return tuple(key for key in wanted.replace("[", ".").replace("]", "").split(".") if key)


def children(field: SpecField) -> dict[str, str]:
    """The fields just below, with their descriptions."""
    depth = len(field.pattern)
    below: dict[str, str] = {}
    for other in all_fields():
        names = other.pattern[depth:]
        levels = 2 if names[:1] == ("*",) else 1
        if other.pattern[:depth] == field.pattern and len(names) == levels:
            below[".".join(names)] = other.description
    return below


def leaf_pattern(field: SpecField) -> Pattern:
    """The pattern of the leaf that holds the field's value; empty for a field with fields."""
    if _has_fields(field.shape):
        return ()
    return (*field.pattern, "*") if field.shape.is_map else field.pattern


def _has_fields(shape: Shape) -> bool:
    inner = (*shape.members, *((shape.item,) if shape.item else ()))
    return shape.model is not None or any(_has_fields(one) for one in inner)


def _above(pattern: Pattern, keys: tuple[str, ...]) -> int:
    """How much of the pattern stands before the keys; -1 when it does not end so."""
    if not keys or not pattern:
        return -1 if keys else len(pattern)
    if pattern[-1] == keys[-1]:
        return _above(pattern[:-1], keys[:-1]) if len(keys) > 1 else len(pattern) - 1
    if pattern[-1] != "*":
        return -1
    named = _above(pattern[:-1], keys[:-1]) if len(keys) > 1 else -1
    return named if named >= 0 else _above(pattern[:-1], keys)


def _fields(shape: Shape, above: Pattern) -> Iterator[SpecField]:
    for member in shape.members:
        yield from _fields(member, above)
    if shape.item is not None:
        yield from _fields(shape.item, (*above, "*"))
    for key, info in shape.fields.items():
        inner, pattern = shape_of_field(info), (*above, key)
        description = info.description or ""
        yield SpecField(pattern, inner, _default(info), info.is_required(), description)
        yield from _fields(inner, pattern)


def _default(info: FieldInfo) -> str:
    value = None if info.is_required() else info.get_default(call_default_factory=True)
    return "" if value is PydanticUndefined else _told(value)


def _told(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "what its fields say"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | dict):
        return ", ".join(map(str, value)) or "empty"
    return str(value) or "empty"
