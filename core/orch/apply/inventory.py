"""What stands after a deploy, as its release tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.types import InventoryItem, Operation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from orch.types import Action, Snapshot


def intended(
    actions: Iterable[Action], earlier: Mapping[str, InventoryItem]
) -> tuple[InventoryItem, ...]:
    """What a deploy may leave behind, written before it begins: old and new objects alike."""
    items = dict(earlier)
    items |= {action.id: item_of(action) for action in actions if action.body is not None}
    return tuple(items.values())


def standing(
    actions: Iterable[Action],
    earlier: Mapping[str, InventoryItem],
    snapshot: Snapshot,
    untouched: Collection[str] = (),
) -> tuple[InventoryItem, ...]:
    """What is really there, with the bodies that we last gave it.

    `untouched` are actions that were never carried out: the earlier body counts for these.
    """
    items = dict(earlier)
    items |= {
        action.id: item_of(action)
        for action in actions
        if action.body is not None and not (action.id in untouched and action.id in earlier)
    }
    return tuple(
        _with_uid(item, snapshot) for item in items.values() if item.id in snapshot.objects
    )


def item_of(action: Action) -> InventoryItem:
    """An action's object as a release keeps it."""
    fresh = action.operation in (Operation.CREATE, Operation.REPLACE)
    return InventoryItem(
        action.id,
        action.kind,
        action.name,
        action.before.uid if action.before and not fresh else "",
        action.body or {},
        depends_on=action.after,
        rollout=action.rollout,
        stateful=action.stateful,
        sends=action.sends,
    )


def _with_uid(item: InventoryItem, snapshot: Snapshot) -> InventoryItem:
    live = snapshot.objects[item.id]
    return InventoryItem(
        item.id,
        item.kind,
        live.name,
        live.uid,
        item.body,
        item.depends_on,
        item.rollout,
        item.stateful,
        item.sends,
    )
