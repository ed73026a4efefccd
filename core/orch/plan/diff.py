"""What differs between two bodies, field by field, with lists compared by their natural keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from orch.frozen import EMPTY
from orch.types import Change, Op

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orch.types import FieldPath

Keyed = dict[str, Any]
ABSENT: Any = object()
"""Stands for a field that is not there, where None could be its value."""


class ListKeys(NamedTuple):
    """The natural keys of one kind's lists, by path without names, split at the dots."""

    patterns: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]

    def of(self, path: FieldPath) -> tuple[str, ...]:
        """The keys by which items at this path are told apart, empty for a list taken whole."""
        for pattern, keys in self.patterns:
            if fits(pattern, path):
                return keys
        return ()


NO_KEYS = ListKeys(())


def list_keys_of(list_keys: Mapping[str, tuple[str, ...]], kind: str) -> ListKeys:
    """The part of `Capabilities.list_keys` that speaks of one kind."""
    return ListKeys(tuple((parts, list_keys[text]) for text, parts in patterns_of(list_keys, kind)))


def patterns_of(texts: Mapping[str, Any] | Sequence[str], kind: str) -> list[tuple[str, Any]]:
    """Patterns `KIND:a.*.b` that speak of one kind, each with its path split at the dots."""
    own = [(text, text.partition(":")) for text in texts]
    return [
        (text, tuple(part for part in path.split(".") if part))
        for text, (head, _, path) in own
        if head == kind
    ]


def fits(pattern: tuple[str, ...], path: FieldPath) -> bool:
    """Whether a path is exactly what a pattern says; `*` stands for any one key."""
    return len(pattern) == len(path) and all(
        p in ("*", part) for p, part in zip(pattern, path, strict=True)
    )


def diff_bodies(
    live: Any,
    wanted: Any,
    list_keys: Mapping[str, tuple[str, ...]] = EMPTY,
    kind: str = "",
) -> tuple[Change, ...]:
    """The fields in which two JSON-shaped bodies differ, in the order of the wanted one.

    A list with a natural key is compared item by item, its items named by their keys and their
    order ignored; any other list is one field. `list_keys` is that of the capabilities.
    """
    if live is wanted or live == wanted:
        return ()
    return tuple(_differences(live, wanted, (), list_keys_of(list_keys, kind)))


def _differences(old: Any, new: Any, path: FieldPath, keys: ListKeys) -> Iterator[Change]:
    if old is ABSENT:
        yield Change(Op.ADD, path, new=new)
    elif new is ABSENT:
        yield Change(Op.REMOVE, path, old=old)
    elif old == new:
        return
    else:
        pair = as_maps(old, new, path, keys)
        if pair is None:
            yield Change(Op.CHANGE, path, old, new)
            return
        before, after = pair
        for key in (*after, *(k for k in before if k not in after)):
            yield from _differences(
                before.get(key, ABSENT), after.get(key, ABSENT), (*path, key), keys
            )


def as_maps(old: Any, new: Any, path: FieldPath, keys: ListKeys) -> tuple[Keyed, Keyed] | None:
    """Both values as mappings, where they can be compared part by part, else None."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old, new
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        before, after = keyed(old, keys.of(path)), keyed(new, keys.of(path))
        if before is not None and after is not None:
            return before, after
    return None


def keyed(items: Sequence[Any], keys: tuple[str, ...]) -> Keyed | None:
    """A list as a mapping by natural key; None when it has none, or when two items share one."""
    if not keys or not all(isinstance(item, dict) for item in items):
        return None
    found = {_key_of(item, keys): item for item in items}
    return found if len(found) == len(items) and "" not in found else None


def _key_of(item: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return "/".join(str(item[key]) for key in keys if item.get(key) is not None)


def look_up(body: Any, path: FieldPath, keys: ListKeys) -> Any:
    """The value at a path of `diff_bodies`, ABSENT when there is none."""
    value = body
    for depth, key in enumerate(path):
        if isinstance(value, list | tuple):
            value = keyed(value, keys.of(path[:depth]))
        if not isinstance(value, dict) or key not in value:
            return ABSENT
        value = value[key]
    return value


def values_at(body: Any, pattern: tuple[str, ...]) -> Iterator[Any]:
    """Every value at a pattern's path; `*` stands for any key or item."""
    if not pattern:
        yield body
        return
    key, rest = pattern[0], pattern[1:]
    below: list[Any] = []
    if isinstance(body, dict):
        below = list(body.values()) if key == "*" else [body[key]] if key in body else []
    elif isinstance(body, list | tuple) and key == "*":
        below = list(body)
    for value in below:
        yield from values_at(value, rest)
