"""What somebody else changed since we last applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.plan.diff import diff_bodies
from orch.plan.merge import Merger, last_applied
from orch.types import Drift

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.backend.capabilities import Capabilities
    from orch.types import InventoryItem, Observed, Release, Snapshot


def drift_of(last: Release, snapshot: Snapshot, capabilities: Capabilities) -> tuple[Drift, ...]:
    """Objects of a release that are missing, or whose fields are not as we left them.

    Changes go from what we applied (old) to what is there (new); only our fields count.
    """
    merger = Merger(capabilities)
    found = (
        _drift_of(item, snapshot.objects.get(item.id), merger, capabilities.list_keys)
        for item in last.inventory
    )
    return tuple(drift for drift in found if drift is not None)


def _drift_of(
    item: InventoryItem,
    live: Observed | None,
    merger: Merger,
    list_keys: Mapping[str, tuple[str, ...]],
) -> Drift | None:
    if live is None:
        return Drift(item.id, item.kind, item.name, missing=True)
    applied = last_applied(live, item) or item.body
    if live.body == applied:
        return None
    ours = merger.without_initial(item.kind, applied, live.body)
    owned = merger.owned_now(live, ours)
    changes = diff_bodies(ours, owned, list_keys, item.kind)
    return Drift(item.id, item.kind, live.name, changes) if changes else None
