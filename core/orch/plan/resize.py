"""Plans from what is deployed already: another size, or the same thing started anew."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from orch.errors import UsageFault
from orch.plan.graph import in_order
from orch.plan.make import finished
from orch.plan.only import name_of
from orch.plan.steps import AS_WANTED, fingerprint
from orch.types import Action, Condition, Operation, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch.plan.merge import Merger
    from orch.types import InventoryItem, Release, Snapshot


def scaled(document: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """A document with other numbers of replicas. Raises UsageFault for what can't be scaled."""
    services = dict(document.get("services", {}))
    for name, size in sizes.items():
        _check_size(services, name, size)
        deploy = {**(services[name].get("deploy") or {}), "replicas": size}
        services[name] = {**services[name], "deploy": deploy}
    return {**document, "services": services}


def _check_size(services: Mapping[str, Any], name: str, size: int) -> None:
    if name not in services:
        raise _unknown(name, sorted(services))
    service = services[name]
    if size < 0:
        raise UsageFault(f"{size} is no number of replicas", place=name, mend="write 0 or more")
    if service.get("autoscale"):
        raise UsageFault(
            f"{name} follows its load and can't be scaled by hand",
            place=f"services.{name}.autoscale",
            mend="change autoscale.min and max in the spec and deploy",
        )
    if (service.get("deploy") or {}).get("mode") == "global":
        raise UsageFault(
            f"{name} runs once on every node and has no number of replicas",
            place=f"services.{name}.deploy.mode",
            mend="make it replicated in the spec and deploy",
        )


def _unknown(name: str, known: Sequence[str]) -> UsageFault:
    near = get_close_matches(name, known, 1)
    return UsageFault(
        f"there is no service {name!r}",
        mend=f"did you mean {near[0]}?" if near else f"choose among {', '.join(known) or 'none'}",
    )


def restarted(
    last: Release, snapshot: Snapshot, services: Sequence[str], backend: str, merger: Merger
) -> Plan:
    """A plan that replaces the replicas of services, in the order in which they need each other.

    Raises UsageFault for a service that is not deployed.
    """
    known = sorted(last.document.get("services", {}))
    for name in services:
        if name not in known:
            raise _unknown(name, known)
    chosen = frozenset(services or known)
    actions = [_restart(item, snapshot, chosen, merger) for item in last.inventory]
    said = " ".join(services) or "all"
    return finished(
        Plan(
            snapshot.instance,
            backend,
            in_order(actions),
            last.document,
            last.number + 1,
            "",
            last.versions,
            base_revision=last.number,
            reason=f"restart {said}",
        )
    )


def _restart(
    item: InventoryItem, snapshot: Snapshot, chosen: frozenset[str], merger: Merger
) -> Action:
    live = snapshot.objects.get(item.id)
    action = Action(
        Operation.NOOP,
        item.id,
        item.kind,
        item.name,
        AS_WANTED,
        body=item.body,
        before=live,
        after=item.depends_on,
        rollout=item.rollout,
        instance=snapshot.instance,
        stateful=item.stateful,
        sends=item.sends,
    )
    if not item.rollout or name_of(action) not in chosen or live is None:
        return replace(action, reason="not asked for")
    gates = tuple(d for d in item.depends_on if d.condition is not Condition.COMPLETED)
    return replace(
        action,
        operation=Operation.RESTART,
        reason="asked for",
        after=gates,
        fingerprint=fingerprint(live, item.body, item.body, merger),
    )
