"""After a failure: everything that a plan changed is returned to the last good release."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orch.errors import Conflict
from orch.frozen import EMPTY
from orch.plan.graph import in_order
from orch.plan.only import name_of
from orch.types import Action, Dependency, Operation

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from orch.apply.demands import Demands
    from orch.apply.executor import Result
    from orch.types import Instance, InventoryItem, Observed, Plan, Release, Snapshot


@dataclass(frozen=True, slots=True)
class Return:
    """The steps back, and what can't be taken back. `await_health` names what has no rollout."""

    actions: tuple[Action, ...]
    await_health: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of secrets by name, and what is to be told of them."""

    versions: Mapping[str, str]
    notes: tuple[str, ...]


def steps_back(
    instance: Instance,
    plan_actions: Sequence[Action],
    result: Result,
    good: Release,
    snapshot: Snapshot,
    demands: Demands,
    revision: int,
    held: Mapping[str, Collection[str]] = EMPTY,
) -> Return:
    """What must be done so that all that was touched is as in the last good release.

    What this plan created goes again, but for what holds data. One-shot jobs have run, and
    secrets whose earlier version is not among those `held` have lost it: both stay, and are told,
    as does what others changed before this plan could.
    """
    lost = {n for n, version in good.versions.items() if version not in held.get(n, ())}
    touched = set(result.touched)
    items = {item.id: item for item in good.inventory}
    actions, kept = [], []
    for action in plan_actions:
        if action.id not in touched:
            continue
        live = snapshot.objects.get(action.id) or snapshot.objects.get(action.formerly)
        item = items.get(action.formerly or action.id)
        overtaken = isinstance(result.causes.get(action.id), Conflict)
        why_not = "others changed it" if overtaken else ""
        why_not = why_not or _irreversible(action, item, live, demands, lost)
        step = None if why_not else _step_back(action, item, live, good.number)
        if why_not:
            kept.append(f"{action.id} ({why_not})")
        if step is not None:
            actions.append(replace(step, instance=instance, revision=revision))
    restored = {*result.self_restored, *_former_ids(plan_actions, result.self_restored)}
    self_restored = {a.id for a in actions if a.id in restored and a.body is not None}
    unwatched = [replace(a, rollout=a.rollout and a.id not in self_restored) for a in actions]
    names = tuple(name_of(a) for a in actions if a.id in self_restored)
    return Return(in_order(_among(unwatched)), names, tuple(kept))


def _former_ids(actions: Sequence[Action], ids: Collection[str]) -> set[str]:
    return {action.formerly for action in actions if action.id in ids and action.formerly}


def _irreversible(
    action: Action,
    item: InventoryItem | None,
    live: Observed | None,
    demands: Demands,
    lost: Collection[str],
) -> str:
    """Why a change stays, empty when it can be taken back."""
    if demands.runs_once(action):
        return "it ran; what it did stands"
    if action.stateful:
        return "it holds data"
    if action.operation is Operation.RETRY and live and item and live.body == item.body:
        return "it was only tried again"
    written_over = item is not None and live is not None and live.body != item.body
    if written_over and not action.rollout and any(name in lost for name in action.sends):
        return "the earlier value of a secret is not kept"
    return ""


def earlier_versions(
    earlier: Mapping[str, str], now: Mapping[str, str], held: Mapping[str, Collection[str]]
) -> Versions:
    """The versions of secrets to return to: the earlier ones, but where the target lost them."""
    found, notes = dict(now), []
    for name, version in earlier.items():
        if version in held.get(name, ()):
            found[name] = version
        elif now.get(name, version) != version:
            notes.append(f"the secret {name!r} stays as it is: its earlier value is not kept")
    return Versions(found, tuple(notes))


def reruns(plan: Plan, demands: Demands) -> tuple[str, ...]:
    """Which one-shot jobs a plan runs, and why, in a line each."""
    return tuple(
        f"{action.id} runs again: " + ("it differs" if action.changes else action.reason)
        for action in plan.pending
        if action.body is not None and demands.runs_once(action)
    )


def _step_back(
    action: Action, item: InventoryItem | None, live: Observed | None, number: int
) -> Action | None:
    if item is None:
        return _removal(action, live) if live is not None else None
    moved = live is not None and live.name != item.name and not action.formerly
    anew = action.operation is Operation.REPLACE or moved
    return Action(
        Operation.CREATE if live is None else Operation.REPLACE if anew else Operation.UPDATE,
        item.id,
        item.kind,
        item.name,
        f"it returns to release {number}",
        body=item.body,
        before=live,
        after=item.depends_on,
        rollout=item.rollout,
        stateful=item.stateful,
        sends=item.sends,
    )


def _removal(action: Action, live: Observed) -> Action:
    return Action(
        Operation.DELETE,
        action.id,
        action.kind,
        live.name,
        "the failed deploy made it",
        before=live,
        after=action.after,
    )


def _among(actions: Sequence[Action]) -> list[Action]:
    """Each action with only those dependencies that are among these; removals go backwards."""
    returning = {a.id for a in actions if a.operation is not Operation.DELETE}
    dependents = _dependents(actions)
    return [
        replace(
            a,
            after=tuple(Dependency(id_, required=False) for id_ in dependents.get(a.id, []))
            if a.operation is Operation.DELETE
            else tuple(d for d in a.after if d.id in returning),
        )
        for a in actions
    ]


def _dependents(actions: Sequence[Action]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for action in actions:
        if action.operation is Operation.DELETE:
            for dependency in action.after:
                found.setdefault(dependency.id, []).append(action.id)
    return found
