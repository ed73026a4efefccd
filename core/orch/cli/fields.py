"""The model as a list of fields with patterns such as `services.*.ports.*.target`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from orch.spec.application import Application
from orch.spec.image import Image
from orch.spec.units import Unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

Pattern = tuple[str, ...]
_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false", Image: "image"}


@dataclass(frozen=True, slots=True)
class SpecField:
    """One field of the model; `models` are those that its value, or an item of it, can be."""

    pattern: Pattern
    type: str
    default: str
    required: bool
    description: str
    models: tuple[type[BaseModel], ...]
    mapping: bool

    @property
    def path(self) -> str:
        """The pattern as a person writes it."""
        return ".".join(self.pattern)


@cache
def all_fields() -> tuple[SpecField, ...]:
    """Every field of the model, a parent before its children."""
    return tuple(_fields(Application, ()))


def find(wanted: str) -> list[SpecField]:
    """Fields whose pattern ends so; a name or index fits `*`. The shallowest ones alone."""
    keys = tuple(key for key in wanted.replace("[", ".").replace("]", "").split(".") if key)
    fitting = [f for f in all_fields() if _ends_so(f.pattern, keys)]
    whole = [f for f in fitting if len(f.pattern) == len(keys)]
    least = min((len(f.pattern) for f in fitting), default=0)
    return whole or [f for f in fitting if len(f.pattern) == least]


def children(field: SpecField) -> dict[str, str]:
    """The fields just below, with their descriptions."""
    depth = len(field.pattern) + 1
    below: dict[str, str] = {}
    for other in all_fields():
        names = other.pattern[len(field.pattern) :]
        stars = 1 if names[:1] == ("*",) else 0
        if other.pattern[: depth - 1] == field.pattern and len(names) == stars + 1:
            below[".".join(names)] = other.description
    return below


def leaf_pattern(field: SpecField) -> Pattern:
    """The pattern of the leaf that holds the field's value; empty for a field with fields."""
    if field.models:
        return ()
    return (*field.pattern, "*") if field.mapping else field.pattern


def _ends_so(pattern: Pattern, keys: tuple[str, ...]) -> bool:
    if not keys or len(keys) > len(pattern):
        return False
    tail = pattern[len(pattern) - len(keys) :]
    if keys[0] != "*" and tail[0] == "*":
        return False if len(keys) < len(pattern) else _fits(tail, keys)
    return _fits(tail, keys)


def _fits(tail: Pattern, keys: tuple[str, ...]) -> bool:
    return all(p in ("*", key) for p, key in zip(tail, keys, strict=True))


def _fields(model: type[BaseModel], above: Pattern) -> Iterator[SpecField]:
    for key, info in model.model_fields.items():
        pattern = (*above, info.alias or key)
        inner, many = _models(info.annotation)
        yield SpecField(
            pattern,
            told_type(info.annotation),
            _default(info),
            info.is_required(),
            info.description or "",
            inner,
            get_origin(_bare(info.annotation)) is dict,
        )
        for kind in inner:
            yield from _fields(kind, (*pattern, "*") if many else pattern)


def _models(annotation: Any) -> tuple[tuple[type[BaseModel], ...], bool]:
    """The models inside an annotation, and whether they stand in a list or mapping."""
    bare = _bare(annotation)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return (bare,), False
    origin, arguments = get_origin(bare), get_args(bare)
    if origin in (Union, UnionType):
        found = [_models(a) for a in arguments]
        return tuple(m for models, _ in found for m in models), any(many for _, many in found)
    if origin is dict:
        return _models(arguments[1])[0], True
    if origin is tuple:
        return _models(arguments[0])[0], True
    return (), False


def _bare(annotation: Any) -> Any:
    """Without Annotated and `| None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        rest = [a for a in get_args(annotation) if a is not NoneType]
        if len(rest) == 1:
            return _bare(rest[0])
    return annotation


def told_type(annotation: Any) -> str:
    """A type in words."""
    bare = _bare(annotation)
    origin, arguments = get_origin(bare), get_args(bare)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(told_type(a) for a in arguments if a is not NoneType))
    if origin is Literal:
        return " | ".join(str(a) for a in arguments)
    if origin is dict:
        return f"mapping of {told_type(arguments[1])}"
    if origin is tuple:
        return f"list of {told_type(arguments[0])}"
    if isinstance(bare, type) and issubclass(bare, Unit):
        return f"{bare.noun} ({', '.join(bare.forms)})"
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return bare.__name__
    return _NAMES.get(bare, getattr(bare, "__name__", str(bare)))


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or info.is_required():
        return ""
    if value is None or value in ((), {}) or isinstance(value, BaseModel):
        return "none" if value is None else "empty" if value in ((), {}) else "its fields' defaults"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
