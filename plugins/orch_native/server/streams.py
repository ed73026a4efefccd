"""Answers that go on: rollouts, logs and events, each an async iterator of JSON-shaped rows."""

from __future__ import annotations

import asyncio
import heapq
import json
import threading
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from orch import errors
from orch_native.server import sights
from orch_native.server.problems import problem_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from starlette.datastructures import QueryParams

    from orch.types import LogLine
    from orch_native.server.controller import Controller
    from orch_native.server.model import App, Key
    from orch_native.server.store import Store

_LOOK_AGAIN = 15.0
_QUEUED_LINES = 1000


async def json_lines(rows: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
    """Rows as lines; a fault becomes a last line that holds the problem."""
    try:
        async for row in rows:
            yield json.dumps(row).encode() + b"\n"
    except errors.OrchError as fault:
        yield json.dumps({"problem": asdict(problem_of(fault))}).encode() + b"\n"


class Pulse:
    """Wakes a stream after every turn of the control loop that changed something."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def beat(self) -> None:
        """Called from the loop's own thread."""
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            return  # the server is going down

    async def wait(self, longest: float) -> None:
        """Return at the next beat, at the latest after `longest` seconds."""
        try:
            await asyncio.wait_for(self._event.wait(), longest)
        except TimeoutError:
            return
        finally:
            self._event.clear()


@contextmanager
def pulse_of(controller: Controller) -> Iterator[Pulse]:
    """A pulse that beats as long as the stream lives."""
    pulse = Pulse()
    forget = controller.listen(pulse.beat)
    try:
        yield pulse
    finally:
        forget()


async def rollout_stream(
    controller: Controller, key: Key, longest: float | None
) -> AsyncIterator[Mapping[str, Any]]:
    """Every sight of a rollout that differs from the last, to a final one."""
    loop = asyncio.get_running_loop()
    end = None if longest is None else loop.time() + longest
    last: dict[str, Any] = {}
    with pulse_of(controller) as pulse:
        while True:
            sight = await controller.asked(
                lambda r: sights.rollout(r.world, key, controller.nodes())
            )
            row = asdict(sight)
            if row != last:
                yield row
                last = row
            if sight.phase.final:
                return
            left = _LOOK_AGAIN if end is None else end - loop.time()
            if left <= 0:
                told = sight.message or str(sight.phase)
                raise errors.TimedOut(f"not done in {longest:g} s: {told}", place=key.id)
            await pulse.wait(min(left, _LOOK_AGAIN))


async def event_stream(
    controller: Controller, store: Store, app: App, since: float | None, *, follow: bool
) -> AsyncIterator[Mapping[str, Any]]:
    """The event log of an instance, oldest first."""
    last = 0
    with pulse_of(controller) as pulse:
        while True:
            rows = await asyncio.to_thread(_events_after, store, app, last, since or 0.0)
            for row in rows:
                last = row.pop("number")
                yield row
            if not follow:
                return
            await pulse.wait(_LOOK_AGAIN)


def _events_after(store: Store, app: App, last: int, since: float) -> list[dict[str, Any]]:
    sql = (
        "SELECT number, kind, id, message, time FROM events"
        " WHERE namespace = ? AND app = ? AND number > ? AND time >= ? ORDER BY number"
    )
    return [dict(row) for row in store.rows(sql, (*app, last, since))]


# -- logs ----------------------------------------------------------------------------------


async def log_stream(
    controller: Controller, app: App, query: QueryParams
) -> AsyncIterator[Mapping[str, Any]]:
    """Lines of the chosen replicas, by time; when following, of those too that start later."""
    wanted = _Wanted(
        tuple(query.getlist("service")),
        tuple(query.getlist("replica")),
        float(query["since"]) if "since" in query else None,
        int(query["tail"]) if "tail" in query else None,
    )
    chosen = await controller.asked(lambda r: wanted.choose(r.world, app))
    if not chosen and (wanted.services or wanted.replicas):
        names = ", ".join((*wanted.services, *wanted.replicas))
        raise errors.UsageFault(
            f"there is no replica of {names}",
            place=f"{app.namespace}/{app.name}",
            mend="see `orch ps`",
        )
    follow = query.get("follow") == "1"
    lines = _Lines(controller, wanted)
    try:
        if follow:
            async for line in _followed(controller, app, wanted, lines):
                yield asdict(line)
        else:
            lines.pump(chosen)
            async for line in lines:
                yield asdict(line)
    finally:
        lines.stop()


class _Wanted:
    """Which replicas, and which of their lines."""

    def __init__(
        self,
        services: tuple[str, ...],
        replicas: tuple[str, ...],
        since: float | None,
        tail: int | None,
    ) -> None:
        self.services, self.replicas = services, replicas
        self.since, self.tail = since, tail

    def choose(self, world: Any, app: App) -> dict[str, str]:
        """Allocation ids to the names of their services, oldest first."""
        chosen = {}
        for alloc in world.allocs.values():
            row = world.resources[alloc.uid]
            if row.key.app != app or not alloc.node:
                continue
            name = row.key.name
            by_name = not self.services or name in self.services
            names = {alloc.id, f"{name}[{alloc.index}]", str(alloc.index)}
            if by_name and (not self.replicas or names & set(self.replicas)):
                chosen[alloc.id] = name
        return chosen


class _Lines:
    """Lines from the agent's blocking iterators, handed over to the event loop."""

    def __init__(self, controller: Controller, wanted: _Wanted) -> None:
        self._agent, self._wanted = controller.agent, wanted
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[LogLine | None] = asyncio.Queue()
        self._room = threading.Semaphore(_QUEUED_LINES)
        self._stopped = threading.Event()

    def pump(self, chosen: Mapping[str, str]) -> None:
        """Read what is there of all of them, merged by time."""
        self._start(
            lambda: heapq.merge(
                *(self._read(id_, name, follow=False) for id_, name in chosen.items()),
                key=lambda line: line.time,
            )
        )

    def follow(self, id_: str, name: str) -> None:
        """Read one replica for as long as it prints."""
        self._start(lambda: self._read(id_, name, follow=True), last=False)

    def stop(self) -> None:
        """Let the readers end at their next line."""
        self._stopped.set()
        self._room.release(_QUEUED_LINES)

    def __aiter__(self) -> AsyncIterator[LogLine]:
        return self

    async def __anext__(self) -> LogLine:
        line = await self._queue.get()
        if line is None:
            raise StopAsyncIteration
        self._room.release()
        return line

    def _read(self, id_: str, name: str, *, follow: bool) -> Iterator[LogLine]:
        try:
            for line in self._agent.logs(
                id_, follow=follow, since=self._wanted.since, tail=self._wanted.tail
            ):
                yield replace(line, service=name, replica=id_)
        except (KeyError, errors.OrchError):
            return  # what it printed is not kept any more

    def _start(self, lines: Callable[[], Iterator[LogLine]], *, last: bool = True) -> None:
        def read() -> None:
            for line in lines():
                self._room.acquire()
                if self._stopped.is_set():
                    return
                self._hand_over(line)
            if last:
                self._hand_over(None)

        threading.Thread(target=read, name="logs", daemon=True).start()

    def _hand_over(self, line: LogLine | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, line)
        except RuntimeError:
            self._stopped.set()  # the server is going down


async def _followed(
    controller: Controller, app: App, wanted: _Wanted, lines: _Lines
) -> AsyncIterator[LogLine]:
    known: set[str] = set()
    waiting: asyncio.Task[LogLine] | None = None
    with pulse_of(controller) as pulse:
        while True:
            chosen = await controller.asked(lambda r: wanted.choose(r.world, app))
            for id_ in chosen.keys() - known:
                known.add(id_)
                lines.follow(id_, chosen[id_])
            beat = asyncio.ensure_future(pulse.wait(_LOOK_AGAIN))
            try:
                while not beat.done():
                    waiting = waiting or asyncio.ensure_future(anext(lines))
                    await asyncio.wait((waiting, beat), return_when=asyncio.FIRST_COMPLETED)
                    if waiting.done():
                        yield waiting.result()
                        waiting = None
            finally:
                beat.cancel()
