"""An agent that plays tasks by a script, under a clock that the test moves.

A task's `command` says how it behaves: `ok`, `slow SECONDS`, `crash`, `never-ready`,
`unstartable`, and for jobs `done CODE SECONDS`. It keeps count of what a test must never see.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orch_native.messages import (
    Desired,
    DriverFacts,
    NodeFacts,
    Observation,
    Routing,
    State,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orch_native.messages import Allocation, ExecSession

LIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING, State.BACKOFF})
DRIVERS = {name: DriverFacts(name, available=True) for name in ("docker", "process")}
STOP_SECONDS = 0.5
CRASH_SECONDS = 0.3
BACKOFF_SECONDS = 5.0


@dataclass
class Played:
    """A task that is played: what was told of it last, and when it changes next."""

    allocation: Allocation
    seen: Observation
    due: float
    stopping: bool = False


@dataclass
class ScriptedAgent:
    """Implements `messages.Agent` for one made-up node."""

    report: Callable[[Sequence[Observation]], None]
    clock: Callable[[], float]
    cpus: int = 4000
    memory: int = 8 << 30
    tasks: dict[str, Played] = field(default_factory=dict)
    routing: Routing = field(default_factory=lambda: Routing(0))
    removed: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    away: dict[str, str] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)

    def facts(self) -> NodeFacts:
        return NodeFacts(
            name="host",
            cpus=self.cpus,
            memory=self.memory,
            disk=100 << 30,
            attributes={"os": "linux", "arch": "amd64"},
            labels={"tier": "web"},
            drivers={**DRIVERS, **{n: DriverFacts(n, False, w) for n, w in self.away.items()}},
            addresses=("192.0.2.7",),
        )

    def refusals(self, body: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        return list(self.refused)

    def assign(self, allocations: Sequence[Allocation]) -> None:
        named = {allocation.id: allocation for allocation in allocations}
        for id_ in self.tasks.keys() - named.keys():
            del self.tasks[id_]
        for allocation in allocations:
            task = self.tasks.get(allocation.id)
            if task is None:
                task = self._take_up(allocation)
            if allocation.desired is Desired.STOP and not task.stopping:
                task.stopping, task.due = True, self.clock() + STOP_SECONDS

    def _take_up(self, allocation: Allocation) -> Played:
        seen = Observation(allocation.id, State.PENDING, since=self.clock())
        task = self.tasks[allocation.id] = Played(allocation, seen, self.clock())
        self.started.append(allocation.id)
        return task

    def route(self, routing: Routing) -> None:
        self.routing = routing

    @property
    def next_change(self) -> float:
        """When something happens by itself."""
        return min((task.due for task in self.tasks.values()), default=float("inf"))

    def advance(self) -> None:
        """Let everything happen that is due, and tell of it."""
        told = []
        for task in tuple(self.tasks.values()):
            if task.due <= self.clock():
                before = task.seen
                self._play(task)
                if task.seen != before:
                    told.append(task.seen)
        if told:
            self.report(told)

    def kill(self, id_: str) -> None:
        """Let a task crash, as if somebody had killed its process."""
        task = self.tasks[id_]
        if task.seen.state is State.RUNNING and not task.stopping:
            self._crash(task, 137)
            self.report([task.seen])

    def _play(self, task: Played) -> None:
        task.due = float("inf")
        if task.stopping:
            if task.seen.state not in {State.COMPLETED, State.FAILED}:
                self._see(task, State.STOPPED, ready=False)
            return
        verb, *more = task.allocation.body["command"]
        getattr(self, "_play_" + verb.replace("-", "_"))(task, *more)

    def _see(self, task: Played, state: State, **more: Any) -> None:
        task.seen = replace(task.seen, state=state, since=self.clock(), **more)

    def _in(self, task: Played, seconds: float) -> None:
        task.due = self.clock() + seconds

    def _crash(self, task: Played, code: int) -> None:
        self._see(task, State.BACKOFF, ready=False, exit_code=code, message="it crashed")
        self._in(task, BACKOFF_SECONDS)

    def _up(self, task: Played) -> None:
        again = task.seen.state is State.BACKOFF
        port = task.allocation.index + 8000
        self._see(
            task,
            State.RUNNING,
            ready=True,
            started=True,
            message="",
            restarts=task.seen.restarts + again,
            address="127.0.0.1",
            ports={"8080/tcp": port},
            driver="process",
        )

    def _play_ok(self, task: Played, *_version: str) -> None:
        self._up(task)

    def _play_slow(self, task: Played, seconds: str) -> None:
        if task.seen.state is State.PENDING:
            self._see(task, State.STARTING)
            self._in(task, float(seconds))
        else:
            self._up(task)

    def _play_crash(self, task: Played) -> None:
        if task.seen.state is State.RUNNING:
            self._crash(task, 1)
        else:
            self._up(task)
            self._in(task, CRASH_SECONDS)

    def _play_never_ready(self, task: Played) -> None:
        self._see(task, State.RUNNING, message="readiness: 503")

    def _play_unstartable(self, task: Played) -> None:
        self._see(task, State.BACKOFF, message="image not found: nope:1")

    def _play_done(self, task: Played, code: str, seconds: str) -> None:
        if task.seen.state is State.PENDING:
            self._see(task, State.RUNNING, ready=True)
            self._in(task, float(seconds))
        else:
            state = State.COMPLETED if code == "0" else State.FAILED
            self._see(task, state, ready=False, exit_code=int(code))

    def logs(
        self, allocation: str, *, follow: bool, since: float | None, tail: int | None
    ) -> Iterator[Any]:
        return iter(())

    def exec(self, allocation: str, command: Sequence[str], *, tty: bool) -> ExecSession:
        raise KeyError(allocation)

    def stats(self) -> Mapping[str, Mapping[str, float]]:
        return {}

    def remove_volume(self, name: str) -> None:
        self.removed.append(f"volume {name}")

    def remove_network(self, name: str) -> None:
        self.removed.append(f"network {name}")

    def close(self) -> None:
        pass
