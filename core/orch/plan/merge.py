"""The three-way merge: what we last applied, what is wanted, what is there.

Fields that we set are set, fields that we set once and want no more are removed, and fields
that only the platform or somebody else has are left alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY
from orch.plan.diff import ABSENT, ListKeys, as_maps, list_keys_of, look_up, patterns_of
from orch.types import Observed, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.backend.capabilities import Capabilities
    from orch.types import FieldPath, InventoryItem, Manifest, Release, Resource


def predict(
    manifest: Manifest, snapshot: Snapshot, capabilities: Capabilities, last: Release | None
) -> Snapshot:
    """What would be there once the manifest was applied; the manifest's objects only."""
    inventory = inventory_of(last)
    merger = Merger(capabilities)
    objects = {
        resource.id: _predicted(resource, snapshot, inventory.get(resource.id), merger)
        for resource in manifest.resources
    }
    return replace(snapshot, objects=objects)


def _predicted(
    resource: Resource, snapshot: Snapshot, item: InventoryItem | None, merger: Merger
) -> Observed:
    live = snapshot.objects.get(resource.id)
    if live is None:
        return Observed(
            resource.id, resource.kind, resource.name, resource.body, owner=snapshot.instance
        )
    body = merger.merge(live, last_applied(live, item), resource.body)
    if body is live.body and live.owner == snapshot.instance and live.name == resource.name:
        return live
    return replace(live, name=resource.name, body=body, owner=snapshot.instance)


def inventory_of(release: Release | None) -> dict[str, InventoryItem]:
    """A release's objects by id."""
    return {item.id: item for item in release.inventory} if release else {}


def last_applied(live: Observed, item: InventoryItem | None) -> Mapping[str, Any] | None:
    """What we last wrote into an object: its own marker's word, else the release's."""
    if live.applied is not None:
        return live.applied
    return item.body if item is not None and item.uid in ("", live.uid) else None


class Merger:
    """Merges bodies of any kind, by the list keys and limits of one backend."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self._keys: dict[str, ListKeys] = {}
        self._initial: dict[str, tuple[tuple[FieldPath, FieldPath], ...]] = {}

    def keys(self, kind: str) -> ListKeys:
        """The natural keys of a kind's lists."""
        if kind not in self._keys:
            self._keys[kind] = list_keys_of(self._capabilities.list_keys, kind)
        return self._keys[kind]

    def merge(
        self, live: Observed, applied: Mapping[str, Any] | None, wanted: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The body that would be there; the live one itself when nothing would change."""
        if live.body == wanted:
            return live.body
        keys = self.keys(live.kind)
        wanted = self.without_initial(live.kind, wanted, live.body)
        merged = _merge(live.body, applied if applied is not None else {}, wanted, (), keys)
        return live.body if merged == live.body else merged

    def owned(
        self, live: Observed, applied: Mapping[str, Any] | None, wanted: Mapping[str, Any]
    ) -> Any:
        """The part of a live body that we set last time or would set now."""
        keys = self.keys(live.kind)
        wanted = self.without_initial(live.kind, wanted, None)
        applied = self.without_initial(live.kind, applied or {}, None)
        return _project(live.body, (applied, wanted), (), keys)

    def owned_now(self, live: Observed, ours: Mapping[str, Any]) -> Any:
        """The part of a live body that one of our bodies names."""
        return _project(live.body, (ours,), (), self.keys(live.kind))

    def without_initial(
        self, kind: str, wanted: Mapping[str, Any], live: Mapping[str, Any] | None
    ) -> Mapping[str, Any]:
        """A body with each field that counts at creation only as it is live, or not at all."""
        for path, condition in self._initial_of(kind):
            if condition and look_up(wanted, condition, self.keys(kind)) is ABSENT:
                continue
            standing = ABSENT if live is None else look_up(live, path, self.keys(kind))
            if live is None or standing is not ABSENT:
                wanted = _put(wanted, path, standing)
        return wanted

    def _initial_of(self, kind: str) -> tuple[tuple[FieldPath, FieldPath], ...]:
        if kind not in self._initial:
            limits: Mapping[str, str] = self._capabilities.limits.get("initial", EMPTY)
            self._initial[kind] = tuple(
                (path, tuple(p for p in limits[text].split(".") if p))
                for text, path in patterns_of(limits, kind)
            )
        return self._initial[kind]


def _put(body: Mapping[str, Any], path: FieldPath, value: Any) -> Mapping[str, Any]:
    """A copy of a body with one field set, or taken out when the value is ABSENT."""
    if not path or not isinstance(body, dict):
        return body
    key, rest = path[0], path[1:]
    if key not in body:
        return body
    copy = dict(body)
    if rest:
        copy[key] = _put(body[key], rest, value)
    elif value is ABSENT:
        del copy[key]
    else:
        copy[key] = value
    return copy


def _merge(live: Any, applied: Any, wanted: Any, path: FieldPath, keys: ListKeys) -> Any:
    if live == wanted:
        return live
    pair = as_maps(live, wanted, path, keys)
    if pair is None:
        return wanted
    before, after = pair
    once = _once_ours(applied, live, path, keys)
    parts = _merge_parts(before, once, after, path, keys, items=not isinstance(live, dict))
    return parts if isinstance(live, dict) else list(parts.values())


def _merge_parts(
    live: Mapping[str, Any],
    applied: Mapping[str, Any],
    wanted: Mapping[str, Any],
    path: FieldPath,
    keys: ListKeys,
    *,
    items: bool,
) -> dict[str, Any]:
    """Both sides, part by part; an item that we put into a list goes whole, its key with it."""
    parts = {}
    for key, standing in live.items():
        below = (*path, key)
        if key in wanted:
            parts[key] = _merge(standing, applied.get(key, {}), wanted[key], below, keys)
        elif key in applied:
            left = ABSENT if items else _without(standing, applied[key], below, keys)
            if left is not ABSENT:
                parts[key] = left
        else:
            parts[key] = standing
    return parts | {key: value for key, value in wanted.items() if key not in live}


def _without(live: Any, applied: Any, path: FieldPath, keys: ListKeys) -> Any:
    """What is left of a live value once what we set is taken away, ABSENT when nothing is."""
    pair = as_maps(live, applied, path, keys)
    if pair is None:
        return ABSENT
    parts = _merge_parts(pair[0], pair[1], {}, path, keys, items=not isinstance(live, dict))
    if not parts:
        return ABSENT
    return parts if isinstance(live, dict) else list(parts.values())


def _once_ours(applied: Any, live: Any, path: FieldPath, keys: ListKeys) -> Mapping[str, Any]:
    pair = as_maps(live, applied, path, keys)
    return pair[1] if pair else {}


def _project(live: Any, owners: tuple[Any, ...], path: FieldPath, keys: ListKeys) -> Any:
    """The live value, cut down to the fields that any of the owners names."""
    pairs = [as_maps(live, owner, path, keys) for owner in owners]
    if not all(pairs):
        return live
    parts: dict[str, Any] = {}
    for key in sorted({k for pair in pairs if pair for k in pair[1]}):
        before = pairs[0][0] if pairs[0] else {}
        if key in before:
            naming = tuple(pair[1][key] for pair in pairs if pair and key in pair[1])
            parts[key] = _project(before[key], naming, (*path, key), keys)
    return parts if isinstance(live, dict) else list(parts.values())
