"""The order of steps: what others rest on comes first, and deletions go the other way, last."""

from __future__ import annotations

from dataclasses import replace
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from orch.types import Dependency, Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orch.types import Action, InventoryItem

PREPARE, RUN, REMOVE = range(3)


def in_order(actions: Iterable[Action]) -> tuple[Action, ...]:
    """Actions so sorted that each comes after what it waits for; ties keep their order.

    What runs comes after everything that only prepares, and deletions come last.
    """
    given = tuple(actions)
    phases = phases_of(given)
    position = {action.id: (phases[action.id], n) for n, action in enumerate(given)}
    waiting, dependents = _edges(given)
    ready = [position[id_] for id_, count in waiting.items() if not count]
    heapify(ready)
    found: list[Action] = []
    while ready:
        action = given[heappop(ready)[1]]
        found.append(action)
        for id_ in dependents.get(action.id, ()):
            waiting[id_] -= 1
            if not waiting[id_]:
                heappush(ready, position[id_])
    return tuple(found)


def _edges(actions: Sequence[Action]) -> tuple[dict[str, int], dict[str, list[str]]]:
    waiting = {action.id: 0 for action in actions}
    dependents: dict[str, list[str]] = {}
    for action in actions:
        for dependency in action.after:
            if dependency.id in waiting:
                waiting[action.id] += 1
                dependents.setdefault(dependency.id, []).append(action.id)
    return waiting, dependents


def phases_of(actions: Sequence[Action]) -> dict[str, int]:
    """When each action may start: those that prepare first, then what runs, then deletions.

    Configs, secrets, networks and volumes prepare. What depends, however far, on something that
    runs is started in the same phase as it, in the order of its own dependencies. A deletion
    that a creation waits for, since both need the same port, belongs to that creation's phase.
    """
    by_id = {action.id: action for action in actions}
    phases: dict[str, int] = {}
    for action in actions:
        if action.id not in phases:
            _settle(action, by_id, phases)
    _hasten(actions, by_id, phases)
    return phases


def _settle(first: Action, by_id: Mapping[str, Action], phases: dict[str, int]) -> None:
    """Find the phase of an action and of all it waits for, without recursion."""
    stack = [first]
    while stack:
        action = stack[-1]
        before = [by_id[d.id] for d in action.after if d.id in by_id]
        unknown = [a for a in before if a.id not in phases]
        if unknown:
            stack.extend(unknown)
            continue
        runs = action.rollout or any(phases[a.id] == RUN for a in before)
        phases[action.id] = RUN if runs else PREPARE
        if action.operation is Operation.DELETE:
            phases[action.id] = REMOVE
        stack.pop()


def _hasten(actions: Sequence[Action], by_id: Mapping[str, Action], phases: dict[str, int]) -> None:
    """Move deletions that a creation waits for, and what those wait for, to where it runs."""
    urgent = [
        by_id[dependency.id]
        for action in actions
        if action.operation is not Operation.DELETE
        for dependency in action.after
        if phases.get(dependency.id) == REMOVE
    ]
    while urgent:
        action = urgent.pop()
        phases[action.id] = RUN
        urgent.extend(by_id[d.id] for d in action.after if phases.get(d.id) == REMOVE)


def deletions_in_reverse(
    deletions: Sequence[Action], inventory: Mapping[str, InventoryItem]
) -> list[Action]:
    """Deletions, each waiting for the deletion of everything that rests on it.

    Objects that no release knows wait for what runs: their dependencies are unknown.
    """
    ids = {action.id for action in deletions}
    running = [action.id for action in deletions if action.rollout]
    waits: dict[str, list[Dependency]] = {id_: [] for id_ in ids}
    for action in deletions:
        item = inventory.get(action.id)
        for dependency in item.depends_on if item else ():
            if dependency.id in ids:
                waits[dependency.id].append(Dependency(action.id, required=False))
        if item is None and not action.rollout:
            waits[action.id].extend(Dependency(id_, required=False) for id_ in running)
    return [replace(action, after=tuple(waits[action.id])) for action in deletions]
