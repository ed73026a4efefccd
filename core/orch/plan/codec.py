"""Plans and releases as JSON, and back. Secret values are in neither."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache, partial
from operator import attrgetter
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from orch import types

if TYPE_CHECKING:
    from collections.abc import Callable

    _Turn = Callable[[Any], Any]

T = TypeVar("T")
NEVER = frozenset({"secrets"})
"""Fields that hold secret values and are never written."""


def encoded(value: Any) -> Any:
    """A value of `orch.types` as JSON would hold it; what is as by default is left out."""
    writer = _writer(cast("Any", type(value)))
    return value if writer is None else writer(value)


@cache
def _writer(kind: Any) -> _Turn | None:
    """How a value of this type is written; None for one that JSON holds as it is."""
    if is_dataclass(kind):
        return partial(_written, _fields(cast("Any", kind)))
    if issubclass(kind, StrEnum):
        return attrgetter("value")
    if issubclass(kind, tuple | list):
        return lambda items: [encoded(item) for item in items]
    if issubclass(kind, dict):
        return lambda held: {key: encoded(item) for key, item in held.items()}
    return None


def _written(named: tuple[tuple[str, Any], ...], value: Any) -> dict[str, Any]:
    return {
        name: encoded(item)
        for name, default in named
        if (item := getattr(value, name)) is not default and item != default
    }


@cache
def _fields(kind: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((f.name, f.default) for f in fields(kind) if f.name not in NEVER)


def decoded(kind: type[T], raw: Any) -> T:
    """A value of this dataclass. Raises KeyError, TypeError or ValueError when it isn't one."""
    if not isinstance(raw, dict):
        msg = f"{kind.__name__} is no mapping"
        raise TypeError(msg)
    readers = _readers(cast("Any", kind))
    unknown = raw.keys() - readers.keys()
    if unknown:
        msg = f"unknown field {min(unknown)!r}"
        raise ValueError(msg)
    return kind(
        **{
            name: item if (reader := readers[name]) is None else reader(item)
            for name, item in raw.items()
        }
    )


@cache
def _readers(kind: Any) -> dict[str, _Turn | None]:
    """How each field is read; None for one that JSON holds as it is."""
    from collections.abc import Mapping

    hints = get_type_hints(kind, {**vars(types), "Any": Any, "Mapping": Mapping})
    return {name: _reader_of(hint) for name, hint in hints.items()}


def _reader_of(hint: Any) -> _Turn | None:
    if get_origin(hint) in (Union, UnionType):
        readers = [_reader_of(choice) for choice in get_args(hint) if is_dataclass(choice)]
        return _unless_none(readers[0]) if readers else None
    if get_origin(hint) is tuple:
        return _each(_reader_of(get_args(hint)[0]))
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(decoded, hint)
    return hint if isinstance(hint, type) and issubclass(hint, StrEnum) else None


def _each(reader: _Turn | None) -> _Turn:
    return tuple if reader is None else lambda raw: tuple(map(reader, raw))


def _unless_none(reader: _Turn | None) -> _Turn:
    return lambda raw: None if raw is None or reader is None else reader(raw)
