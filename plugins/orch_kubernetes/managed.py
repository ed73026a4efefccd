"""Who owns which fields of an object, as the API keeps account of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_kubernetes.client import MANAGER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Fields = dict[str, Any]


def without_ours(
    entries: Sequence[Mapping[str, Any]], managers: Iterable[str]
) -> list[Mapping[str, Any]]:
    """The account in which these managers no longer own what we apply.

    A field goes from an object only when nobody owns it any more.
    """
    stems = tuple(managers)
    ours: Fields = next((e["fieldsV1"] for e in entries if _is_ours(e)), {})
    kept: list[Mapping[str, Any]] = []
    for entry in entries:
        by_hand = entry.get("operation") == "Update" and not entry.get("subresource")
        if by_hand and str(entry.get("manager", "")).lower().startswith(stems):
            left = _minus(entry.get("fieldsV1") or {}, ours)
            if left:
                kept.append({**entry, "fieldsV1": left})
        else:
            kept.append(entry)
    return kept


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
