"""Who owns which fields of an object, as the API keeps account of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orch_kubernetes.api.client import MANAGER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Fields = dict[str, Any]
BY_HAND = ("kubectl", "helm", "before-first-apply")
"""How the names of tools begin that people run, and that do not apply again and again."""
FIXED = frozenset({"Job", "PersistentVolumeClaim"})
"""Kinds whose specs hardly change once they are there: what was set by hand in them stays."""
_SPEC = "f:spec"


def without_ours(
    entries: Sequence[Mapping[str, Any]],
) -> list[Mapping[str, Any]]:
    """The account in which these managers no longer own what we apply.

    A field goes from an object only when nobody owns it any more.
    """
    ours: Fields = next((e["fieldsV1"] for e in entries if _is_ours(e)), {})
    kept: list[Mapping[str, Any]] = []
    for entry in entries:
        if _is_by_hand(entry):
            left = _minus(entry.get("fieldsV1") or {}, ours)
            if left:
                kept.append({**entry, "fieldsV1": left})
        else:
            kept.append(entry)
    return kept


def all_ours(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The account in which we own all that was set by hand in a spec.

    Whatever of it is not applied goes with the next apply, as kubectl does with its own.
    """
    theirs = [entry for entry in entries if _is_by_hand(entry) and _SPEC in entry["fieldsV1"]]
    if not theirs:
        return list(entries)
    ours = next((dict(e) for e in entries if _is_ours(e)), None)
    if ours is None:
        ours = {**theirs[0], "manager": MANAGER, "operation": "Apply", "fieldsV1": {}}
    for entry in theirs:
        taken = {_SPEC: entry["fieldsV1"][_SPEC]}
        ours["fieldsV1"] = _plus(ours["fieldsV1"], taken)
    kept: list[Mapping[str, Any]] = []
    for entry in (e for e in entries if not _is_ours(e)):
        left = {k: v for k, v in entry["fieldsV1"].items() if k != _SPEC or entry not in theirs}
        if left:
            kept.append({**entry, "fieldsV1": left})
    return [*kept, ours]


def adopted(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a dry run shows, without what was set by hand alone: an adoption takes that away."""
    entries = row["metadata"].get("managedFields") or ()
    surplus: Fields = {}
    for entry in entries:
        if _is_by_hand(entry):
            surplus = _plus(surplus, {_SPEC: entry["fieldsV1"].get(_SPEC, {})})
    for entry in entries:
        if not _is_by_hand(entry):
            surplus = _minus(surplus, entry.get("fieldsV1") or {})
    return {**row, "spec": _without(row.get("spec"), surplus.get(_SPEC) or {})}


def _without(value: Any, fields: Fields) -> Any:
    """A value without fields: a member of a list goes when it is theirs as a whole."""
    if isinstance(value, list):
        return [
            _without(item, below) if (below := _of_item(item, fields)) is not None else item
            for item in value
            if "." not in (_of_item(item, fields) or {}) and f"v:{json.dumps(item)}" not in fields
        ]
    if not isinstance(value, dict):
        return value
    made = dict(value)
    for key, below in fields.items():
        name = key.removeprefix("f:")
        if not key.startswith("f:") or name not in made:
            continue
        left = _without(made[name], below) if below else None
        if left in (None, {}, []):
            del made[name]
        else:
            made[name] = left
    return made


def _of_item(item: Any, fields: Fields) -> Fields | None:
    """What is said of a member of a list, which is known by its keys."""
    for key, below in fields.items():
        if key.startswith("k:") and isinstance(item, dict):
            wanted: dict[str, Any] = json.loads(key[2:])
            if all(item.get(name) == value for name, value in wanted.items()):
                return dict(below)
    return None


def _plus(one: Fields, other: Fields) -> Fields:
    """The union of two sets of fields."""
    both = dict(one)
    for key, below in other.items():
        both[key] = _plus(both.get(key) or {}, below)
    return both


def _is_by_hand(entry: Mapping[str, Any]) -> bool:
    by_hand = entry.get("operation") == "Update" and not entry.get("subresource")
    return by_hand and str(entry.get("manager", "")).lower().startswith(BY_HAND)


def _is_ours(entry: Mapping[str, Any]) -> bool:
    return entry.get("manager") == MANAGER and entry.get("operation") == "Apply"


def _minus(fields: Fields, ours: Fields) -> Fields:
    """A set of fields without those of another: `f:name`, `k:{…}` and `.` are its members."""
    left: Fields = {}
    for key, below in fields.items():
        if key not in ours:
            left[key] = below
        elif below:
            rest = _minus(below, ours[key])
            if rest:
                left[key] = rest
    return left
