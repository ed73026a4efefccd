"""HTTP/1.1 by host and path: each request finds its replica; upgrades become plain streams."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import h11

from orch_native.agent.proxy.table import choose_route

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orch_native.agent.proxy.table import Balance, Listener, Upstream

READ_BYTES = 65536
CONNECT_SECONDS = 5.0
IDLE_SECONDS = 75.0
HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"}
)
Headers = list[tuple[bytes, bytes]]


class _Broken(Exception):
    """The replica did not answer as HTTP asks."""


class HttpConnection:
    """One client's connection with its requests, one after another."""

    def __init__(
        self,
        listener: Callable[[], Listener],
        balance: Balance,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._listener, self._balance = listener, balance
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.SERVER)
        self._tls = writer.get_extra_info("ssl_object") is not None

    async def serve(self) -> None:
        """Answer until the connection ends."""
        try:
            while await self._one():
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as fault:
            await self._refuse(fault.error_status_hint or 400, "this is not HTTP/1.1")
        except (OSError, TimeoutError, h11.LocalProtocolError, asyncio.IncompleteReadError):
            pass  # one side is gone: there is nobody to tell
        finally:
            self._writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await self._writer.wait_closed()

    async def _one(self) -> bool:
        """Answer one request; whether another may come."""
        async with asyncio.timeout(IDLE_SECONDS):
            request = await self._event()
        if not isinstance(request, h11.Request):
            return False
        upgrade = _wants_upgrade(request)
        target = request.target.decode("ascii", "replace")
        route = choose_route(self._listener().routes, _host(request), target.partition("?")[0])
        if route is None:
            return await self._refuse(404, "no route leads here")
        found = await self._connect(self._balance.order(route.upstreams))
        if found is None:
            return await self._refuse(503, "no replica is ready")
        upstream, reader, writer = found
        self._balance.opened(upstream)
        try:
            return await self._exchange(request, reader, writer, upgrade=upgrade)
        except _Broken:
            return await self._refuse(502, "the replica broke off")
        finally:
            self._balance.closed(upstream)
            writer.close()

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                self._send(self._http.send(go_on))
            self._http.receive_data(await self._reader.read(READ_BYTES))
        return event  # type: ignore[return-value]

    def _send(self, data: bytes | None) -> None:
        if data:
            self._writer.write(data)

    async def _connect(
        self, upstreams: Sequence[Upstream]
    ) -> tuple[Upstream, asyncio.StreamReader, asyncio.StreamWriter] | None:
        for upstream in upstreams:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    reader, writer = await asyncio.open_connection(*upstream.place)
            except (OSError, TimeoutError):
                continue
            return upstream, reader, writer
        return None

    async def _refuse(self, status: int, text: str) -> bool:
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return False
        body = f"{status} {text}\n".encode()
        headers = [("content-type", "text/plain"), ("content-length", str(len(body)))]
        response = h11.Response(status_code=status, headers=[*headers, ("connection", "close")])
        with contextlib.suppress(h11.LocalProtocolError):
            self._send(self._http.send(response))
            self._send(self._http.send(h11.Data(data=body)))
            self._send(self._http.send(h11.EndOfMessage()))
            await self._writer.drain()
        return False

    async def _exchange(
        self,
        request: h11.Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        upgrade: bool,
    ) -> bool:
        away = h11.Connection(h11.CLIENT)
        headers = self._forwarded(request, upgrade=upgrade)
        onward = h11.Request(method=request.method, target=request.target, headers=headers)
        writer.write(away.send(onward) or b"")
        sending = asyncio.create_task(self._send_body(away, writer))
        try:
            switched = await self._relay(away, reader, request)
        except (OSError, h11.RemoteProtocolError) as fault:
            raise _Broken from fault
        finally:
            if not sending.done() and away.their_state is not h11.SWITCHED_PROTOCOL:
                sending.cancel()
        if switched:
            await sending
            await self._pass_through(away, reader, writer)
            return False
        finished = (self._http.our_state, self._http.their_state) == (h11.DONE, h11.DONE)
        return finished and not self._writer.is_closing()

    async def _send_body(self, away: h11.Connection, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, h11.ProtocolError):
            while isinstance(event := await self._event(), h11.Data):
                writer.write(away.send(event) or b"")
                await writer.drain()
            if isinstance(event, h11.EndOfMessage):
                writer.write(away.send(h11.EndOfMessage()) or b"")
                await writer.drain()

    async def _relay(
        self, away: h11.Connection, reader: asyncio.StreamReader, request: h11.Request
    ) -> bool:
        """Pass the answer on; whether both sides speak something else from here."""
        while True:
            event = away.next_event()
            if event is h11.NEED_DATA:
                away.receive_data(await reader.read(READ_BYTES))
            elif isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:  # noqa: PLR2004
                    self._send(self._http.send(_plain(event)))
                    return True
            elif isinstance(event, h11.Response):
                headers = _end_to_end(event.headers.raw_items())
                answer = h11.Response(
                    status_code=event.status_code, reason=event.reason, headers=headers
                )
                self._send(self._http.send(answer))
            elif isinstance(event, h11.Data):
                self._send(self._http.send(event))
                await self._writer.drain()
            elif isinstance(event, h11.EndOfMessage):
                self._send(self._http.send(h11.EndOfMessage()))
                await self._writer.drain()
                return False
            else:
                raise _Broken(request.target)

    def _forwarded(self, request: h11.Request, *, upgrade: bool) -> Headers:
        peer = self._writer.get_extra_info("peername")
        client = str(peer[0]).encode() if peer else b"unknown"
        headers: Headers = []
        before = b""
        for raw, value in request.headers.raw_items():
            name = raw.lower()
            if name == b"x-forwarded-for":
                before = value + b", "
            elif name == b"transfer-encoding" or name not in HOP_BY_HOP:
                if not name.startswith(b"x-forwarded-") and name != b"expect":
                    headers.append((raw, value))
            elif upgrade and name == b"upgrade":
                headers.append((raw, value))
        host = next((value for name, value in headers if name.lower() == b"host"), b"")
        return [
            *headers,
            (b"X-Forwarded-For", before + client),
            (b"X-Forwarded-Proto", b"https" if self._tls else b"http"),
            (b"X-Forwarded-Host", host),
            (b"Connection", b"Upgrade" if upgrade else b"close"),
        ]

    async def _pass_through(
        self, away: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._writer.write(away.trailing_data[0])
        writer.write(self._http.trailing_data[0])
        both = [
            asyncio.create_task(_copy(reader, self._writer)),
            asyncio.create_task(_copy(self._reader, writer)),
        ]
        await asyncio.gather(*both, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()
    except OSError:
        writer.close()


def _host(request: h11.Request) -> str:
    value = next((v for n, v in request.headers if n == b"host"), b"").decode("latin-1").lower()
    return value.partition("]")[0] + "]" if value.startswith("[") else value.partition(":")[0]


def _wants_upgrade(request: h11.Request) -> bool:
    names = {name for name, _ in request.headers}
    tokens = [
        t.strip().lower() for n, v in request.headers if n == b"connection" for t in v.split(b",")
    ]
    return b"upgrade" in names and b"upgrade" in tokens


def _end_to_end(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    # The framing stays: h11 makes the same one of it for the client.
    dropped = HOP_BY_HOP - {b"transfer-encoding"}
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def _plain(event: h11.InformationalResponse) -> h11.InformationalResponse:
    return h11.InformationalResponse(
        status_code=event.status_code,
        reason=event.reason,
        headers=list(event.headers.raw_items()),
    )
