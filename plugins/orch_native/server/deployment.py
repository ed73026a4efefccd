"""Judging a service's deployment: is a new replica healthy, has the change failed, is it done.

Pure: every function takes what is known and the time, and says what shall happen.

A replica is healthy once it has been ready for the whole `monitor` time. It has failed when it
ended for good, could not be started, was not healthy within `progress_deadline`, or crashed more
often than is borne: not once where a proven version is there to go back to, else twice, since a
first start often waits for something that is still coming up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from orch_native.api import RolloutPhase
from orch_native.messages import State
from orch_native.server.model import Prove, Revert, SetDeployment, Tell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch_native.server.model import Alloc, Deployment, ResourceRow, Step
    from orch_native.server.policy import Pace, ServicePolicy

CRASHES_OF_A_FIRST_START = 2
_ROUNDING = 1e-9


class Health(StrEnum):
    """What is thought of a replica during a deployment."""

    WAITING = "waiting"
    HEALTHY = "healthy"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A replica's health; `reason` tells a failure, `until` when a wait is looked at again."""

    health: Health
    reason: str = ""
    until: float | None = None


@dataclass(frozen=True, slots=True)
class ServiceView:
    """All that is known of one service. `nodes` are those that a global service may run on."""

    row: ResourceRow
    policy: ServicePolicy
    deployment: Deployment | None
    allocs: Sequence[Alloc]
    nodes: tuple[str, ...] = ()

    @property
    def pace(self) -> Pace:
        """The pace of what goes on: that of a rollback while one does."""
        deployment = self.deployment
        if deployment is not None and deployment.phase is RolloutPhase.ROLLING_BACK:
            return self.policy.rollback
        return self.policy.update

    @property
    def slots(self) -> dict[int, str]:
        """Wanted indexes and, for a global service, the node of each."""
        if not self.policy.everywhere:
            return dict.fromkeys(range(self.policy.replicas), "")
        return _global_slots(self)

    def current(self, index: int) -> Alloc | None:
        """The holder of a slot that is of the wanted version."""
        wanted = self.row.template
        holders = [a for a in self.allocs if a.index == index and a.holds]
        return next((a for a in holders if a.template == wanted), None)


def _global_slots(view: ServiceView) -> dict[int, str]:
    """A node keeps its index; a new node gets the lowest free one."""
    slots: dict[int, str] = {}
    for alloc in view.allocs:
        if alloc.holds and alloc.node in view.nodes and alloc.node not in slots.values():
            slots.setdefault(alloc.index, alloc.node)
    for node in view.nodes:
        if node not in slots.values():
            free = next(i for i in range(len(view.nodes) + len(slots) + 1) if i not in slots)
            slots[free] = node
    return dict(sorted(slots.items()))


def verdict(view: ServiceView, alloc: Alloc, now: float) -> Verdict:
    """What is thought of a replica of the wanted version."""
    deployment = view.deployment
    if deployment is None:
        return Verdict(Health.HEALTHY if alloc.serving else Health.WAITING)
    fresh = alloc.created >= deployment.started
    if fresh and (fault := _fault(view, alloc, deployment)):
        return Verdict(Health.FAILED, fault)
    if _ended_well(view, alloc):
        return Verdict(Health.HEALTHY)
    if alloc.serving and alloc.ready_since is not None:
        due = alloc.ready_since + view.pace.monitor
        return Verdict(Health.HEALTHY) if now >= due else Verdict(Health.WAITING, until=due)
    deadline = max(alloc.created, deployment.started) + view.pace.deadline
    if now >= deadline:
        return Verdict(Health.FAILED, _late(view, alloc))
    return Verdict(Health.WAITING, until=deadline)


def _fault(view: ServiceView, alloc: Alloc, deployment: Deployment) -> str:
    """Why a replica counts as failed, empty when it does not."""
    told = f": {alloc.message}" if alloc.message else ""
    code = exit_words(alloc)
    if alloc.state is State.FAILED:
        return f"ended{code}{told}"
    if alloc.state is State.COMPLETED and not _ended_well(view, alloc):
        return f"ended{code}, and a service must keep running{told}"
    backing_off = alloc.state is State.BACKOFF
    if backing_off and alloc.exit_code is None:
        return f"could not be started{told}"
    crashes = alloc.restarts + backing_off
    borne = 0 if deployment.base is not None else CRASHES_OF_A_FIRST_START
    if crashes > borne:
        times = "once" if crashes == 1 else f"{crashes} times"
        return f"crashed {times}{code}{told}"
    return ""


def exit_words(alloc: Alloc) -> str:
    """The exit code in words, unless the agent's own message tells it."""
    if alloc.exit_code is None or "exit code" in alloc.message:
        return ""
    return f" with exit code {alloc.exit_code}"


def _ended_well(view: ServiceView, alloc: Alloc) -> bool:
    """A service that is not restarted after success may end."""
    return (
        alloc.state is State.COMPLETED
        and alloc.exit_code in (0, None)
        and view.policy.restart_condition != "any"
    )


def _late(view: ServiceView, alloc: Alloc) -> str:
    seen = alloc.message or alloc.reason or f"it is {alloc.state}"
    return f"was not healthy within {view.pace.deadline:g} s: {seen}"


def judge(view: ServiceView, now: float, step: Step) -> dict[int, Verdict]:
    """Look at every slot's new replica; end or turn the deployment when it is time.

    Returns the verdicts by index for slots that have one.
    """
    current = {index: alloc for index in view.slots if (alloc := view.current(index))}
    verdicts = {index: verdict(view, alloc, now) for index, alloc in current.items()}
    deployment = view.deployment
    if deployment is None or not _watched(view, deployment):
        return verdicts
    for seen in verdicts.values():
        if seen.until is not None:
            step.at(seen.until)
    failed = {current[i].id: v.reason for i, v in verdicts.items() if v.health is Health.FAILED}
    excess = len(failed) > view.pace.max_failure_ratio * len(view.slots) + _ROUNDING
    if excess and deployment.phase is not RolloutPhase.FAILED and _stops(view):
        _fail(view, deployment, failed, now, step)
    elif _done(view, verdicts):
        _finish(view, deployment, failed, now, step, excess=excess)
    return verdicts


def told_of(failed: Mapping[str, str]) -> str:
    """Which replicas failed and why, each reason once."""
    alike: dict[str, list[str]] = {}
    for id_, why in sorted(failed.items()):
        alike.setdefault(why, []).append(id_)
    parts = []
    for why, (first, *others) in alike.items():
        likewise = f" (and so did {', '.join(others)})" if others else ""
        parts.append(f"{first} {why}{likewise}")
    return "; ".join(parts)


def _watched(view: ServiceView, deployment: Deployment) -> bool:
    """A first start that was found failed may still recover; what else has ended has ended."""
    return (
        deployment.moving
        or deployment.phase is RolloutPhase.AWAITING_PROMOTION
        or (deployment.phase is RolloutPhase.FAILED and view.row.proven is None)
    )


def _stops(view: ServiceView) -> bool:
    return view.pace.failure_action != "continue"


def _done(view: ServiceView, verdicts: Mapping[int, Verdict]) -> bool:
    """Every slot is held by the wanted version and judged, and nothing else is there."""
    if any(v.health is Health.WAITING for v in verdicts.values()):
        return False
    if verdicts.keys() != view.slots.keys():
        return False
    kept = {alloc.id for index in view.slots if (alloc := view.current(index))}
    return all(alloc.id in kept or alloc.gone for alloc in view.allocs)


def _fail(
    view: ServiceView,
    deployment: Deployment,
    failed: Mapping[str, str],
    now: float,
    step: Step,
) -> None:
    reason = told_of(failed)
    ended = replace(deployment, reason=reason, failed=tuple(sorted(failed)), ended=now)
    if deployment.phase is RolloutPhase.ROLLING_BACK:
        reason = f"{deployment.reason}; and the rollback failed: {reason}"
        ended = replace(ended, phase=RolloutPhase.FAILED, reason=reason)
    elif view.pace.failure_action == "pause":
        ended = replace(ended, phase=RolloutPhase.PAUSED, message="paused after a failure")
    elif deployment.base is None or view.row.proven is None:
        message = "failed, and there is no earlier version to return to"
        ended = replace(ended, phase=RolloutPhase.FAILED, message=message)
    else:
        step.add(Revert())
        ended = _turned(ended, view.row.proven.template, now)
    step.add(SetDeployment(ended), Tell("failed", f"{ended.cause}: {reason}"))


def _turned(deployment: Deployment, template: int, now: float) -> Deployment:
    """The deployment on its way back."""
    return replace(
        deployment,
        phase=RolloutPhase.ROLLING_BACK,
        template=template,
        base=None,
        started=now,
        batch_done=None,
        promoted=True,
        ended=None,
        message="rolling back to the last healthy version",
    )


def _finish(
    view: ServiceView,
    deployment: Deployment,
    failed: Mapping[str, str],
    now: float,
    step: Step,
    *,
    excess: bool,
) -> None:
    ids = tuple(sorted(failed))
    if excess:
        if deployment.phase is RolloutPhase.FAILED:
            return
        reason = told_of(failed)
        message = "went on in spite of failures, as `failure_action: continue` asks"
        ended = replace(deployment, phase=RolloutPhase.FAILED, reason=reason, message=message)
        step.add(Tell("failed", f"{deployment.cause}: {reason}"))
    elif deployment.phase is RolloutPhase.ROLLING_BACK:
        ids = deployment.failed  # of the change, and by now gone; the restored ones are healthy
        message = "rolled back to the last healthy version"
        ended = replace(deployment, phase=RolloutPhase.ROLLED_BACK, message=message)
        step.add(Tell("warning", message))
    else:
        ended = replace(deployment, phase=RolloutPhase.HEALTHY, message="", reason="")
        step.add(Prove(), Tell("healthy", f"{deployment.cause}: {len(view.slots)} healthy"))
    step.add(SetDeployment(replace(ended, failed=ids, ended=now)))
