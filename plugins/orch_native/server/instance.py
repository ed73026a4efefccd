"""One server at work: its state, store, loop and socket, from start to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from orch_native.daemon import holding, prepare, socket_path
from orch_native.server.controller import Controller
from orch_native.server.store import Store
from orch_native.server.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from orch_native.messages import Agent, Observation

    Report = Callable[[Sequence[Observation]], None]
    MakeAgent = Callable[[Report], Agent]

log = logging.getLogger("orch.native")
_GRACE = 2
_TASKS_TIMEOUT = 120.0


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn's own way raises them again before anything is closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ServerInstance:
    """The parts of a running server."""

    def __init__(self, state: Path, make_agent: MakeAgent) -> None:
        self.state = state
        self.pid = os.getpid()
        self.started = time.time()
        self.store = Store(state / "native.db")
        self.controller = Controller(self.store, Vault(state / "key"), make_agent)
        self._server: uvicorn.Server | None = None
        self._ending: asyncio.Task[None] | None = None

    def begin_stop(self, *, tasks: bool) -> None:
        """End soon; with `tasks` after everything that runs has stopped."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end(tasks=tasks))

    async def _end(self, *, tasks: bool) -> None:
        if tasks:
            await asyncio.wrap_future(self.controller.stop_tasks())
            try:
                await asyncio.wait_for(self._tasks_gone(), _TASKS_TIMEOUT)
            except TimeoutError:
                log.warning("some tasks did not stop within %g s", _TASKS_TIMEOUT)
        if self._server is not None:
            self._server.should_exit = True

    async def _tasks_gone(self) -> None:
        from orch_native.server.streams import pulse_of

        with pulse_of(self.controller) as pulse:
            while await asyncio.wrap_future(self.controller.running_tasks()):
                await pulse.wait(1.0)

    async def serve(self, listening: socket.socket) -> None:
        """Answer on the socket until told to stop; SIGTERM and SIGINT do so too."""
        from orch_native.server.http import application

        config = uvicorn.Config(
            application(self),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_GRACE,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=1 << 24,
        )
        self._server = _Server(config)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: self.begin_stop(tasks=False))
        await self._server.serve(sockets=[listening])

    def close(self) -> None:
        """Let go; what runs lives on."""
        self.controller.close()
        self.store.close()


def serve(state: Path, make_agent: MakeAgent, ready: Callable[[], None]) -> None:
    """Run a server on this state until it is told to stop. Raises UsageFault when one runs."""
    prepare(state)
    with holding(state):
        path = socket_path(state)
        server = ServerInstance(state, make_agent)
        try:
            server.controller.start()
            with _listening(path) as listening:
                log.info("orch server %d on %s", server.pid, path)
                ready()
                with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                    runner.run(server.serve(listening))
        finally:
            path.unlink(missing_ok=True)
            server.close()
        log.info("orch server %d ended", server.pid)


def _listening(path: Path) -> socket.socket:
    """A socket for its owner only. A file left by a server that was killed is taken over."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    listening.listen(128)
    return listening


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop

    return uvloop.new_event_loop
