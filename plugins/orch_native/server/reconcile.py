"""What a service's replicas shall become: sizes, updates by batches, canaries, drains.

Pure: `step` takes all that is known of one service and the time, and says what shall happen. It
is asked again after every change and observation, and when the time that it names has come.

A slot is an index that shall be held by one replica. Two replicas share a slot only in an update
that is `start-first`; otherwise the old one must have been seen gone before the new one starts.
Three never do, however fast one update follows another.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orch_native.api import RolloutPhase
from orch_native.messages import Desired, State
from orch_native.server.deployment import Health, ServiceView, judge
from orch_native.server.model import Drop, Leave, SetDeployment, Start, Step, Stop, Tell
from orch_native.server.policy import RETAIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orch_native.server.deployment import Verdict
    from orch_native.server.model import Alloc, Deployment

_KEPT_PER_SLOT = 2
_SHARED = 2


@dataclass(slots=True)
class Slots:
    """The slots of a service by what stands in them."""

    vacant: list[int] = field(default_factory=list)
    outdated: dict[int, Alloc] = field(default_factory=dict)
    busy: set[int] = field(default_factory=set)


def step(view: ServiceView, now: float) -> Step:
    """The next step for one service; empty once it is as wanted."""
    todo = Step()
    drain(view.allocs, view.policy.drain, now, todo)
    forget(view.allocs, now, todo, at_once=view.row.deleting)
    if view.row.deleting:
        todo.add(*(Leave(a.id, "removed") for a in view.allocs if a.leaving is None))
        return todo
    before = len(todo.changes)
    verdicts = judge(view, now, todo)
    if any(isinstance(change, SetDeployment) for change in todo.changes[before:]):
        todo.at(now)
        return todo
    _converge(view, verdicts, now, todo)
    return todo


def drain(allocs: Iterable[Alloc], pause: float, now: float, todo: Step) -> None:
    """Stop what has been out of the traffic for long enough."""
    for alloc in allocs:
        if alloc.leaving is None or alloc.desired is Desired.STOP:
            continue
        due = alloc.leaving + (pause if alloc.state is State.RUNNING else 0.0)
        if now >= due:
            todo.add(Stop(alloc.id))
        else:
            todo.at(due)


def forget(allocs: Sequence[Alloc], now: float, todo: Step, *, at_once: bool) -> None:
    """Drop what is gone: at once, or when it is old or followed by others in its slot."""
    gone: dict[int, list[Alloc]] = defaultdict(list)
    for alloc in allocs:
        if alloc.gone and alloc.desired is Desired.STOP:
            gone[alloc.index].append(alloc)
    for dead in gone.values():
        dead.sort(key=lambda a: a.created, reverse=True)
        for place, alloc in enumerate(dead):
            due = max(alloc.since, alloc.leaving or 0.0) + RETAIN
            if at_once or not alloc.node or place >= _KEPT_PER_SLOT or now >= due:
                todo.add(Drop(alloc.id))
            else:
                todo.at(due)


def _converge(view: ServiceView, verdicts: dict[int, Verdict], now: float, todo: Step) -> None:
    _lost(view, todo)
    _surplus(view, todo)
    slots = _sort(view, verdicts, todo)
    _fill(view, slots, verdicts, todo)
    deployment = view.deployment
    if deployment is not None and deployment.moving:
        _update(view, deployment, slots, now, todo)


def _lost(view: ServiceView, todo: Step) -> None:
    """What ended without our word gives its slot free."""
    for alloc in view.allocs:
        if alloc.leaving is None and alloc.state is State.STOPPED:
            todo.add(Leave(alloc.id, "stopped by somebody else"))


def _surplus(view: ServiceView, todo: Step) -> None:
    """Indexes beyond the size go; the highest first, one by one, for an ordered service."""
    slots = view.slots
    extra = [a for a in view.allocs if a.holds and a.index not in slots]
    extra.sort(key=lambda a: a.index, reverse=True)
    if view.policy.ordered:
        on_the_way = any(a.leaving is not None and not a.gone for a in view.allocs)
        extra = [] if on_the_way else extra[:1]
    todo.add(*(Leave(alloc.id, "scaled down") for alloc in extra))


def _sort(view: ServiceView, verdicts: dict[int, Verdict], todo: Step) -> Slots:
    """Say of each slot how it stands, and clear those that hold both versions."""
    slots = Slots()
    for index in view.slots:
        holders = [a for a in view.allocs if a.index == index and a.holds]
        right = view.current(index)
        others = [a for a in holders if a is not right]
        if _leaving(view, index):
            slots.busy.add(index)
        if right is None and not others:
            slots.vacant.append(index)
            slots.busy.add(index)
        elif right is None:
            # Of two earlier versions the older one came through, unless it serves no more.
            kept = next((a for a in others if a.serving), others[0])
            slots.outdated[index] = kept
            if others != [kept]:
                slots.busy.add(index)
                todo.add(*(Leave(a.id, "one too many") for a in others if a is not kept))
        elif others:
            slots.busy.add(index)
            done = _replaced(view, verdicts[index], others)
            todo.add(*(Leave(a.id, "replaced") for a in done))
        elif verdicts[index].health is Health.WAITING:
            slots.busy.add(index)
    return slots


def _leaving(view: ServiceView, index: int) -> list[Alloc]:
    """What was told to leave a slot and still runs."""
    return [a for a in view.allocs if a.index == index and a.leaving is not None and not a.gone]


def _replaced(view: ServiceView, seen: Verdict, others: list[Alloc]) -> list[Alloc]:
    """Which earlier replicas of a slot the wanted version's own makes needless.

    A failure that did not end the update is borne, so the slot is done as it would be in a
    `stop-first` one. Where the update failed, what still serves stays.
    """
    deployment = view.deployment
    if seen.health is Health.HEALTHY:
        return others
    if seen.health is Health.WAITING or deployment is None:
        return []
    if deployment.phase is RolloutPhase.FAILED:
        return [a for a in others if not a.serving]
    return [] if deployment.phase is RolloutPhase.PAUSED else others


def _fill(view: ServiceView, slots: Slots, verdicts: dict[int, Verdict], todo: Step) -> None:
    """Start what is missing."""
    wanted = view.slots
    for index in slots.vacant:
        leaving = len(_leaving(view, index))
        if leaving >= (_SHARED if view.pace.start_first else 1):
            continue
        if view.policy.ordered and not _below_done(view, verdicts, index):
            if not leaving:
                # What it waits for may be a replica that only the update can mend.
                slots.busy.discard(index)
            continue
        todo.add(Start(index, _version_for(view, index), wanted[index]))


def _below_done(view: ServiceView, verdicts: dict[int, Verdict], index: int) -> bool:
    """Whether every lower index serves, has ended, or has a failure that the pace bears."""
    done = {a.index for a in view.allocs if a.serving or (a.holds and a.ended)}
    if view.deployment is not None and view.deployment.moving:
        done |= {i for i, seen in verdicts.items() if seen.health is Health.FAILED}
    return all(lower in done for lower in view.slots if lower < index)


def _version_for(view: ServiceView, index: int) -> int:
    """The wanted version; the proven one where the new one may not go, or no longer."""
    deployment, proven = view.deployment, view.row.proven
    if deployment is None or deployment.base is None or proven is None:
        return view.row.template
    if deployment.moving and index in _allowed(view, deployment):
        return view.row.template
    if deployment.phase is RolloutPhase.AWAITING_PROMOTION and index in _allowed(view, deployment):
        return view.row.template
    stopped = deployment.phase in (RolloutPhase.PAUSED, RolloutPhase.FAILED)
    held_back = deployment.moving or deployment.phase is RolloutPhase.AWAITING_PROMOTION
    return proven.template if stopped or held_back else view.row.template


def _allowed(view: ServiceView, deployment: Deployment) -> list[int]:
    """Slots that the new version may take: the canaries' alone until they are promoted."""
    indexes = list(view.slots)
    return indexes[: view.pace.canary] if _canary(view, deployment) else indexes


def _canary(view: ServiceView, deployment: Deployment) -> bool:
    return (
        view.pace.canary > 0
        and deployment.base is not None
        and deployment.base != deployment.template
        and not deployment.promoted
    )


def _update(
    view: ServiceView, deployment: Deployment, slots: Slots, now: float, todo: Step
) -> None:
    """Begin the next batch when the last one is done and the pause is over."""
    if deployment.phase is RolloutPhase.PROGRESSING:
        _replace_unproven(view, deployment, slots, todo)
    if slots.busy:
        return
    if _canary(view, deployment) and not any(
        index in slots.outdated for index in _allowed(view, deployment)
    ):
        _canaries_healthy(view, deployment, now, todo)
        return
    eligible = [index for index in _allowed(view, deployment) if index in slots.outdated]
    if not eligible or not _paused_long_enough(view, deployment, now, todo):
        return
    for index in _batch(view, deployment, slots, eligible):
        if view.pace.start_first:
            todo.add(Start(index, view.row.template, view.slots[index]))
        else:
            todo.add(Leave(slots.outdated[index].id, "updated"))


def _replace_unproven(view: ServiceView, deployment: Deployment, slots: Slots, todo: Step) -> None:
    """A version that was never healthy and serves nobody needs no care."""
    proven = view.row.proven.template if view.row.proven and deployment.base is not None else None
    for index, alloc in list(slots.outdated.items()):
        if not alloc.serving and alloc.template != proven:
            todo.add(Leave(alloc.id, "updated"))
            del slots.outdated[index]
            slots.busy.add(index)


def _canaries_healthy(view: ServiceView, deployment: Deployment, now: float, todo: Step) -> None:
    if view.pace.promote == "auto":
        changed = replace(deployment, promoted=True, batch_done=now)
        todo.add(SetDeployment(changed), Tell("progress", "the canaries are healthy: promoted"))
        todo.at(now)
        return
    message = "the canaries are healthy and wait for `orch promote`"
    waiting = replace(deployment, phase=RolloutPhase.AWAITING_PROMOTION, message=message)
    todo.add(SetDeployment(waiting), Tell("progress", message))


def _paused_long_enough(view: ServiceView, deployment: Deployment, now: float, todo: Step) -> bool:
    """Whether `delay` has passed since the last batch; the first one need not wait."""
    if not view.pace.delay:
        return True
    if deployment.batch_done is None:
        if not any(a.holds and a.created >= deployment.started for a in view.allocs):
            return True
        todo.add(SetDeployment(replace(deployment, batch_done=now)))
        todo.at(now + view.pace.delay)
        return False
    due = deployment.batch_done + view.pace.delay
    if now < due:
        todo.at(due)
        return False
    todo.add(SetDeployment(replace(deployment, batch_done=None)))
    return True


def _batch(
    view: ServiceView, deployment: Deployment, slots: Slots, eligible: list[int]
) -> list[int]:
    """The slots to change next: those that serve nobody first, then by index."""
    if view.policy.ordered:
        return eligible[:1]
    size = view.pace.parallelism or len(eligible)
    if _canary(view, deployment):
        size = len(eligible)
    return sorted(eligible, key=lambda i: (slots.outdated[i].serving, i))[:size]
