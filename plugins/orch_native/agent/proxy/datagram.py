"""Datagrams: each client keeps its replica until it was silent for a while."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orch_native.agent.proxy.table import Balance, Upstream

IDLE_SECONDS = 60.0
MOST_SESSIONS = 4096


class Datagrams(asyncio.DatagramProtocol):
    """The socket that clients send to."""

    def __init__(self, upstreams: Callable[[], Sequence[Upstream]], balance: Balance) -> None:
        self._upstreams, self._balance = upstreams, balance
        self._transport: asyncio.DatagramTransport | None = None
        self._sessions: dict[Any, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        session = self._sessions.get(addr)
        if session is None or session.done:
            best = self._balance.order(self._upstreams())
            if not best or len(self._sessions) >= MOST_SESSIONS:
                return
            session = self._sessions[addr] = Session(best[0], lambda text: self._answer(text, addr))
            self._balance.opened(best[0])
            session.on_end = lambda: self._forget(addr, best[0])
            task = asyncio.get_running_loop().create_task(session.run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        session.send(data)

    def _answer(self, data: bytes, addr: Any) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.sendto(data, addr)

    def _forget(self, addr: Any, upstream: Upstream) -> None:
        self._sessions.pop(addr, None)
        self._balance.closed(upstream)


class Session(asyncio.DatagramProtocol):
    """One client's way to its replica."""

    def __init__(self, upstream: Upstream, answer: Callable[[bytes], None]) -> None:
        self._upstream, self._answer = upstream, answer
        self._waiting: list[bytes] = []
        self._transport: asyncio.DatagramTransport | None = None
        self._last = asyncio.get_running_loop().time()
        self._failed = asyncio.Event()
        self.done = False
        self.on_end: Callable[[], None] = lambda: None

    def send(self, data: bytes) -> None:
        """Pass a datagram on; the first ones wait until the socket is there."""
        self._last = asyncio.get_running_loop().time()
        if self._transport:
            self._transport.sendto(data)
        else:
            self._waiting.append(data)

    def datagram_received(self, data: bytes, _addr: Any) -> None:
        self._last = asyncio.get_running_loop().time()
        self._answer(data)

    def error_received(self, _fault: Exception) -> None:
        self.done = True  # the replica is gone: the next datagram finds another
        self._failed.set()

    async def _failed_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._failed.wait()

    async def run(self) -> None:
        """Live until the client was silent for long enough."""
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: self, remote_addr=self._upstream.place
            )
            self._transport = transport
            for data in self._waiting:
                transport.sendto(data)
            while not self.done and (left := self._last + IDLE_SECONDS - loop.time()) > 0:
                await self._failed_within(min(left, 1.0))
            transport.close()
        except OSError:
            return
        finally:
            self.done = True
            self.on_end()
