"""Which steps may start: conditions that are met, and those still waited for."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from orch.plan.graph import phases_of
from orch.types import Condition, Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orch.types import Action

EVERY = frozenset(Condition)


class Gates:
    """The order of a set of actions, followed as conditions are reached.

    An action is given out once, when everything that it waits for has been reached and nothing
    of an earlier phase is left.
    """

    def __init__(self, actions: Sequence[Action]) -> None:
        self._actions = {action.id: action for action in actions}
        self._phases = phases_of(actions)
        self._left = Counter(self._phases.values())
        self._waiting: dict[str, int] = {}
        self._edges: dict[str, list[tuple[str, Condition, bool]]] = {}
        self._reached: dict[str, set[Condition]] = {}
        self._ready: dict[int, deque[str]] = {phase: deque() for phase in (0, 1, 2)}
        for action in actions:
            self._enter(action)

    def _enter(self, action: Action) -> None:
        own = [d for d in action.after if d.id in self._actions]
        self._waiting[action.id] = len(own)
        for dependency in own:
            edge = (action.id, dependency.condition, dependency.required)
            self._edges.setdefault(dependency.id, []).append(edge)
        if not own:
            self._ready[self._phases[action.id]].append(action.id)

    def ready(self) -> Action | None:
        """The next action that may start now, None while there is none."""
        for phase, ids in sorted(self._ready.items()):
            if ids:
                return self._actions[ids.popleft()]
            if self._left[phase]:
                return None
        return None

    def put_back(self, action: Action) -> None:
        """Give an action back that could not be started yet."""
        self._ready[self._phases[action.id]].appendleft(action.id)

    def reach(self, id_: str, conditions: Iterable[Condition]) -> None:
        """Note what has become true of an action's object."""
        known = self._reached.setdefault(id_, set())
        new = set(conditions) - known
        known |= new
        for waiting, condition, _ in self._edges.get(id_, ()):
            if condition in new:
                self._release(waiting)

    def end(self, id_: str, *, failed: bool) -> list[str]:
        """Note that an action is over, and give those that can never start because of it."""
        self._left[self._phases[id_]] -= 1
        stuck: list[str] = []
        known = self._reached.setdefault(id_, set())
        for waiting, condition, required in self._edges.get(id_, ()):
            if condition in known:
                continue
            if failed and required:
                stuck.append(waiting)
            else:
                self._release(waiting)
        known |= EVERY
        return stuck

    def _release(self, id_: str) -> None:
        self._waiting[id_] -= 1
        if self._waiting[id_] == 0:
            self._ready[self._phases[id_]].append(id_)

    def awaited(self, conditions: Iterable[Condition]) -> frozenset[str]:
        """Ids of which somebody who changes something awaits one of these conditions."""
        wanted = frozenset(conditions)
        return frozenset(
            id_
            for id_, edges in self._edges.items()
            if any(
                condition in wanted and self._actions[waiting].operation is not Operation.NOOP
                for waiting, condition, _ in edges
            )
        )
