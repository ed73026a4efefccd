"""The one loop of the control plane: it takes requests and observations, decides, commits, tells.

A turn takes everything that waits, does it on the world, lets the pure parts decide for what it
touched, commits all writes in one piece, and only then answers the askers and tells the agent.
Nothing that was answered can be lost, and nothing that was lost was answered. What fails at one
resource is undone, noted and tried again after a pause; all others go on.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from orch.errors import OrchError
from orch_native.server import jobs, reconcile, removal
from orch_native.server.capacity import node_use
from orch_native.server.decisions import Decisions
from orch_native.server.faults import Work, pause_after, report
from orch_native.server.handover import Handover, Truth
from orch_native.server.jobs import JobView
from orch_native.server.policy import job_policy
from orch_native.server.requests import Requests
from orch_native.server.sights import policy_of, service_view
from orch_native.server.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orch_native.messages import Agent, NodeFacts, Observation
    from orch_native.server.model import ResourceRow, Step
    from orch_native.server.scheduler import NodeUse
    from orch_native.server.store import Store
    from orch_native.server.vault import Vault

T = TypeVar("T")

log = logging.getLogger("orch.native")
_MOST_STEPS = 200
_FACTS_AGE = 2.0
_SHORT_FACTS_AGE = 0.5
_PLACE_AGAIN = 5.0
_IDLE = 30.0
_SHORTEST = 0.005
_AFTER_FAULT = 1.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """Something to be done on the loop's thread, and who waits for it."""

    work: Callable[[Requests], Any]
    done: Future[Any]


class Controller:
    """Owns the world. Everything else asks it, from any thread."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        make_agent: Callable[[Callable[[Sequence[Observation]], None]], Agent],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._vault, self._clock = store, vault, clock
        self._world = World(store)
        self._inbox: queue.SimpleQueue[_Asked | Sequence[Observation] | None] = queue.SimpleQueue()
        self._wakes: dict[str, float] = dict.fromkeys(self._world.resources, 0.0)
        self._facts: NodeFacts | None = None
        self._facts_at = 0.0
        self._stopping_tasks = False
        self._unwritten: dict[str, Observation] = {}
        self._listeners: list[Callable[[], None]] = []
        self._closing = threading.Event()
        self._failures, self._quiet_until = 0, 0.0
        self.agent = make_agent(self._inbox.put)
        self._handover = Handover(self.agent, vault)
        self._thread = threading.Thread(target=self._turn_forever, name="controller", daemon=True)

    def start(self) -> None:
        """Tell the agent what it shall hold, and begin to turn."""
        self._tell_agent()
        self._thread.start()

    def close(self) -> None:
        """End the loop; the agent lets go of its tasks, which live on."""
        self._closing.set()
        self._inbox.put(None)
        self._thread.join()
        self.agent.close()

    # -- asked from any thread -------------------------------------------------------------

    def ask(self, work: Callable[[Requests], T]) -> Future[T]:
        """Do this on the loop's thread. The future is done after the commit of what it changed."""
        asked = _Asked(work, Future())
        self._inbox.put(asked)
        return asked.done

    async def asked(self, work: Callable[[Requests], T]) -> T:
        """The same for a caller on an event loop."""
        return await asyncio.wrap_future(self.ask(work))

    def listen(self, called: Callable[[], None]) -> Callable[[], None]:
        """Call this after every turn that changed something; gives what ends it."""
        self._listeners.append(called)
        return lambda: self._listeners.remove(called)

    def stop_tasks(self) -> Future[int]:
        """Let the agent stop everything, without forgetting that it is wanted; gives how many."""

        def stop(requests: Requests) -> int:
            self._stopping_tasks = True
            return sum(not a.ended for a in requests.world.allocs.values() if a.node)

        return self.ask(stop)

    def running_tasks(self) -> Future[int]:
        """How many tasks have not ended."""
        return self.ask(
            lambda requests: sum(not a.ended for a in requests.world.allocs.values() if a.node)
        )

    def nodes(self) -> list[NodeUse]:
        """The node and what is taken of it; only for work that is done on the loop's thread."""
        return [node_use(self._world, self.facts())]

    def facts(self) -> NodeFacts:
        """The node's facts, at most a moment old."""
        now = time.monotonic()
        if self._facts is None:
            self._facts, self._facts_at = self.agent.facts(), now
        elif now - self._facts_at > _age(self._facts):
            self._facts_at = now
            try:
                self._facts = self.agent.facts()
            except Exception as fault:  # noqa: BLE001  (reported)
                report(log, "the node's facts can't be had; the last known ones stand", fault)
        return self._facts

    # -- the loop --------------------------------------------------------------------------

    def _turn_forever(self) -> None:
        going = True
        while going:
            items, going = self._gather()
            try:
                self._turn(items)
            except Exception as fault:  # noqa: BLE001  (who asks would wait for ever)
                self._fail(items, "a turn of the control loop failed after its commit", fault)

    def _fail(
        self, items: Sequence[_Asked | Sequence[Observation]], what: str, fault: Exception
    ) -> None:
        """Begin anew after a pause, which grows as long as every turn fails."""
        report(log, what, fault)
        self._failures += 1
        self._quiet_until = self._clock() + pause_after(self._failures, _IDLE)
        self._recover(items)

    def _recover(self, items: Sequence[_Asked | Sequence[Observation]]) -> None:
        """Begin anew, as soon as the disk can be read."""
        while not self._closing.is_set():
            try:
                self._begin_anew(items)
            except Exception as fault:  # noqa: BLE001  (reported)
                report(log, "the state can't be read", fault)
                self._closing.wait(_AFTER_FAULT)
            else:
                return

    def _gather(self) -> tuple[list[_Asked | Sequence[Observation]], bool]:
        """Everything that waits; an empty list when it is time to look again."""
        wait = self._due - self._clock()
        items: list[_Asked | Sequence[Observation]] = []
        try:
            item = self._inbox.get(timeout=min(max(wait, 0.001), _IDLE))
            while item is not None:
                items.append(item)
                item = self._inbox.get_nowait()
        except queue.Empty:
            return items, True
        return items, False

    @property
    def _due(self) -> float:
        """When to look again, unless something is asked or seen before."""
        due = min(*self._wakes.values(), self._due_again, self._clock() + _IDLE)
        return max(due, self._quiet_until)

    @property
    def _due_again(self) -> float:
        """When what failed is tried again."""
        return min(self._handover.again, self._world.faults.next_due)

    def _turn(self, items: Sequence[_Asked | Sequence[Observation]]) -> None:
        now = self._clock()
        again = now >= self._due_again
        answers: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            self._take_in(items, answers, now)
            changed = self._commit()
        except Exception as fault:  # noqa: BLE001  (reported)
            told = fault if isinstance(fault, OrchError) else OrchError(f"server fault: {fault!r}")
            for done, _, error in answers:
                done.set_exception(error or told)
            self._refuse_the_rest(items, told)
            self._fail(items, "a turn of the control loop failed", fault)
            return
        self._failures, self._quiet_until = 0, 0.0
        self._unwritten.clear()
        for done, result, error in answers:
            done.set_exception(error) if error is not None else done.set_result(result)
        if changed or again or self._stopping_tasks:
            self._carry_on(now)
            if again:
                self._world.faults.forget_due(now)
            for called in tuple(self._listeners):
                called()

    def _take_in(
        self,
        items: Sequence[_Asked | Sequence[Observation]],
        answers: list[tuple[Future[Any], Any, BaseException | None]],
        now: float,
    ) -> None:
        """Do what was asked, take over what was seen, and decide."""
        decisions = Decisions(self._world, now, self.nodes)
        self._observe(tuple(self._unwritten.values()), decisions)
        for item in items:
            if not isinstance(item, _Asked):
                self._observe(item, decisions)
            elif item.done.set_running_or_notify_cancel():  # else who asked has gone
                answers.append(self._do(item, now))
        if not self._stopping_tasks:
            self._decide(decisions, now)

    def _refuse_the_rest(
        self, items: Sequence[_Asked | Sequence[Observation]], told: OrchError
    ) -> None:
        """Answer those too whose turn did not come."""
        for item in items:
            if isinstance(item, _Asked) and not item.done.done():
                with suppress(InvalidStateError):  # it may be given up in this very moment
                    item.done.set_exception(told)

    def _begin_anew(self, items: Sequence[_Asked | Sequence[Observation]]) -> None:
        """Forget what was decided and not written; after a pause look at everything again.

        What agents saw is told once, so the newest of each is kept for the next turn: before
        what that one hears, never after it.
        """
        self._world.writes.clear()
        self._world.dirty.clear()
        self._world.read(self._store)
        self._wakes = dict.fromkeys(self._world.resources, self._clock() + _AFTER_FAULT)
        for item in items:
            if not isinstance(item, _Asked):
                self._unwritten.update((seen.id, seen) for seen in item)

    def _do(self, asked: _Asked, now: float) -> tuple[Future[Any], Any, BaseException | None]:
        before = len(self._world.writes)
        try:
            result = asked.work(Requests(self._world, self._vault, now))
        except Exception as fault:  # it is the asker's, and is handed to them
            if len(self._world.writes) > before:
                log.exception("a request failed half-way and is undone")
                self._undo(before)
            return asked.done, None, fault
        return asked.done, result, None

    def _observe(self, seen: Sequence[Observation], decisions: Decisions) -> None:
        """Take over what was seen; what was not asked for is let be."""
        for one in seen:
            alloc = self._world.allocs.get(one.id)
            if alloc is not None:
                row = self._world.resources[alloc.uid]
                self._alone(row, Work.OBSERVED, partial(decisions.observe, one), decisions.now)

    def _commit(self) -> bool:
        writes = self._world.taken()
        if writes:
            self._store.submit(writes).result()
        return bool(writes)

    # -- one resource at a time ------------------------------------------------------------

    def _alone(self, row: ResourceRow, work: Work, do: Callable[[], T], now: float) -> T | None:
        """Do this for one resource: a fault is undone and noted, and holds up nobody else."""
        before = len(self._world.writes)
        try:
            done = do()
        except Exception as fault:  # noqa: BLE001  (reported)
            report(log, f"{row.key.kind} {row.key} could not be {work}", fault)
            self._undo(before)
            self._world.faults.note(row, work, fault, now)
            return None
        self._world.faults.clear(row.uid, work)
        return done

    def _undo(self, before: int) -> None:
        """Forget what was changed since there were so many writes; what came earlier stands."""
        del self._world.writes[before:]
        self._commit()
        self._world.read(self._store)

    # -- deciding --------------------------------------------------------------------------

    def _decide(self, decisions: Decisions, now: float) -> None:
        """Let the pure parts speak for whatever was touched or has come due."""
        world = self._world
        due = {uid for uid, wake in self._wakes.items() if wake <= now}
        for uid in sorted((due | world.dirty) & world.resources.keys()):
            self._wakes[uid] = max(self._look_at(uid, decisions, now), now + _SHORTEST)
        world.dirty.clear()
        self._place_waiting(decisions, now)
        for uid in self._wakes.keys() - world.resources.keys():
            del self._wakes[uid]
        if any(not a.node and a.leaving is None for a in world.allocs.values()):
            self._wakes[""] = now + _PLACE_AGAIN

    def _look_at(self, uid: str, decisions: Decisions, now: float) -> float:
        """Settle one resource, unless it failed just now; gives when to look again."""
        row, faults = self._world.resources[uid], self._world.faults
        if (held := faults.held_until(row, Work.RECONCILED)) > now:
            return held
        settle = partial(self._settle, uid, decisions, now)
        wake = self._alone(row, Work.RECONCILED, settle, now)
        return faults.held_until(row, Work.RECONCILED) if wake is None else wake

    def _place_waiting(self, decisions: Decisions, now: float) -> None:
        for alloc in tuple(self._world.allocs.values()):
            row = self._world.resources[alloc.uid]
            held = self._world.faults.held_until(row, Work.PLACED) > now
            if not alloc.node and alloc.leaving is None and not held:
                self._alone(row, Work.PLACED, partial(decisions.place, alloc.id), now)

    def _settle(self, uid: str, decisions: Decisions, now: float) -> float:
        """Step one service or job until nothing is left to do now; gives when to look again."""
        for _ in range(_MOST_STEPS):
            step = self._step(uid, now)
            if step is None or not step.changes:
                return step.wake if step is not None and step.wake is not None else now + _IDLE
            decisions.carry_out(uid, step)
            if uid not in self._world.resources:
                return now + _IDLE
        log.error("%s does not settle", self._world.resources[uid].key)
        return now + 1.0

    def _step(self, uid: str, now: float) -> Step | None:
        row = self._world.resources[uid]
        if row.key.kind == "service":
            return reconcile.step(service_view(self._world, row, self._node_list(row.body)), now)
        if row.key.kind != "job":
            return None
        runs = tuple(self._world.runs[uid].values())
        last = self._world.passed.get(uid, row.created)
        allocs = self._world.allocs_of(uid)
        return jobs.step(JobView(row, policy_of(row, job_policy), runs, allocs, last), now)

    def _node_list(self, body: Any) -> list[NodeUse]:
        """Nodes matter to global services alone."""
        everywhere = body.get("deploy", {}).get("mode") == "global"
        return self.nodes() if everywhere else []

    # -- after the commit ------------------------------------------------------------------

    def _carry_on(self, now: float) -> None:
        """Tell the agent; what was asked to go goes after that wish's commit and its users."""
        self._tell_agent()
        for row in removal.unused(self._world):
            if self._world.faults.held_until(row, Work.REMOVED) <= now:
                going = partial(removal.remove, self._world, row, self.agent, now)
                self._alone(row, Work.REMOVED, going, now)
        removal.collect(self._world)
        if self._commit():
            self._tell_agent()

    def _tell_agent(self) -> None:
        self._handover.tell(Truth(self._world, self._clock(), self._stopping_tasks))


def _age(facts: NodeFacts) -> float:
    """Seconds that facts may be old; a driver that is away may have been started just now."""
    complete = all(driver.available for driver in facts.drivers.values())
    return _FACTS_AGE if complete else _SHORT_FACTS_AGE
