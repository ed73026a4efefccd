"""The one loop of the control plane: it takes requests and observations, decides, commits, tells.

A turn takes everything that waits, does it on the world, lets the pure parts decide for what it
touched, commits all writes in one piece, and only then answers the askers and tells the agent.
Nothing that was answered can be lost, and nothing that was lost was answered.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from orch.errors import OrchError
from orch_native.messages import Desired, Routing
from orch_native.server import jobs, reconcile
from orch_native.server.assignment import allocation_of
from orch_native.server.decisions import Decisions
from orch_native.server.jobs import JobView
from orch_native.server.policy import job_policy
from orch_native.server.removal import remove_unused
from orch_native.server.requests import Requests
from orch_native.server.routing import routing_of
from orch_native.server.scheduler import NodeUse, demand_of
from orch_native.server.sights import service_view
from orch_native.server.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orch_native.messages import Agent, Allocation, NodeFacts, Observation
    from orch_native.server.model import Alloc, Step
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
        self._assigned: dict[str, Allocation] = {}
        self._routed: Any = None
        self._routing_version = 0
        self._facts: NodeFacts | None = None
        self._facts_at = 0.0
        self._stopping_tasks = False
        self._tell_again: float | None = 0.0
        self._unwritten: dict[str, Observation] = {}
        self._listeners: list[Callable[[], None]] = []
        self.agent = make_agent(self._inbox.put)
        self._thread = threading.Thread(target=self._turn_forever, name="controller", daemon=True)

    def start(self) -> None:
        """Tell the agent what it shall hold, and begin to turn."""
        self._tell_agent()
        self._thread.start()

    def close(self) -> None:
        """End the loop; the agent lets go of its tasks, which live on."""
        self._inbox.put(None)
        self._thread.join()
        self.agent.close()

    # -- asked from any thread -------------------------------------------------------------

    def ask(self, work: Callable[[Requests], T]) -> Future[T]:
        """Do this on the loop's thread. The future is done after the commit of what it changed."""
        asked = _Asked(work, Future())
        self._inbox.put(asked)
        return asked.done

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
        use = NodeUse(self.facts())
        for alloc in self._world.allocs.values():
            if alloc.node == use.facts.name and not alloc.ended:
                key = self._world.resources[alloc.uid].key
                body = self._world.template_of(alloc).body
                use.take(demand_of(str(key), body), alloc.id)
        return [use]

    def facts(self) -> NodeFacts:
        """The node's facts, at most a moment old."""
        now = time.monotonic()
        if self._facts is None or now - self._facts_at > _age(self._facts):
            self._facts, self._facts_at = self.agent.facts(), now
        return self._facts

    # -- the loop --------------------------------------------------------------------------

    def _turn_forever(self) -> None:
        going = True
        while going:
            items, going = self._gather()
            try:
                self._turn(items)
            except Exception:  # the loop must outlive every fault: who asks would wait for ever
                log.exception("a turn of the control loop failed after its commit")
                self._begin_anew(items)

    def _gather(self) -> tuple[list[_Asked | Sequence[Observation]], bool]:
        """Everything that waits; an empty list when it is time to look again."""
        wakes = (*self._wakes.values(), self._tell_again or self._clock() + _IDLE)
        wait = min(wakes) - self._clock()
        items: list[_Asked | Sequence[Observation]] = []
        try:
            item = self._inbox.get(timeout=min(max(wait, 0.001), _IDLE))
            while item is not None:
                items.append(item)
                item = self._inbox.get_nowait()
        except queue.Empty:
            return items, True
        return items, False

    def _turn(self, items: Sequence[_Asked | Sequence[Observation]]) -> None:
        now = self._clock()
        decisions = Decisions(self._world, now, self.nodes)
        answers: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            decisions.observe(tuple(self._unwritten.values()))
            for item in items:
                if not isinstance(item, _Asked):
                    decisions.observe(item)
                elif item.done.set_running_or_notify_cancel():  # else who asked has gone
                    answers.append(self._do(item, now))
            if not self._stopping_tasks:
                self._decide(decisions, now)
            changed = self._commit()
        except Exception as fault:
            log.exception("a turn of the control loop failed")
            self._begin_anew(items)
            told = fault if isinstance(fault, OrchError) else OrchError(f"server fault: {fault!r}")
            for done, _, error in answers:
                done.set_exception(error or told)
            return
        self._unwritten.clear()
        for done, result, error in answers:
            done.set_exception(error) if error is not None else done.set_result(result)
        again = self._tell_again is not None and now >= self._tell_again
        if changed or again or self._stopping_tasks:
            self._tell_agent()
            self._remove_unused(now)
            for called in tuple(self._listeners):
                called()

    def _begin_anew(self, items: Sequence[_Asked | Sequence[Observation]]) -> None:
        """Forget what was decided and not written; after a pause look at everything again.

        What agents saw is told once, so the newest of each is kept for the next turn: before
        what that one hears, never after it.
        """
        self._world = World(self._store)
        self._wakes = dict.fromkeys(self._world.resources, self._clock() + _AFTER_FAULT)
        for item in items:
            if not isinstance(item, _Asked):
                self._unwritten.update((seen.id, seen) for seen in item)

    def _do(self, asked: _Asked, now: float) -> tuple[Future[Any], Any, BaseException | None]:
        try:
            result = asked.work(Requests(self._world, self._vault, now))
        except Exception as fault:  # noqa: BLE001  (it is the asker's, and is handed to them)
            return asked.done, None, fault
        return asked.done, result, None

    def _remove_unused(self, now: float) -> None:
        """What was asked to go goes after the commit of that wish, and after its users went."""
        remove_unused(self._world, self.agent, now)
        if self._commit():
            self._tell_agent()

    def _commit(self) -> bool:
        writes = self._world.taken()
        if writes:
            self._store.submit(writes).result()
        return bool(writes)

    # -- deciding --------------------------------------------------------------------------

    def _decide(self, decisions: Decisions, now: float) -> None:
        """Let the pure parts speak for whatever was touched or has come due."""
        world = self._world
        due = {uid for uid, wake in self._wakes.items() if wake <= now}
        for uid in sorted((due | world.dirty) & world.resources.keys()):
            self._wakes[uid] = max(self._settle(uid, decisions, now), now + _SHORTEST)
        world.dirty.clear()
        decisions.place_waiting()
        for uid in self._wakes.keys() - world.resources.keys():
            del self._wakes[uid]
        if any(not a.node and a.leaving is None for a in world.allocs.values()):
            self._wakes[""] = now + _PLACE_AGAIN

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
        return jobs.step(JobView(row, job_policy(row.body), runs, allocs, last), now)

    def _node_list(self, body: Any) -> list[NodeUse]:
        """Nodes matter to global services alone."""
        everywhere = body.get("deploy", {}).get("mode") == "global"
        return self.nodes() if everywhere else []

    # -- telling ---------------------------------------------------------------------------

    def _tell_agent(self) -> None:
        """Hand over what the agent shall hold; a fault of it is met by telling it again."""
        try:
            self._assign()
            self._route()
        except Exception:
            log.exception("the agent could not take what it was told; it is told again")
            self._assigned, self._routed = {}, None
            self._tell_again = self._clock() + _AFTER_FAULT

    def _assign(self) -> None:
        wanted: dict[str, Allocation] = {}
        for alloc in self._world.allocs.values():
            if alloc.node:
                made = self._allocation(alloc)
                if made is not None:
                    wanted[alloc.id] = made
        if wanted != self._assigned or self._tell_again is not None:
            self._tell_again = None
            self.agent.assign(tuple(wanted.values()))
            self._assigned = wanted

    def _route(self) -> None:
        version = self._routing_version + 1
        if self._stopping_tasks:  # nothing answers: whatever holds the ports may end too
            routing = Routing(version)
        else:
            routing = routing_of(self._world, self._vault, version)
        content = (routing.endpoints, routing.entries)
        if content != self._routed:
            self._routing_version += 1
            self.agent.route(routing)
            self._routed = content

    def _allocation(self, alloc: Alloc) -> Allocation | None:
        desired = Desired.STOP if self._stopping_tasks else alloc.desired
        known = self._assigned.get(alloc.id)
        if known is not None and known.desired is desired:
            return known
        try:
            return _with_desired(known or allocation_of(self._world, self._vault, alloc), desired)
        except (OrchError, KeyError) as fault:
            log.warning("%s can't be handed to its node: %s", alloc.id, fault)
            return None


def _age(facts: NodeFacts) -> float:
    """Seconds that facts may be old; a driver that is away may have been started just now."""
    complete = all(driver.available for driver in facts.drivers.values())
    return _FACTS_AGE if complete else _SHORT_FACTS_AGE


def _with_desired(allocation: Allocation, desired: Desired) -> Allocation:
    return allocation if allocation.desired is desired else replace(allocation, desired=desired)
