"""Overlays: one document laid over another, by the natural keys of the spec."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orch.types import FieldPath

    Identity = Callable[[Mapping[str, Any]], str]


def _port(item: Mapping[str, Any]) -> str:
    return f"{item.get('target')}/{item.get('protocol', 'tcp')}"


def _mount(item: Mapping[str, Any]) -> str:
    return str(item.get("target"))


def _file(item: Mapping[str, Any]) -> str:
    return str(item.get("target") or item.get("source"))


def _route(item: Mapping[str, Any]) -> str:
    return f"{item.get('host')} {item.get('path', '/')} {item.get('service')}"


LIST_KEYS: Mapping[str, Identity] = {
    "ports": _port,
    "volumes": _mount,
    "configs": _file,
    "secrets": _file,
    "routes": _route,
}
"""What tells the items of a list apart; every other list is replaced whole."""


@dataclass(frozen=True)
class Merged:
    """A document with an overlay laid over it.

    `origins` maps paths of the result to paths of the overlay; what is below none of them came
    from the base and has the same path there.
    """

    tree: dict[str, Any]
    origins: Mapping[FieldPath, FieldPath] = field(default_factory=dict)

    def origin(self, path: FieldPath) -> tuple[bool, FieldPath]:
        """Whether this path came from the overlay, and the path that it has in its source."""
        for length in range(len(path), -1, -1):
            source = self.origins.get(path[:length])
            if source is not None:
                return True, source + path[length:]
        return False, path


def merge(base: dict[str, Any], overlay: dict[str, Any]) -> Merged:
    """Lay an overlay over a document; neither is altered.

    Mappings merge by key and a null takes its key away; lists merge by `LIST_KEYS`.
    """
    origins: dict[FieldPath, FieldPath] = {}
    return Merged(_merge_maps(base, overlay, (), (), origins), origins)


def _merge_maps(
    base: dict[str, Any],
    overlay: dict[str, Any],
    at: FieldPath,
    source: FieldPath,
    origins: dict[FieldPath, FieldPath],
) -> dict[str, Any]:
    result = dict(base)
    for key, item in overlay.items():
        if item is None and result.get(key) is not None:
            del result[key]
            continue
        there, here = (*at, key), (*source, key)
        result[key] = _merge_values(result.get(key), item, there, here, origins)
    return result


def _merge_values(
    base: Any, overlay: Any, at: FieldPath, source: FieldPath, origins: dict[FieldPath, FieldPath]
) -> Any:
    if isinstance(base, dict) and isinstance(overlay, dict):
        return _merge_maps(base, overlay, at, source, origins)
    identity = LIST_KEYS.get(str(at[-1]))
    if identity and _keyed(base) and _keyed(overlay):
        return _merge_lists(base, overlay, identity, at, source, origins)
    origins[at] = source
    return overlay


def _keyed(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _merge_lists(
    base: list[Any],
    overlay: list[Any],
    identity: Identity,
    at: FieldPath,
    source: FieldPath,
    origins: dict[FieldPath, FieldPath],
) -> list[Any]:
    result = list(base)
    places = {identity(item): index for index, item in enumerate(base)}
    for number, item in enumerate(overlay):
        here = (*source, number)
        index = places.setdefault(identity(item), len(result))
        if index == len(result):
            result.append(item)
            origins[*at, index] = here
        else:
            there = (*at, index)
            result[index] = _merge_maps(result[index], item, there, here, origins)
    return result
