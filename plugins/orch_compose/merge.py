"""Several Compose files as one: later ones override, by the rules that Compose has for each key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orch.load.item import Item
    from orch.types import FieldPath, Place

    Key = Callable[[Item], str]

RESET, OVERRIDE = "!reset", "!override"
TAGS = frozenset((RESET, OVERRIDE))
_REPLACED = frozenset(("command", "entrypoint", "test"))
"""Lists of a service that are one value: a later file's stands instead of the earlier one's."""
_PAIRS = frozenset(
    ("additional_contexts", "annotations", "args", "environment", "labels", "sysctls")
)
"""Mappings that may be lists of `KEY=value`: a key without a value overrides one that has it."""


def _own(item: Item) -> str:
    return str(item.value)


def _by(*keys: str) -> Key:
    def index(item: Item) -> str:
        parts = (item.get(key) for key in keys)
        return "|".join("" if part is None else str(part.value) for part in parts)

    return index


def _device(item: Item) -> str:
    return _by("target")(item) or _by("source")(item)


def _port(item: Item) -> str:
    protocol = item.get("protocol")
    shown = protocol.value if protocol is not None else "tcp"
    return f"{_by('host_ip', 'target', 'published')(item)}/{shown}"


def _file(item: Item) -> str:
    target = item.get("target") or item.get("source")
    return str(target.value).removeprefix("/run/secrets/") if target else ""


_UNIQUE: dict[str, Key] = {
    "aliases": _own,
    "cap_add": _own,
    "cap_drop": _own,
    "configs": _file,
    "devices": _device,
    "dns": _own,
    "dns_opt": _own,
    "dns_search": _own,
    "env_file": _by("path"),
    "expose": _own,
    "label_file": _own,
    "link_local_ips": _own,
    "links": _own,
    "platforms": _own,
    "ports": _port,
    "profiles": _own,
    "secrets": _file,
    "tags": _own,
    "tmpfs": _own,
    "volumes": _by("target"),
}


def merge(base: Item, over: Item, key: str = "") -> Item:
    """Lay one canonical item over another. Neither is altered; what is replaced is noted."""
    if over.value is None and key not in _REPLACED:
        over.replace(base.place)
        return base
    if key == "config" and isinstance(base.value, list) and isinstance(over.value, list):
        return _merge_ranges(base, over)
    if isinstance(base.value, dict) and isinstance(over.value, dict):
        return _merge_maps(base, over, key)
    if isinstance(base.value, list) and isinstance(over.value, list) and key not in _REPLACED:
        _note_empty(base, over)
        return over.derive([*base, *over])
    base.replace(over.place)
    return over


def _merge_maps(base: Item, over: Item, key: str) -> Item:
    if key == "logging" and _drivers_differ(base, over):
        base.replace(over.place)
        return over
    found = dict(base.items())
    for name, value in over.items():
        found[name] = _member(found[name], value, name, key) if name in found else value
    _note_empty(base, over)
    return over.derive(found)


def _member(base: Item, over: Item, name: str, key: str) -> Item:
    """One key of two mappings, where the mapping's own name may have a rule for its members."""
    if key in _PAIRS:
        base.replace(over.place)
        return over
    if key == "depends_on" and not over.value and base.value:
        # A name in a list says what its long form would: wait for the start.
        return merge(base, over.derive({"condition": over.derive("service_started")}), name)
    merged = merge(base, over, name)
    return _distinct(merged) if key == "extra_hosts" else merged


def _distinct(item: Item) -> Item:
    found: dict[str, Item] = {}
    for member in item:
        if member.value in found:
            found[member.value].replace(member.place)
        found[member.value] = member
    return item.derive(list(found.values()))


def _merge_ranges(base: Item, over: Item) -> Item:
    """Address ranges of a network are one when their subnet is."""
    found = list(base)
    for pool in over:
        subnet = _by("subnet")(pool)
        same = next((i for i, known in enumerate(found) if _by("subnet")(known) == subnet), None)
        if same is None:
            found.append(pool)
        else:
            found[same] = merge(found[same], pool)
    return over.derive(found)


def _note_empty(base: Item, over: Item) -> None:
    """An empty part is a leaf of its own, and gone when it is filled from the other side."""
    for side in (base, over):
        if not side.value and (base.value or over.value):
            side.replace(over.place)


def _drivers_differ(base: Item, over: Item) -> bool:
    first, second = base.get("driver"), over.get("driver")
    return first is not None and second is not None and first.value != second.value


def unify(item: Item, key: str = "") -> Item:
    """Of list members that mean the same thing the last one stays, in the place of the first."""
    if key.startswith("x-"):
        return item
    if isinstance(item.value, dict):
        return item.derive({name: unify(value, name) for name, value in item.items()})
    index = _UNIQUE.get(key)
    if index is None or not isinstance(item.value, list) or not _is_indexed(item, key):
        return item
    found: dict[str, Item] = {}
    for member in item:
        name = index(member)
        if name in found:
            found[name].replace(member.place)
        found[name] = member
    return item.derive(list(found.values()))


def _is_indexed(item: Item, key: str) -> bool:
    """Whether the members have the form that the key's index reads."""
    keyed = key in ("configs", "devices", "env_file", "ports", "secrets", "volumes")
    return all(isinstance(member.value, dict) is keyed for member in item)


def tagged(item: Item) -> Iterator[tuple[FieldPath, Place]]:
    """Paths that a file marks with `!reset` or `!override`."""
    if item.tag:
        yield item.path, item.place
        return
    members = item.value.values() if isinstance(item.value, dict) else ()
    for value in members:
        yield from tagged(value)


def without_resets(item: Item) -> Item:
    """The file without what it marks with `!reset`; those marks themselves have done their work."""
    if not isinstance(item.value, dict):
        return item
    kept = {k: without_resets(v) for k, v in item.items() if v.tag != RESET}
    for value in item.value.values():
        if value.tag == RESET:
            value.replace(value.place)
    return item if item.tag == OVERRIDE else _same(item, kept)


def _same(item: Item, value: dict[str, Item]) -> Item:
    item.value = value
    return item


def remove(item: Item, path: FieldPath, by: Place) -> None:
    """Take a path out of a tree, in place; one that is not there is no fault."""
    *outer, last = path
    found: Item | None = item
    for key in outer:
        value = found.value if found is not None else None
        found = value.get(key) if isinstance(value, dict) else None
    if found is None or not isinstance(found.value, dict):
        return
    removed = found.value.pop(last, None)
    if removed is not None:
        removed.replace(by)
