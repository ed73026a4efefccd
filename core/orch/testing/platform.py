"""The table that a scripted backend works on, and the script of what goes wrong there."""

from __future__ import annotations

import fcntl
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orch.types import Diagnostic, Instance, LogLine


class Killed(BaseException):
    """The process of a client is gone: nothing that it would still do happens."""


class State:
    """What the platform holds: plain JSON, so that it can live in a file."""

    def __init__(self, tree: dict[str, Any] | None = None) -> None:
        self.tree = tree or {"objects": {}, "records": {}, "locks": {}, "events": {}, "count": 0}

    def objects(self, instance: Instance) -> dict[str, Any]:
        """Objects of an instance, by id."""
        found: dict[str, Any] = self.tree["objects"].setdefault(str(instance), {})
        return found

    def records(self, key: str) -> dict[str, str]:
        """Records of an instance, by name, in hexadecimal."""
        found: dict[str, str] = self.tree["records"].setdefault(key, {})
        return found

    def locks(self) -> dict[str, Any]:
        """Held locks, by instance."""
        found: dict[str, Any] = self.tree["locks"]
        return found

    def instances(self) -> list[str]:
        """Instances that hold anything."""
        return [key for key, rows in self.tree["objects"].items() if rows]

    def next(self) -> int:
        """A number never given before."""
        self.tree["count"] += 1
        return int(self.tree["count"])

    def note(self, instance: Instance, kind: str, id_: str, message: str) -> None:
        """Remember something that happened."""
        self.tree["events"].setdefault(str(instance), []).append((kind, id_, message, time.time()))

    def happened(self, instance: Instance) -> list[tuple[str, str, str, float]]:
        """What happened, oldest first."""
        return [tuple(row) for row in self.tree["events"].get(str(instance), [])]


@dataclass
class Platform:
    """A platform that several clients share; with a `path` it outlives their processes.

    `sent` lists, in order, the id of each applied object with the secret values that came with
    it. With `rolls_back` it returns a failed service to its last body by itself. `problems` are
    told by every observation. `limit` is the most bytes that a record may hold. Once `mended`,
    what is broken gets healthy when it is tried again.
    """

    path: Path | None = None
    clock: Callable[[], float] = time.time
    limit: int = 4096
    rolls_back: bool = False
    mended: bool = False
    problems: list[Diagnostic] = field(default_factory=list)
    logs: dict[str, list[LogLine]] = field(default_factory=dict)
    sent: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    closed: int = 0
    _state: State = field(default_factory=State)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @contextmanager
    def state(self) -> Iterator[State]:
        """The table, for one reader or writer at a time; a fault leaves a stored one as it was."""
        with self._lock:
            if self.path is None:
                yield self._state
            else:
                yield from self._stored(self.path)

    def _stored(self, path: Path) -> Iterator[State]:
        with path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            state = State(json.loads(file.read() or "null"))
            yield state
            file.seek(0)
            file.truncate()
            json.dump(state.tree, file)

    # -- what somebody else does -----------------------------------------------------------

    def tamper(self, instance: Instance, id_: str, **fields: Any) -> None:
        """Change fields at the top of an object's body behind everybody's back."""
        with self.state() as state:
            row = state.objects(instance)[id_]
            row["body"] = {**row["body"], **fields}
            row["version"] = f"v{state.next()}"

    def remove(self, instance: Instance, id_: str) -> None:
        """Remove an object behind everybody's back."""
        with self.state() as state:
            del state.objects(instance)[id_]

    def make_by_hand(
        self, instance: Instance, id_: str, body: dict[str, Any], owner: Instance | None = None
    ) -> None:
        """Put an object there that nobody, or another instance, marked as its own."""
        kind, _, name = id_.partition("/")
        mark = [owner.target, owner.namespace, owner.name] if owner else None
        with self.state() as state:
            state.objects(instance)[id_] = {
                "kind": kind, "name": name, "body": body, "applied": None, "owner": mark,
                "uid": f"u{state.next()}", "version": f"v{state.next()}", "revision": 0,
                "rollout": kind in ("service", "job"), "healthy": True, "restarts": 0, "runs": 0,
            }  # fmt: skip

    def bodies(self, instance: Instance) -> dict[str, Any]:
        """Bodies of all objects by id, to look at."""
        with self.state() as state:
            return {id_: row["body"] for id_, row in state.objects(instance).items()}


class Gate:
    """A point at which a call waits: `reached` once it is there, until `open` is called."""

    def __init__(self) -> None:
        self.reached, self._opened = threading.Event(), threading.Event()

    def open(self) -> None:
        """Let the call go on."""
        self._opened.set()

    def stop_here(self) -> None:
        """Say that the call came, and wait."""
        self.reached.set()
        self._opened.wait()


@dataclass
class _Rule:
    method: str
    id: str
    on: int
    times: int
    after: bool
    act: Callable[[], None]

    def fits(self, method: str, id_: str, count: int) -> bool:
        """Whether this is the call meant: the method, the object and which call it is."""
        named = self.method == method and self.id in ("", id_)
        return named and self.on <= count < self.on + self.times


class Script:
    """What goes wrong for one client, and every call that it made, as (method, id)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self._rules: list[_Rule] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._kill_at: int | None = None
        self._dead = False
        self._lock = threading.Lock()

    def fail(
        self,
        method: str,
        fault: Exception,
        *,
        id: str = "",
        on: int = 1,
        times: int = 1,
        after: bool = False,
    ) -> None:
        """Raise at the given calls of a method, counted from 1, before or `after` its effect."""

        def act() -> None:
            raise fault

        self._rules.append(_Rule(method, id, on, times, after, act))

    def hold(self, method: str, *, id: str = "", on: int = 1, after: bool = False) -> Gate:
        """Let a call wait at a gate."""
        gate = Gate()
        self._rules.append(_Rule(method, id, on, 1, after, gate.stop_here))
        return gate

    def then(self, method: str, act: Callable[[], None], *, id: str = "", on: int = 1) -> None:
        """Do something, such as moving an object, before a call has its effect."""
        self._rules.append(_Rule(method, id, on, 1, after=False, act=act))

    def kill(self, at: int) -> None:
        """Kill this client at a point of its life: each call has one before and one after."""
        self._kill_at = at

    @property
    def points(self) -> int:
        """How many points of its life have passed."""
        return 2 * len(self.calls)

    @contextmanager
    def call(self, method: str, id_: str = "") -> Iterator[None]:
        """Around the effect of a call: let happen what the script says."""
        with self._lock:
            self._die_at(2 * len(self.calls) + 1)
            self.calls.append((method, id_))
            self._counts[method, ""] += 1
            self._counts[method, id_] += bool(id_)
            count = len(self.calls)
        self._act(method, id_, after=False)
        yield
        with self._lock:
            self._die_at(2 * count)
        self._act(method, id_, after=True)

    def _die_at(self, point: int) -> None:
        if self._dead or (self._kill_at is not None and point >= self._kill_at):
            self._dead = True
            raise Killed

    def _act(self, method: str, id_: str, *, after: bool) -> None:
        for rule in self._rules:
            count = self._counts[method, rule.id]
            if rule.after is after and rule.fits(method, id_, count):
                rule.act()
