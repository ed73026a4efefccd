"""What two objects can't have at once, such as a published port or room: who lets go goes first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orch.plan.diff import patterns_of, values_at
from orch.types import Dependency, Operation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orch.backend.capabilities import Capabilities
    from orch.types import Action, Crowded, Diagnostic, Plan


def free_first(
    actions: Sequence[Action], capabilities: Capabilities, crowded: Sequence[Crowded] = ()
) -> Sequence[Action]:
    """Let steps that take an exclusive value, or room, wait for the deletions that give it back."""
    patterns = capabilities.limits.get("exclusive", ())
    going = [a for a in actions if a.operation is Operation.DELETE and a.before is not None]
    if not going:
        return actions
    room = {each.id: set(each.freed_by) & {a.id for a in going} for each in crowded}
    freed: dict[tuple[str, Any], str] = {}
    for action in going:
        body = action.before.body if action.before else {}
        freed.update((held, action.id) for held in _held(action.kind, body, patterns))
    return [
        _after_those_freeing(action, freed, patterns, room.get(action.id, set()))
        for action in actions
    ]


def still_crowded(plan: Plan, crowded: Sequence[Crowded]) -> list[Diagnostic]:
    """The problems of those that have no room, since the plan lets somebody stay."""
    going = {a.id for a in plan.actions if a.operation is Operation.DELETE}
    sent = {a.id for a in plan.actions if a.operation is not Operation.NOOP}
    return [
        each.problem for each in crowded if each.id in sent and not going.issuperset(each.freed_by)
    ]


def _after_those_freeing(
    action: Action, freed: dict[tuple[str, Any], str], patterns: Sequence[str], room: set[str]
) -> Action:
    if action.operation in (Operation.DELETE, Operation.NOOP) or action.body is None:
        return action
    held = _held(action.kind, action.body, patterns)
    givers = room | {freed[value] for value in held if value in freed}
    waits = tuple(Dependency(id_) for id_ in sorted(givers))
    return replace(action, after=(*action.after, *waits)) if waits else action


def _held(kind: str, body: Any, patterns: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for text, path in patterns_of(patterns, kind):
        for value in values_at(body, path):
            if isinstance(value, str | int):
                yield text, value
