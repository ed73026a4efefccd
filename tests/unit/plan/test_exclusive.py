from __future__ import annotations

from dataclasses import replace

from orch.backend.capabilities import Capabilities
from orch.plan.exclusive import free_first, still_crowded
from orch.plan.graph import in_order
from orch.types import Action, Crowded, Dependency, Diagnostic, Instance, Observed, Operation, Plan

HERE = Instance("native", "default", "shop")
NOTHING_EXCLUSIVE = Capabilities({})


def action(operation: Operation, name: str) -> Action:
    gone = operation is Operation.DELETE
    there = Observed(f"service/{name}", "service", name, {}, owner=HERE) if gone else None
    body = None if gone else {"image": "a:1"}
    return Action(
        operation, f"service/{name}", "service", name, "", body=body, before=there, rollout=True
    )


NEW, OLD, OTHER = (
    action(Operation.CREATE, "new"),
    action(Operation.DELETE, "old"),
    action(Operation.DELETE, "other"),
)
NO_ROOM = Diagnostic("no room", ("services", "new"))
CROWDED = (Crowded("service/new", ("service/old",), NO_ROOM),)


def test_what_has_no_room_waits_for_those_that_give_it_back() -> None:
    made = free_first((NEW, OLD, OTHER), NOTHING_EXCLUSIVE, CROWDED)
    assert made[0].after == (Dependency("service/old"),)
    assert made[1:] == [OLD, OTHER]
    assert [a.name for a in in_order(made)] == ["old", "new", "other"]


def test_the_problem_stands_where_those_that_would_give_room_stay() -> None:
    stays = replace(OLD, operation=Operation.NOOP, body={})
    plan = Plan(HERE, "native", (NEW, OLD, OTHER), {}, 1, "f")
    assert still_crowded(plan, CROWDED) == []
    assert still_crowded(replace(plan, actions=(NEW, stays, OTHER)), CROWDED) == [NO_ROOM]
    assert free_first((NEW, stays), NOTHING_EXCLUSIVE, CROWDED) == (NEW, stays)


def test_what_is_not_sent_needs_no_room() -> None:
    unchanged = replace(NEW, operation=Operation.NOOP)
    stays = replace(OLD, operation=Operation.NOOP, body={})
    plan = Plan(HERE, "native", (unchanged, stays), {}, 1, "f")
    assert still_crowded(plan, CROWDED) == []
