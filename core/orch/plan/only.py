"""A plan for a few services: these, what they need and have not got, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from orch.errors import UsageFault
from orch.types import Operation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from orch.types import Action, InventoryItem

SECTIONS = ("services", "jobs", "volumes", "networks", "configs", "secrets", "registries")


def narrowed(
    actions: list[Action], only: Collection[str], inventory: Mapping[str, InventoryItem]
) -> list[Action]:
    """The same steps, with those that nobody asked for made to do nothing.

    What is not there and was not asked for is left out. Raises UsageFault for an unknown name.
    """
    _check(actions, only)
    chosen = _chosen(actions, only)
    found = (a if a.id in chosen else _left_alone(a, inventory) for a in actions)
    return [action for action in found if action is not None]


def _check(actions: list[Action], only: Collection[str]) -> None:
    names = sorted({name_of(action) for action in actions if action.rollout})
    for name in only:
        if name not in names:
            near = get_close_matches(name, names, 1)
            raise UsageFault(
                f"there is no service or job {name!r}",
                mend=f"did you mean {near[0]}?" if near else f"choose among {', '.join(names)}",
            )


def name_of(action: Action) -> str:
    """The name that a step's object has in the spec: its id after the first slash."""
    return action.id.partition("/")[2]


def _chosen(actions: list[Action], only: Collection[str]) -> set[str]:
    by_id = {action.id: action for action in actions}
    runs = {a.id for a in actions if a.rollout and name_of(a) in only}
    waiting = [a for a in actions if _belongs(a, runs, only)]
    chosen: set[str] = set()
    while waiting:
        action = waiting.pop()
        if action.id not in chosen:
            chosen.add(action.id)
            waiting.extend(_needs(action, by_id))
    return chosen


def _belongs(action: Action, runs: set[str], only: Collection[str]) -> bool:
    """A rollout of the name, or a companion that rests on one; not a volume of the same name."""
    rests = any(dependency.id in runs for dependency in action.after)
    return action.id in runs or (rests and name_of(action) in only)


def _needs(action: Action, by_id: Mapping[str, Action]) -> Iterator[Action]:
    """What a step rests on: all that only prepares, and of what runs only what is missing."""
    for dependency in action.after:
        needed = by_id.get(dependency.id)
        if needed is not None and (not needed.rollout or needed.operation is Operation.CREATE):
            yield needed


def _left_alone(action: Action, inventory: Mapping[str, InventoryItem]) -> Action | None:
    if action.operation is Operation.NOOP:
        return action
    if action.before is None or action.formerly or action.operation is Operation.ADOPT:
        return None
    item = inventory.get(action.id)
    return replace(
        action,
        operation=Operation.NOOP,
        reason="not asked for",
        body=item.body if item else action.before.applied,
        changes=(),
        fingerprint="",
        destroys_data=False,
    )


def merged_document(
    new: Mapping[str, Any], old: Mapping[str, Any], actions: list[Action], only: Collection[str]
) -> dict[str, Any]:
    """The earlier document with what was planned now put over it: what will then be true."""
    touched = {name_of(a) for a in actions if a.reason != "not asked for"} | set(only)
    base = old or {key: value for key, value in new.items() if key not in (*SECTIONS, "routes")}
    merged = dict(base)
    for section in SECTIONS:
        fresh = {k: v for k, v in new.get(section, {}).items() if k in touched}
        if fresh or section in base:
            merged[section] = {**base.get(section, {}), **fresh}
    return merged
