"""Connections passed through byte by byte, with flow control and half-closing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orch_native.agent.proxy.table import Balance, Upstream

CONNECT_SECONDS = 5.0
EARLY_BYTES = 65_536


class Side(asyncio.Protocol):
    """One side of a passed-through connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: Side | None = None
        self.closed: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        peer = self.peer.transport if self.peer else None
        if peer and peer.can_write_eof() and not peer.is_closing():
            peer.write_eof()
            return True
        return False

    def pause_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer and self.peer.transport and not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()

    def connection_lost(self, _fault: Exception | None) -> None:
        self.closed()
        if self.peer and self.peer.transport:
            self.peer.transport.close()


class Client(Side):
    """A client's side: it is read once a replica has answered."""

    def __init__(self, upstreams: Callable[[], Sequence[Upstream]], balance: Balance) -> None:
        super().__init__()
        self._upstreams, self._balance = upstreams, balance
        self._connecting: asyncio.Task[None] | None = None
        self._early = b""
        self._ended_early = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        if self.peer is None:
            self._early += data
            if self.transport and len(self._early) > EARLY_BYTES:
                self.transport.pause_reading()
            return
        super().data_received(data)

    def eof_received(self) -> bool:
        if self.peer is None:
            self._ended_early = True
            return True
        return super().eof_received()

    def connection_lost(self, fault: Exception | None) -> None:
        if self._connecting:
            self._connecting.cancel()
        super().connection_lost(fault)

    async def _connect(self) -> None:
        found = await connect_any(self._balance.order(self._upstreams()), Side)
        if not self.transport:
            return
        if found is None:
            self.transport.abort()
            return
        upstream, side = found
        self._balance.opened(upstream)
        side.closed = lambda: self._balance.closed(upstream)
        side.peer, self.peer = self, side
        if self._early and side.transport:
            side.transport.write(self._early)
        if len(self._early) > EARLY_BYTES:
            self.transport.resume_reading()
        if self._ended_early:
            self.eof_received()
        self._early = b""


async def connect_any(
    upstreams: Sequence[Upstream], make: Callable[[], Side]
) -> tuple[Upstream, Side] | None:
    """Connect to the first that answers, None when none does."""
    loop = asyncio.get_running_loop()
    for upstream in upstreams:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _transport, side = await loop.create_connection(make, *upstream.place)
        except (OSError, TimeoutError):
            continue
        return upstream, side
    return None
