"""Carrying out the steps of a plan: in order, several at once, and to a clean stop."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from orch.apply.gates import EVERY, Gates
from orch.apply.work import Step, Worker
from orch.errors import OrchError, TimedOut, Transient, Unreachable
from orch.plan.steps import AS_WANTED
from orch.types import Condition, Event, EventKind, Operation

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from orch.apply.redact import Redactor
    from orch.backend.contract import Backend
    from orch.types import Action

TICK = 0.1
WATCHERS = 16
"""Rollouts watched for each step that may be sent at the same time."""
STEP_LIMIT = 600.0
"""Seconds after which a target that does not end a step is taken for hung."""
LAST_GRACE = 10.0
"""Seconds that steps under way get to end after an interruption."""
LATE_GRACE = 2.0
"""Seconds that they get after the end of the time, which somebody counts on."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a plan is carried out. `deadline` is by time.monotonic(), None for no end.

    `patience` gives the seconds that a rollout may stay without progress; `on_failure` says what
    is done about a failed action: rollback, pause or continue. `verify` watches what is already
    as wanted too.
    """

    backend: Backend
    emit: Callable[[Event], None]
    values: Callable[[Action], Mapping[str, bytes]]
    redactor: Redactor
    patience: Callable[[Action], float]
    on_failure: Callable[[Action], str]
    cancel: threading.Event
    lost: threading.Event
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    deadline: float | None = None
    wait: bool = True
    verify: bool = False
    concurrency: int = 8


@dataclass(slots=True)
class Result:
    """What became of each action, by id.

    `touched` are those that were sent to the target, `cut` those whose health was watched no
    further with what they said last (failed, too, when the target answers no more),
    `self_restored` those failed ones that the platform itself rolled back. `action_needed` is
    what the first failure asks for: rollback or pause.
    """

    done: list[str] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    causes: dict[str, BaseException] = field(default_factory=dict)
    cut: dict[str, str] = field(default_factory=dict)
    self_restored: set[str] = field(default_factory=set)
    not_started: list[str] = field(default_factory=list)
    action_needed: str = ""
    interrupted: bool = False
    timed_out: bool = False
    lost: bool = False


def execute(actions: Sequence[Action], terms: Terms) -> Result:
    """Carry out actions until all are over, or until something forbids to start more.

    What is being sent is always finished; rollouts are no longer watched after a failure that
    is to be rolled back, an interruption, or the end of the time.
    """
    return _Execution(actions, terms).run()


class _Execution:
    def __init__(self, actions: Sequence[Action], terms: Terms) -> None:
        self._actions, self._terms = actions, terms
        self._queue: SimpleQueue[tuple[Step, Event | BaseException | None]] = SimpleQueue()
        self._worker = Worker(terms.backend, self._queue, terms.values, terms.sleep, terms.wait)
        self._gates = Gates(actions)
        self._awaited = self._gates.awaited({Condition.HEALTHY})
        self._gating = self._gates.awaited({Condition.HEALTHY, Condition.COMPLETED})
        self._changing = {
            a.id for a in actions if a.operation is not Operation.NOOP and not a.rollout
        }
        self._running: dict[str, Step] = {}
        self._over: set[str] = set()
        self._result = Result()
        self._halted = False
        self._last_call = float("inf")

    def run(self) -> Result:
        while True:
            try:
                self._advance()
                if not self._running:
                    break
                self._listen()
            except KeyboardInterrupt:
                self._terms.cancel.set()
        self._tell_the_rest()
        return self._result

    # -- starting ------------------------------------------------------------------------

    def _advance(self) -> None:
        self._heed_orders()
        while not self._halted and (action := self._gates.ready()) is not None:
            if not self._has_room(action):
                self._gates.put_back(action)
                return
            self._begin(action)

    def _has_room(self, action: Action) -> bool:
        if action.operation is Operation.NOOP and not self._is_watched(action):
            return True
        sending = sum(not (step.applied or step.waits) for step in self._running.values())
        most = self._terms.concurrency
        return sending < most and len(self._running) < most * WATCHERS

    def _begin(self, action: Action) -> None:
        watch = self._is_watched(action)
        if action.operation is Operation.NOOP and not watch:
            self._gates.reach(action.id, EVERY)
            self._end(action)
            return
        now = time.monotonic()
        step = Step(action, watch, now, self._terms.patience(action), heard=now)
        self._running[action.id] = step
        if step.changes:
            self._result.touched.append(action.id)
            self._emit(Event(EventKind.STARTED, action.id, str(action.operation)))
        self._worker.start(step)

    def _is_watched(self, action: Action) -> bool:
        if not action.rollout or action.operation is Operation.DELETE:
            return False
        if action.operation is Operation.NOOP:
            verify = self._terms.verify or self._rests_on_changes(action)
            verified = verify and self._terms.wait and action.reason == AS_WANTED
            return verified or action.id in self._awaited
        return self._terms.wait or action.id in self._gating

    def _rests_on_changes(self, action: Action) -> bool:
        """Whether a way to what stands as wanted is made or changed, such as a published port."""
        return any(dependency.id in self._changing for dependency in action.after)

    # -- listening -----------------------------------------------------------------------

    def _listen(self) -> None:
        try:
            step, message = self._queue.get(timeout=TICK)
        except Empty:
            return
        if self._running.get(step.action.id) is not step:
            return
        if isinstance(message, Event):
            self._hear(step, message)
        elif message is None:
            self._close(step)
        else:
            self._fall(step, message)

    def _hear(self, step: Step, event: Event) -> None:
        id_ = step.action.id
        if event.kind is EventKind.APPLIED:
            step.applied = True
            self._gates.reach(id_, {Condition.CREATED} if step.watch else EVERY)
            if not step.changes:
                return
        # What tells how it goes on before it is applied was sent, and waits for the platform.
        step.waits = event.kind is EventKind.PROGRESS
        if event.kind is not EventKind.PROGRESS or event.data != step.last:
            step.heard, step.last = time.monotonic(), event.data
        step.said = self._text(event)
        if event.data.get("updated") or event.kind is EventKind.HEALTHY:
            self._gates.reach(id_, {Condition.STARTED})
        if event.kind is EventKind.HEALTHY:
            self._gates.reach(id_, EVERY)
        if event.kind in (EventKind.FAILED, EventKind.TIMED_OUT):
            self._result.failed[id_] = self._text(event) or str(event.kind)
            if event.data.get("rolled_back"):
                self._result.self_restored.add(id_)
            if event.kind is EventKind.TIMED_OUT:
                self._result.causes[id_] = TimedOut(self._text(event))
        self._emit(event)

    def _text(self, event: Event) -> str:
        """What an event says of a failure: its message, and the cause where that adds to it."""
        reason = str(event.data.get("reason", ""))
        parts = [event.message] if reason in event.message else [event.message, reason]
        return self._terms.redactor.text(": ".join(part for part in parts if part))

    def _close(self, step: Step) -> None:
        """A step's thread has ended: healthy, failed by what it heard, or told to stop."""
        id_ = step.action.id
        del self._running[id_]
        if id_ in self._result.failed:
            self._fail(step.action)
        elif step.stop.is_set() and step.watch:
            self._result.cut[id_] = step.said
            self._over.add(id_)
        else:
            self._gates.reach(id_, EVERY)
            self._end(step.action)

    def _end(self, action: Action) -> None:
        self._over.add(action.id)
        if action.operation is not Operation.NOOP:
            self._result.done.append(action.id)
        self._gates.end(action.id, failed=False)

    def _fall(self, step: Step, fault: BaseException) -> None:
        """A step's thread has ended with a fault."""
        if not isinstance(fault, Exception):
            raise fault
        clean = self._terms.redactor.error(fault)
        id_ = step.action.id
        del self._running[id_]
        self._result.failed[id_] = str(clean)
        self._result.causes[id_] = clean
        if step.applied and isinstance(clean, Unreachable | Transient):
            self._result.cut[id_] = step.said
        kind = EventKind.TIMED_OUT if isinstance(clean, TimedOut) else EventKind.FAILED
        self._emit(Event(kind, id_, str(clean)))
        self._fail(step.action)

    def _fail(self, action: Action) -> None:
        self._over.add(action.id)
        wanted = self._terms.on_failure(action)
        stuck = self._gates.end(action.id, failed=True)
        if wanted == "continue":
            self._give_up(stuck)
            return
        self._result.action_needed = self._result.action_needed or wanted
        self._halt(watch_on=wanted != "rollback")

    def _give_up(self, stuck: list[str]) -> None:
        """Leave out what can never start, and whatever waits for that."""
        while stuck:
            id_ = stuck.pop()
            if id_ not in self._over:
                self._over.add(id_)
                self._result.not_started.append(id_)
                stuck.extend(self._gates.end(id_, failed=True))

    # -- stopping ------------------------------------------------------------------------

    def _heed_orders(self) -> None:
        terms, result, now = self._terms, self._result, time.monotonic()
        if terms.cancel.is_set() and not result.interrupted:
            result.interrupted = True
            self._last_call = min(self._last_call, now + LAST_GRACE)
            self._halt(watch_on=False)
        if terms.lost.is_set() and not result.lost:
            result.lost = True
            self._halt(watch_on=False)
        if terms.deadline is not None and now > terms.deadline:
            result.timed_out = result.timed_out or bool(self._running) or not self._is_complete()
            self._last_call = min(self._last_call, now + LATE_GRACE)
            self._halt(watch_on=False)
        for step in list(self._running.values()):
            self._check_time(step, now)

    def _is_complete(self) -> bool:
        return len(self._over) == len(self._actions)

    def _halt(self, *, watch_on: bool) -> None:
        self._halted = True
        if not watch_on:
            for step in self._running.values():
                step.stop.set()

    def _check_time(self, step: Step, now: float) -> None:
        if step.stop.is_set() and step.applied:
            self._abandon(step)
        elif step.applied and now - step.heard > step.quiet_limit:
            self._expire(step, f"no progress for {step.quiet_limit:.0f} s")
        elif not step.applied and now - step.started > STEP_LIMIT + step.quiet_limit:
            self._expire(step, f"the target did not finish the step in {now - step.started:.0f} s")
        elif now > self._last_call:
            self._abandon(step)

    def _abandon(self, step: Step) -> None:
        """Listen no more to a step whose end is not awaited; what it changed stands."""
        id_ = step.action.id
        if id_ in self._result.failed and time.monotonic() < self._last_call:
            # It has failed and may still be undoing that: its end is awaited.
            return
        del self._running[id_]
        self._over.add(id_)
        self._result.cut[id_] = step.said

    def _expire(self, step: Step, why: str) -> None:
        step.stop.set()
        self._fall(step, TimedOut(why))

    def _tell_the_rest(self) -> None:
        rest = [action for action in self._actions if action.id not in self._over]
        if not self._halted:
            for action in rest:
                self._result.failed.setdefault(action.id, "it waits for something that never came")
            return
        for action in rest:
            if action.operation is not Operation.NOOP:
                self._result.not_started.append(action.id)
                self._emit(Event(EventKind.SKIPPED, action.id, "not started"))

    def _emit(self, event: Event) -> None:
        timed = event if event.time else replace(event, time=self._terms.clock())
        self._terms.emit(self._terms.redactor.event(timed))


def first_cause(result: Result) -> OrchError | None:
    """The fault of the first action that failed by raising one."""
    return next((c for c in result.causes.values() if isinstance(c, OrchError)), None)
