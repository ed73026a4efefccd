"""Plans and releases as JSON, and back. Secret values are in neither."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from orch import types

T = TypeVar("T")
NEVER = frozenset({"secrets"})
"""Fields that hold secret values and are never written."""


def encoded(value: Any) -> Any:
    """A value of `orch.types` as JSON would hold it; what is as by default is left out."""
    if is_dataclass(value):
        return {
            name: encoded(item)
            for name, default in _fields(cast("Any", type(value)))
            if (item := getattr(value, name)) is not default and item != default
        }
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple | list):
        return [encoded(item) for item in value]
    if isinstance(value, dict):
        return {key: encoded(item) for key, item in value.items()}
    return value


@cache
def _fields(kind: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((f.name, f.default) for f in fields(kind) if f.name not in NEVER)


def decoded(kind: type[T], raw: Any) -> T:
    """A value of this dataclass. Raises KeyError, TypeError or ValueError when it isn't one."""
    hints = _hints(cast("Any", kind))
    unknown = set(raw) - set(hints)
    if unknown:
        msg = f"unknown field {min(unknown)!r}"
        raise ValueError(msg)
    return kind(**{name: _decode(hints[name], item) for name, item in raw.items()})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    from collections.abc import Mapping

    return get_type_hints(kind, {**vars(types), "Mapping": Mapping})


def _decode(kind: Any, raw: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _decode_union(kind, raw)
    if origin is tuple:
        return tuple(_decode(get_args(kind)[0], item) for item in raw)
    if isinstance(kind, type) and is_dataclass(kind):
        return decoded(kind, raw)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(raw)
    return raw


def _decode_union(kind: Any, raw: Any) -> Any:
    if raw is None:
        return None
    for choice in get_args(kind):
        if isinstance(choice, type) and is_dataclass(choice):
            return decoded(choice, raw)
    return raw
