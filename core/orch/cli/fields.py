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


@dataclass(frozen=True, slots=True)
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
    """Fields whose pattern ends so; a name or index fits `*`. The shallowest ones alone."""
    keys = tuple(key for key in wanted.replace("[", ".").replace("]", "").split(".") if key)
    fitting = [field for field in all_fields() if _ends_so(field.pattern, keys)]
    whole = [field for field in fitting if len(field.pattern) == len(keys)]
    least = min((len(field.pattern) for field in fitting), default=0)
    return whole or [field for field in fitting if len(field.pattern) == least]


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


def _ends_so(pattern: Pattern, keys: tuple[str, ...]) -> bool:
    """A path that is given in part begins with the name of a field."""
    if not keys or len(keys) > len(pattern):
        return False
    tail = pattern[len(pattern) - len(keys) :]
    if len(keys) < len(pattern) and tail[0] == "*" != keys[0]:
        return False
    return all(p in ("*", key) for p, key in zip(tail, keys, strict=True))


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
