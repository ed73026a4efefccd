"""A control plane under a virtual clock: the real loop, world and store, and a scripted node."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any, TypeVar

from orch_native.api import Put, Rollout
from orch_native.messages import State
from orch_native.server import sights
from orch_native.server.controller import Controller
from orch_native.server.model import Alloc, App, Key
from orch_native.server.store import Store
from orch_native.server.vault import Vault
from tests.unit.native_server.agent_double import LIVE, ScriptedAgent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orch_native.server.requests import Requests

T = TypeVar("T")
SHOP = App("default", "shop")
START = 1_800_000_000.0


def service(*command: str, replicas: int = 1, **more: Any) -> dict[str, Any]:
    """A service's body whose replicas behave as the command says."""
    deploy = {"replicas": replicas, **more.pop("deploy", {})}
    ports = [{"name": "http", "target": 8080}]
    return {"command": list(command), "ports": ports, "deploy": deploy, **more}


class Plane:
    """The whole control plane but for its thread: the test moves it by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = START
        self.trace: list[tuple[float, dict[int, int], int]] = []
        self.store = self._opened()
        self.agent = ScriptedAgent(self._reported, lambda: self.now)
        self.controller = self._controller()

    def _opened(self) -> Store:
        store = Store(self.folder / "native.db")
        # The process is killed here, never the machine, so no test needs the disk's own word.
        store._writing.execute("PRAGMA synchronous = OFF")
        return store

    def _reported(self, seen: Any) -> None:
        self.controller._inbox.put(seen)

    def _controller(self) -> Controller:
        vault = Vault(self.folder / "key")
        return Controller(self.store, vault, lambda _: self.agent, clock=lambda: self.now)

    def crash(self) -> None:
        """kill -9 of the server: a new one begins with what is on the disk."""
        self.store.close()
        self.store = self._opened()
        self.controller = self._controller()
        self.controller._tell_agent()
        self.agent.report([task.seen for task in self.agent.tasks.values()])

    def close(self) -> None:
        self.store.close()

    # -- moving ----------------------------------------------------------------------------

    def turn(self) -> None:
        """One turn of the loop with everything that waits."""
        items: list[Any] = []
        while True:
            try:
                items.append(self.controller._inbox.get_nowait())
            except queue.Empty:
                break
        self.controller._turn(items)

    def run(self, seconds: float = 0.0) -> None:
        """Let this time pass, and all happen that happens in it."""
        end = self.now + seconds
        for _ in range(100_000):
            self.turn()
            self.agent.advance()
            if not self.controller._inbox.empty():
                continue
            wakes = (*self.controller._wakes.values(), self.controller._due_again)
            due = min(self.agent.next_change, *wakes, end)
            if due > self.now:
                self.now = min(due, end)
            elif self.now >= end:
                return
            else:
                self.now += 0.001
        raise AssertionError("the loop spins")

    def ask(self, work: Callable[[Requests], T]) -> T:
        done = self.controller.ask(work)
        self.turn()
        return done.result(timeout=0)

    # -- asking ----------------------------------------------------------------------------

    def put(self, name: str, body: dict[str, Any], kind: str = "service", **more: Any) -> Any:
        more.setdefault("revision", 1)
        return self.ask(lambda r: r.put(Key(SHOP, kind, name), Put(body, **more)))

    def delete(self, name: str, kind: str = "service") -> None:
        self.ask(lambda r: r.delete(Key(SHOP, kind, name), None))

    def rollout(self, name: str = "web", kind: str = "service") -> Rollout:
        key = Key(SHOP, kind, name)
        return self.ask(lambda r: sights.rollout(r.world, key, self.controller.nodes()))

    def status(self, name: str) -> dict[str, Any]:
        found = self.ask(lambda r: sights.status(r.world, SHOP, self.controller.nodes()))
        return next(row for row in found["services"] if row["name"] == name)

    def why(self, name: str) -> list[str]:
        found = self.ask(lambda r: sights.why(r.world, SHOP, name, self.controller.nodes()))
        assert found is not None
        return found

    def allocs(self, name: str = "web", kind: str = "service") -> list[Alloc]:
        uid = self.controller._world.uids.get(Key(SHOP, kind, name))
        return [] if uid is None else self.controller._world.allocs_of(uid)

    def live(self, name: str = "web") -> dict[int, list[str]]:
        """What runs on the node, by index."""
        found: dict[int, list[str]] = {}
        for task in self.agent.tasks.values():
            if task.allocation.unit == name and task.seen.state in LIVE:
                found.setdefault(task.allocation.index, []).append(task.allocation.id)
        return found

    def ready(self, name: str = "web") -> int:
        """How many replicas may be sent traffic, by what the agent was told."""
        endpoints = self.agent.routing.endpoints.get(f"default/shop/{name}", ())
        return sum(not endpoint.draining for endpoint in endpoints)

    def commands(self, name: str = "web") -> list[str]:
        """What the running replicas run, by index."""
        running = [
            task.allocation
            for task in self.agent.tasks.values()
            if task.allocation.unit == name and task.seen.state is State.RUNNING
        ]
        running.sort(key=lambda allocation: allocation.index)
        return [" ".join(allocation.body["command"]) for allocation in running]

    def events(self) -> list[str]:
        rows = self.store.rows("SELECT id, kind, message FROM events ORDER BY number")
        return [f"{row['id']} {row['kind']}: {row['message']}" for row in rows]
