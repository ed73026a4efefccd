"""Server-side apply: who owns which fields, after the documentation of Kubernetes.

A field set is a set of paths; an item of a list with natural keys is one step of a path, other
lists are owned whole.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[Any, ...]
KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "listeners": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
_NEVER = ("apiVersion", "kind", "status")
_METADATA = ("labels", "annotations")


class Item(tuple[tuple[str, Any], ...]):
    """An item of a list, by its natural keys."""

    __slots__ = ()


def keys_of(path: Path, items: list[Any]) -> tuple[str, ...]:
    """The natural keys of the list at a path, empty for one that is owned whole."""
    name = path[-1] if path else ""
    if name == "ports":
        found = ("containerPort", "protocol") if "containers" in path else ("port", "protocol")
        found = found if all(found[0] in one for one in items if isinstance(one, dict)) else ()
        return () if "ingress" in path else found
    return KEYS.get(name, ()) if all(isinstance(one, dict) for one in items) else ()


def item_of(one: dict[str, Any], keys: tuple[str, ...]) -> Item:
    defaults = {"protocol": "TCP"}
    return Item((key, one.get(key, defaults.get(key))) for key in keys)


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of all fields of a body that somebody can own."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            if not path and key in _NEVER:
                continue
            if path == ("metadata",) and key not in _METADATA:
                continue
            yield from leaves(below, (*path, key))
    elif isinstance(value, list) and (keys := keys_of(path, value)):
        for one in value:
            yield from leaves(one, (*path, item_of(one, keys)))
    else:
        yield path


def doubled(value: Any, path: Path = ()) -> Iterator[Path]:
    """The items that a list with keys names twice: nobody could own them apart."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from doubled(below, (*path, key))
    elif isinstance(value, list) and (keys := keys_of(path, value)):
        seen: set[Item] = set()
        for one in value:
            item = item_of(one, keys)
            if item in seen:
                yield (*path, item)
            seen.add(item)
            yield from doubled(one, (*path, item))


def at(body: Any, path: Path) -> Any:
    """What stands at a path, None when nothing does."""
    for step in path:
        if isinstance(step, Item):
            keys = tuple(key for key, _ in step)
            items = body if isinstance(body, list) else []
            body = next((one for one in items if item_of(one, keys) == step), None)
        else:
            body = body.get(step) if isinstance(body, dict) else None
    return body


def put(body: Any, path: Path, value: Any) -> None:
    """Set a field, and all that is above it."""
    for number, step in enumerate(path):
        last = number == len(path) - 1
        following = [] if not last and isinstance(path[number + 1], Item) else {}
        if isinstance(step, Item):
            found = at(body, (step,))
            if found is None:
                found = {key: held for key, held in step if held is not None}
                body.append(found)
            body = found
        elif last:
            body[step] = value
        else:
            if not isinstance(body.get(step), (dict, list)):
                body[step] = following
            body = body[step]


def give_up(body: Any, path: Path, owned: set[Path]) -> None:
    """Take a field away that nobody owns any more; with it the item of which nobody owns a part."""
    for length in range(len(path), 0, -1):
        item = path[:length]
        if isinstance(item[-1], Item) and not any(one[:length] == item for one in owned):
            remove(body, item)
            return
    remove(body, path)


def remove(body: Any, path: Path) -> None:
    """Take a field away, and what is empty above it then."""
    above = at(body, path[:-1])
    if above is None:
        return
    step = path[-1]
    if isinstance(step, Item):
        above[:] = [one for one in above if item_of(one, tuple(k for k, _ in step)) != step]
    else:
        above.pop(step, None)
    emptied = not above or (isinstance(path[-2:-1], tuple) and _is_bare(above, path[:-1]))
    if len(path) > 2 and emptied:
        remove(body, path[:-1])


def _is_bare(item: Any, path: Path) -> bool:
    """Whether nothing is left of an item but its keys."""
    if not path or not isinstance(path[-1], Item):
        return False
    return set(item) <= {key for key, _ in path[-1]}


# -- the account of it -----------------------------------------------------------------------------


def fields_of(paths: set[Path]) -> dict[str, Any]:
    """Paths as FieldsV1 writes them."""
    found: dict[str, Any] = {}
    for path in sorted(paths, key=str):
        level = found
        for step in path:
            said = f"k:{json.dumps(dict(step))}" if isinstance(step, Item) else f"f:{step}"
            level = level.setdefault(said, {})
            if isinstance(step, Item):
                level["."] = {}
    return found


def paths_of(fields: dict[str, Any], path: Path = ()) -> Iterator[Path]:
    """What FieldsV1 says, as paths."""
    if not fields and path:
        yield path
    for said, below in fields.items():
        if said == ".":
            continue
        kind, _, name = said.partition(":")
        step = Item(json.loads(name).items()) if kind == "k" else name
        yield from paths_of(below, (*path, step))


def shown(path: Path) -> str:
    """A path as messages show it."""
    text = ""
    for step in path:
        if isinstance(step, Item):
            pairs = ",".join(f"{key}={json.dumps(value)}" for key, value in step)
            text += f"[{pairs}]"
        else:
            text += f".{step}"
    return text
