"""Whether what a plan rests on still stands, asked right before it is carried out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orch.errors import StalePlan
from orch.frozen import EMPTY
from orch.plan.merge import Merger, inventory_of, last_applied
from orch.plan.steps import AS_WANTED, fingerprint, is_ours
from orch.types import Ledger, Manifest, Operation, Resource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch.backend.capabilities import Capabilities
    from orch.types import Action, InventoryItem, Observed, Plan, Release, Snapshot

AGAIN = "make the plan again"


def manifest_of(plan: Plan) -> Manifest:
    """What the plan wants to be there, as a manifest to observe by."""
    wanted = [action for action in plan.actions if action.body is not None]
    return recorded(plan.instance.name, plan.backend, wanted)


def recorded(app: str, backend: str, steps: Sequence[Action | InventoryItem]) -> Manifest:
    """Steps, or a release's objects, as a manifest without a ledger."""
    resources = tuple(
        Resource(s.id, s.kind, s.name, s.body or {}, rollout=s.rollout, stateful=s.stateful)
        for s in steps
    )
    return Manifest(app, backend, resources, Ledger(()))


def check_history(plan: Plan, releases: list[Release]) -> None:
    """Raise StalePlan when somebody else deployed since the plan was made.

    `releases` are newest first. Attempts of this very plan don't count: it may be tried again.
    """
    for release in releases:
        if release.number > plan.base_revision and release.plan != plan.fingerprint:
            raise StalePlan(
                f"release {release.number} ({release.reason}, by {release.who}) came after "
                f"this plan, which rests on release {plan.base_revision}",
                mend=AGAIN,
            )


def refreshed(
    plan: Plan, snapshot: Snapshot, capabilities: Capabilities, last: Release | None
) -> Plan:
    """The plan with what is done already marked so, the rest on the objects as they are now.

    Raises StalePlan naming the object and what moved. An object that is as wanted has not moved.
    """
    merger = Merger(capabilities)
    inventory = inventory_of(last)
    actions = tuple(
        _refreshed(action, plan, _found(action, snapshot), inventory, merger)
        for action in plan.actions
    )
    return replace(plan, actions=actions)


def _found(action: Action, snapshot: Snapshot) -> Observed | None:
    """The object of a step, by its former id where it is not renamed yet."""
    return snapshot.objects.get(action.id) or snapshot.objects.get(action.formerly)


def _refreshed(
    action: Action,
    plan: Plan,
    live: Observed | None,
    inventory: Mapping[str, InventoryItem],
    merger: Merger,
) -> Action:
    if action.operation is Operation.NOOP and action.reason != AS_WANTED:
        return replace(action, before=live)
    if live is None:
        return _absent(action)
    if action.operation is Operation.DELETE:
        return _standing(action, live, merger)
    if action.operation is Operation.RETRY and not live.failed:
        return _nothing_left(action, AS_WANTED, live)
    if action.operation not in (Operation.RESTART, Operation.RETRY) and _is_as_wanted(
        action, plan, live, inventory.get(action.id), merger
    ):
        return _nothing_left(action, AS_WANTED, live)
    return _standing(action, live, merger)


def _absent(action: Action) -> Action:
    if action.before is None:
        return action
    if action.operation is Operation.DELETE:
        return _nothing_left(action, "it is gone already", None)
    raise StalePlan(f"{action.kind} {action.name!r} is gone", place=action.id, mend=AGAIN)


def _is_as_wanted(
    action: Action, plan: Plan, live: Observed, item: InventoryItem | None, merger: Merger
) -> bool:
    if (live.id, live.name) != (action.id, action.name):
        return False
    if not is_ours(live, item, plan.instance):
        return False
    return merger.merge(live, last_applied(live, item), action.body or EMPTY) is live.body


def _nothing_left(action: Action, reason: str, live: Observed | None) -> Action:
    return replace(
        action,
        operation=Operation.NOOP,
        reason=reason,
        before=live,
        changes=(),
        destroys_data=False,
    )


def _standing(action: Action, live: Observed, merger: Merger) -> Action:
    """The step on the object as it is now. Raises StalePlan when an owned field moved."""
    before = action.before
    if before is None:
        raise StalePlan(
            f"{action.kind} {live.name!r} has appeared since", place=action.id, mend=AGAIN
        )
    if before.uid != live.uid:
        raise StalePlan(
            f"{action.kind} {live.name!r} was made anew since", place=action.id, mend=AGAIN
        )
    applied = before.applied
    wanted = EMPTY if action.operation is Operation.DELETE else (action.body or EMPTY)
    was = fingerprint(before, applied, wanted, merger)
    if live.owner != before.owner or fingerprint(live, applied, wanted, merger) != was:
        raise StalePlan(
            f"{action.kind} {live.name!r} was changed since", place=action.id, mend=AGAIN
        )
    return replace(action, before=live)
