"""What a job's runs shall become: attempts, retries, limits, schedules, history.

Pure, as `reconcile` is. A run needs `completions` successes, `parallelism` of them at a time. An
attempt that fails is followed by another after a pause that doubles, until the failures exceed
`backoff_limit`; restarts in place count as failures too.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orch_native.messages import State
from orch_native.server import cron
from orch_native.server.deployment import exit_words
from orch_native.server.model import (
    Drop,
    DropRun,
    Fire,
    Leave,
    Passed,
    RunPhase,
    SetRun,
    Start,
    Step,
    Tell,
)
from orch_native.server.reconcile import drain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_native.server.model import Alloc, ResourceRow, Run
    from orch_native.server.policy import JobPolicy

LONGEST_BACKOFF = 300.0
"""The longest pause between two attempts, in seconds."""


@dataclass(frozen=True, slots=True)
class JobView:
    """All that is known of one job. `last` is the moment its schedule was dealt with up to."""

    row: ResourceRow
    policy: JobPolicy
    runs: Sequence[Run]
    allocs: Sequence[Alloc]
    last: float

    def of(self, run: Run) -> list[Alloc]:
        """The attempts of a run."""
        return [alloc for alloc in self.allocs if alloc.run == run.number]

    @property
    def active(self) -> list[Run]:
        """Runs that still go on."""
        return [run for run in self.runs if run.phase is RunPhase.RUNNING]


def step(view: JobView, now: float) -> Step:
    """The next step for one job; empty once it is as wanted."""
    todo = Step()
    drain(view.allocs, 0.0, now, todo)
    if view.row.deleting:
        todo.add(*(Leave(a.id, "removed") for a in view.allocs if a.leaving is None))
        todo.add(*(Drop(a.id) for a in view.allocs if a.gone))
        return todo
    for run in view.runs:
        if run.phase is RunPhase.RUNNING:
            _run(view, run, now, todo)
        else:
            _clear(view.of(run), todo)
    if any(isinstance(change, SetRun) for change in todo.changes):
        todo.at(now)
        return todo
    _schedule(view, now, todo)
    _history(view, now, todo)
    return todo


# -- one run -------------------------------------------------------------------------------


def succeeded(alloc: Alloc) -> bool:
    """Whether an attempt ended well."""
    return alloc.state is State.COMPLETED and alloc.exit_code in (0, None)


def failures(alloc: Alloc) -> int:
    """How many failures an attempt stands for."""
    ended_badly = alloc.ended and not succeeded(alloc)
    return alloc.restarts + ended_badly


def _run(view: JobView, run: Run, now: float, todo: Step) -> None:
    attempts = view.of(run)
    done = {alloc.index for alloc in attempts if succeeded(alloc)}
    failed = sum(failures(alloc) for alloc in attempts if alloc.leaving is None)
    deadline = None if view.policy.timeout is None else run.started + view.policy.timeout
    ended = replace(run, phase=RunPhase.FAILED, ended=now)
    if len(done) >= view.policy.completions:
        _end(replace(ended, phase=RunPhase.SUCCEEDED), attempts, todo)
    elif failed > view.policy.backoff_limit:
        _end(replace(ended, message=_cause(attempts, failed)), attempts, todo)
    elif deadline is not None and now >= deadline:
        reason = f"it took longer than its timeout of {view.policy.timeout:g} s"
        _end(replace(ended, message=reason), attempts, todo)
    else:
        if deadline is not None:
            todo.at(deadline)
        _attempt(view, run, now, todo)


def _cause(attempts: Sequence[Alloc], failed: int) -> str:
    last = max((a for a in attempts if failures(a)), key=lambda a: a.since)
    code = exit_words(last)
    told = f": {last.message}" if last.message else ""
    times = "once" if failed == 1 else f"{failed} times"
    return f"{last.id} failed{code}{told} (failed {times})"


def _end(run: Run, attempts: Sequence[Alloc], todo: Step) -> None:
    """Note a run that has ended, and stop what is left of it."""
    if run.phase is RunPhase.SUCCEEDED:
        told = Tell("healthy", f"run {run.number} succeeded")
    else:
        told = Tell("failed", f"run {run.number} {run.phase}: {run.message}")
    todo.add(SetRun(run), told)
    _clear(attempts, todo)


def _clear(attempts: Sequence[Alloc], todo: Step) -> None:
    """Whatever of an ended run still runs is stopped; all are kept for their logs."""
    todo.add(*(Leave(a.id, "the run has ended") for a in attempts if a.leaving is None))


def _attempt(view: JobView, run: Run, now: float, todo: Step) -> None:
    """Start what is missing, as far as `parallelism` and the pauses allow."""
    attempts = view.of(run)
    by_index: dict[int, list[Alloc]] = defaultdict(list)
    for alloc in attempts:
        by_index[alloc.index].append(alloc)
    going = sum(not alloc.ended for alloc in attempts)
    for index in range(view.policy.completions):
        if any(succeeded(alloc) or not alloc.ended for alloc in by_index[index]):
            continue
        if going >= view.policy.parallelism:
            return
        due = _next_attempt(view.policy, by_index[index])
        if now < due:
            todo.at(due)
            continue
        todo.add(Start(index, run.template, run=run.number))
        going += 1


def _next_attempt(policy: JobPolicy, earlier: Sequence[Alloc]) -> float:
    if not earlier:
        return 0.0
    pause: float = policy.backoff * 2 ** min(len(earlier) - 1, 30)
    return max(alloc.since for alloc in earlier) + min(pause, LONGEST_BACKOFF)


# -- the schedule --------------------------------------------------------------------------


def _schedule(view: JobView, now: float, todo: Step) -> None:
    policy = view.policy
    if policy.schedule is None:
        return
    found = cron.due(policy.schedule, policy.time_zone, view.last, now)
    if found.following is not None:
        todo.at(found.following)
    if found.moment is None:
        return
    todo.add(Passed(now))
    late = now - found.moment
    if found.missed:
        todo.add(Tell("warning", f"{found.missed} earlier runs were missed and are left out"))
    if policy.starting_deadline is not None and late > policy.starting_deadline:
        todo.add(Tell("warning", f"not started: {late:.0f} s late, over its starting_deadline"))
    elif not policy.suspend:
        _fire(view, found.moment, now, todo)


def _fire(view: JobView, moment: float, now: float, todo: Step) -> None:
    active = view.active
    if active and view.policy.concurrency == "forbid":
        todo.add(Tell("warning", f"not started: run {active[-1].number} still goes on"))
        return
    if view.policy.concurrency == "replace":
        for run in active:
            stopped = replace(run, phase=RunPhase.STOPPED, ended=now)
            _end(replace(stopped, message="replaced by the next run"), view.of(run), todo)
    todo.add(Fire(moment))


# -- what is kept --------------------------------------------------------------------------


def _history(view: JobView, now: float, todo: Step) -> None:
    """Forget runs beyond the history or older than `ttl`, once nothing of them is left."""
    policy = view.policy
    ended = sorted(
        (run for run in view.runs if run.ended is not None), key=lambda r: r.number, reverse=True
    )
    good = [run for run in ended if run.phase is RunPhase.SUCCEEDED]
    bad = [run for run in ended if run.phase is not RunPhase.SUCCEEDED]
    surplus = {run.number for run in good[policy.keep_succeeded :] + bad[policy.keep_failed :]}
    newest = max((run.number for run in view.runs), default=0)
    for run in ended:
        due = None if policy.ttl is None else (run.ended or 0.0) + policy.ttl
        old = due is not None and now >= due
        # Without a schedule the newest run is the job's state, and outlives its history.
        is_state = run.number == newest and (policy.schedule is None) and not old
        if (run.number in surplus or old) and not is_state:
            if all(alloc.gone for alloc in view.of(run)):
                todo.add(DropRun(run.number))
        elif due is not None:
            todo.at(due)
