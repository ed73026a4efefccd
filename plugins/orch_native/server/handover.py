"""Telling the agent what it shall hold and who answers for what.

Every message is the full truth. Where the agent fails at one, each unit is handed over on its
own: what it fails at waits and is named, everything else gets through.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orch_native.messages import Desired, Routing, State
from orch_native.server.assignment import allocation_of
from orch_native.server.faults import Work, pause_after, report
from orch_native.server.routing import routing_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orch_native.messages import Agent, Allocation
    from orch_native.server.model import Alloc
    from orch_native.server.vault import Vault
    from orch_native.server.world import World

log = logging.getLogger("orch.native")


@dataclass(frozen=True, slots=True)
class Truth:
    """What the agent is told of: the world at a moment; `stopping` when all of it shall end."""

    world: World
    now: float
    stopping: bool


class Handover:
    """Remembers what the agent took, and tells it anew where that has changed."""

    def __init__(self, agent: Agent, vault: Vault) -> None:
        self._agent, self._vault = agent, vault
        self._taken: dict[str, Allocation] = {}
        self._routed: Any = None
        self._version = 0
        self._failures = 0
        self.again = 0.0
        """When to tell everything once more, even if nothing has changed."""

    def tell(self, truth: Truth) -> None:
        """Hand everything over; a fault of the whole agent is met by telling it again."""
        again, self.again = truth.now >= self.again, float("inf")
        before = self._failures
        self._tried(truth, lambda: self._assign(truth, again=again))
        self._tried(truth, lambda: self._route(truth))
        if self._failures == before:
            self._failures = 0

    def _tried(self, truth: Truth, telling: Callable[[], None]) -> None:
        try:
            telling()
        except Exception as fault:  # noqa: BLE001  (reported)
            report(log, "the agent could not take what it was told; it is told again", fault)
            self._failures += 1
            self.again = truth.now + pause_after(self._failures)

    # -- allocations -----------------------------------------------------------------------

    def _assign(self, truth: Truth, *, again: bool) -> None:
        wanted = self._wanted(truth)
        if wanted == self._taken and not again:
            return
        try:
            self._agent.assign(tuple(wanted.values()))
        except Exception as fault:  # noqa: BLE001  (reported)
            report(log, "the agent could not take everything at once", fault)
            self._assign_by_unit(truth, wanted)
        else:
            for id_ in wanted.keys() - self._taken.keys():
                truth.world.faults.clear(truth.world.allocs[id_].uid, Work.HANDED_OVER)
            self._taken = wanted

    def _wanted(self, truth: Truth) -> dict[str, Allocation]:
        wanted: dict[str, Allocation] = {}
        for alloc in truth.world.allocs.values():
            made = self._allocation(truth, alloc) if alloc.node else None
            if made is not None:
                wanted[alloc.id] = made
        return wanted

    def _allocation(self, truth: Truth, alloc: Alloc) -> Allocation | None:
        """As it shall be; as the agent has it while its unit is left alone after a fault."""
        row, faults = truth.world.resources[alloc.uid], truth.world.faults
        desired = Desired.STOP if truth.stopping else alloc.desired
        known = self._taken.get(alloc.id)
        if faults.held_until(row, Work.HANDED_OVER) > truth.now and not truth.stopping:
            return known
        if known is not None:
            return known if known.desired is desired else replace(known, desired=desired)
        try:
            return replace(allocation_of(truth.world, self._vault, alloc), desired=desired)
        except Exception as fault:  # noqa: BLE001  (reported)
            report(log, f"{alloc.id} can't be handed to its node", fault)
            faults.note(row, Work.HANDED_OVER, fault, truth.now)
            return None

    def _assign_by_unit(self, truth: Truth, wanted: Mapping[str, Allocation]) -> None:
        """Begin with what the agent has, then add the news of one unit after the other.

        Raises when it can't even take what it has.
        """
        allocs = truth.world.allocs
        taken = {
            id_: self._taken.get(id_, allocation)
            for id_, allocation in wanted.items()
            if id_ in self._taken or allocs[id_].state is not State.PENDING
        }
        self._agent.assign(tuple(taken.values()))
        self._taken = taken
        units: dict[str, dict[str, Allocation]] = defaultdict(dict)
        for id_, allocation in wanted.items():
            if taken.get(id_) != allocation:
                units[allocs[id_].uid][id_] = allocation
        for uid, news in units.items():
            self._assign_unit(truth, uid, news)

    def _assign_unit(self, truth: Truth, uid: str, news: Mapping[str, Allocation]) -> None:
        together = {**self._taken, **news}
        try:
            self._agent.assign(tuple(together.values()))
        except Exception as fault:  # noqa: BLE001  (reported)
            row = truth.world.resources[uid]
            report(log, f"{row.key} can't be handed to its node", fault)
            truth.world.faults.note(row, Work.HANDED_OVER, fault, truth.now)
            self._end_what_never_began(truth, news)
        else:
            self._taken = together
            truth.world.faults.clear(uid, Work.HANDED_OVER)

    def _end_what_never_began(self, truth: Truth, news: Mapping[str, Allocation]) -> None:
        """What the agent never took and shall stop is gone already."""
        for id_, allocation in news.items():
            if id_ not in self._taken and allocation.desired is Desired.STOP:
                alloc = truth.world.allocs[id_]
                told = "its node never took it"
                truth.world.set_observed(replace(alloc, state=State.STOPPED, message=told))

    # -- routing ---------------------------------------------------------------------------

    def _route(self, truth: Truth) -> None:
        version = self._version + 1
        if truth.stopping:  # nothing answers: whatever holds the ports may end too
            routing = Routing(version)
        else:
            routing = routing_of(truth.world, self._vault, version, truth.now)
        content = (routing.endpoints, routing.entries)
        if content != self._routed:
            self._agent.route(routing)
            self._version, self._routed = version, content
