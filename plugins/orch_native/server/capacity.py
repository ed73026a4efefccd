"""What is taken of the node by everything that has not ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_native.server.scheduler import Demand, NodeUse, demand_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from orch_native.messages import NodeFacts
    from orch_native.server.model import Alloc, Key
    from orch_native.server.world import World


def node_use(world: World, facts: NodeFacts, without: Collection[Key] = ()) -> NodeUse:
    """The node with what is taken of it, but for the replicas of the units in `without`."""
    use = NodeUse(facts)
    for alloc in world.allocs.values():
        row = world.resources[alloc.uid]
        if alloc.node == facts.name and not alloc.ended and row.key not in without:
            demand = _demand(world, alloc, str(row.key))
            if demand is not None:
                use.take(demand, alloc.id)
    return use


def _demand(world: World, alloc: Alloc, unit: str) -> Demand | None:
    """None for a body that can't be read: its own reconciling tells of that."""
    try:
        return demand_of(unit, world.template_of(alloc).body)
    except Exception:  # noqa: BLE001  (one bad body must not keep all others from being placed)
        return None
