"""The proxy's process: it opens what the table names and closes what it no longer does."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import resource
import signal
import ssl
import sys
from typing import TYPE_CHECKING, Any

from orch_native.agent.proxy.datagram import Datagrams
from orch_native.agent.proxy.http import HttpConnection
from orch_native.agent.proxy.stream import Client
from orch_native.agent.proxy.table import Balance, Listener, read_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orch_native.agent.proxy.table import Key, Upstream

RETRY_SECONDS = 1.0
LONELY_SECONDS = 3.0
LINE_BYTES = 64 * 1024 * 1024
BACKLOG = 1024


class Opened:
    """An open listener; its table entry may change while it is open."""

    def __init__(self, listener: Listener, balance: Balance) -> None:
        self.listener = listener
        self._balance = balance
        self._server: asyncio.Server | asyncio.DatagramTransport | None = None
        self._context: ssl.SSLContext | None = None

    def upstreams(self) -> Sequence[Upstream]:
        """Where it sends what comes, now."""
        return self.listener.upstreams

    async def open(self) -> None:
        """Begin to listen. Raises OSError when the port can't be had."""
        loop, listener = asyncio.get_running_loop(), self.listener
        if listener.protocol == "udp":
            self._server, _ = await loop.create_datagram_endpoint(
                lambda: Datagrams(self.upstreams, self._balance),
                local_addr=(listener.host, listener.port),
            )
        elif listener.protocol == "http":
            self._context = _context(listener.certificates)
            self._server = await asyncio.start_server(
                self._http, listener.host, listener.port, ssl=self._context, backlog=BACKLOG
            )
        else:
            self._server = await loop.create_server(
                lambda: Client(self.upstreams, self._balance),
                listener.host,
                listener.port,
                backlog=BACKLOG,
            )

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await HttpConnection(lambda: self.listener, self._balance, reader, writer).serve()

    def change(self, listener: Listener) -> None:
        """Take a new table entry; connections that are open stay."""
        if self._context and listener.certificates != self.listener.certificates:
            _offer(self._context, listener.certificates)
        self.listener = listener

    def close(self) -> None:
        """Listen no more; connections that are open stay."""
        if self._server:
            self._server.close()


class Proxy:
    """All listeners, the table they follow, and the agent's line."""

    def __init__(self) -> None:
        self._balance = Balance()
        self._table: dict[Key, Listener] = {}
        self._open: dict[Key, Opened] = {}
        self.failures: dict[str, str] = {}
        self._lines: set[asyncio.StreamWriter] = set()
        self._turn = asyncio.Lock()
        self.lonely = asyncio.Event()

    async def follow(self, table: dict[Key, Listener]) -> None:
        """Make what is open equal to the table."""
        async with self._turn:
            self._table = table
            for key in self._open.keys() - table.keys():
                self._open.pop(key).close()
            # Sockets are closed by callbacks of the loop: let them run before a port is reused.
            await asyncio.sleep(0)
            failures = {}
            for key, listener in table.items():
                fault = await self._follow_one(key, listener)
                if fault and not listener.optional:
                    failures[f"{listener.protocol}/{listener.host}/{listener.port}"] = fault
            self.failures = failures

    async def _follow_one(self, key: Key, listener: Listener) -> str:
        try:
            if key in self._open:
                self._open[key].change(listener)
                return ""
            opened = Opened(listener, self._balance)
            await opened.open()
        except ssl.SSLError as fault:
            return f"the certificate or its key can't be used: {fault.reason}"
        except (OSError, ValueError) as fault:
            return _reason(fault)
        self._open[key] = opened
        return ""

    async def retry(self) -> None:
        """Try again, for ever, what could not be opened; tell the agent when that changes."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            if any(key not in self._open for key in self._table):
                before = self.failures
                await self.follow(self._table)
                if self.failures != before:
                    await self._tell()

    async def _tell(self) -> None:
        line = json.dumps({"failures": self.failures}).encode() + b"\n"
        for writer in list(self._lines):
            writer.write(line)
            with contextlib.suppress(OSError):
                await writer.drain()

    async def serve_agent(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take tables from an agent until it hangs up."""
        self._lines.add(writer)
        try:
            while line := await reader.readline():
                request = json.loads(line)
                if request.get("quit"):
                    self.lonely.set()
                    return
                await self.follow(read_table(request["table"]))
                answer = {"failures": self.failures, "version": request["version"]}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, KeyError, asyncio.IncompleteReadError) as fault:
            sys.stderr.write(f"control: {fault!r}\n")
        finally:
            self._lines.discard(writer)
            writer.close()

    async def until_lonely(self, control: Path) -> None:
        """Return when there is nothing to listen on and no agent, or when told to.

        Without its control socket no agent can find it again: then its state was removed.
        """
        empty_since = None
        loop = asyncio.get_running_loop()
        while not self.lonely.is_set() and (self._lines or os.access(control, os.F_OK)):
            idle = not self._table and not self._lines
            empty_since = (empty_since or loop.time()) if idle else None
            if empty_since and loop.time() - empty_since >= LONELY_SECONDS:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self.lonely.wait()

    def close(self) -> None:
        """Close every listener."""
        for opened in self._open.values():
            opened.close()


def _reason(fault: Exception) -> str:
    number = getattr(fault, "errno", None)
    if number == errno.EADDRINUSE:
        return "it is in use by another program"
    if number == errno.EACCES:
        return "only root may open it"
    if number == errno.EADDRNOTAVAIL:
        return "this host has no such address"
    return str(fault)


def _context(certificates: Sequence[tuple[str, str]]) -> ssl.SSLContext | None:
    if not certificates:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _offer(context, certificates)
    return context


def _offer(context: ssl.SSLContext, certificates: Sequence[tuple[str, str]]) -> None:
    """Let a listener show these certificates: the one for the asked name, else the first."""
    contexts = []
    for cert, key in certificates:
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.minimum_version = ssl.TLSVersion.TLSv1_2
        own.set_alpn_protocols(["http/1.1"])
        _load(own, cert, key)
        contexts.append((_names(cert), own))

    def choose(connection: ssl.SSLObject, name: str | None, _first: ssl.SSLContext) -> None:
        asked = (name or "").lower()
        fitting = (own for names, own in contexts if _covers(names, asked))
        connection.context = next(fitting, contexts[0][1])

    context.sni_callback = choose
    _load(context, *certificates[0])


def _load(context: ssl.SSLContext, cert: str, key: str) -> None:
    """Load a certificate and key through memory: a key is never a file on disk."""
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, f"{cert}\n{key}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _names(cert: str) -> list[str]:
    """Host names that a certificate is for."""
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, cert.encode())
        read = ssl._ssl._test_decode_cert  # type: ignore[attr-defined]  # noqa: SLF001
        found = read(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    names = [value for kind, value in found.get("subjectAltName", ()) if kind == "DNS"]
    subject = [value for part in found.get("subject", ()) for kind, value in part]
    return [name.lower() for name in names or subject]


def _covers(names: Sequence[str], asked: str) -> bool:
    wild = f"*.{asked.partition('.')[2]}"
    return asked in names or wild in names


async def _serve(control: Path) -> None:
    proxy = Proxy()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, proxy.lonely.set)
    server = await asyncio.start_unix_server(proxy.serve_agent, _short(control), limit=LINE_BYTES)
    retrying = loop.create_task(proxy.retry())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    _detach()
    await proxy.until_lonely(control)
    retrying.cancel()
    server.close()
    proxy.close()


def _short(path: Path) -> str:
    """A path to the same socket that fits into a socket's address (107 bytes)."""
    if len(os.fsencode(path)) < 100:  # noqa: PLR2004
        return str(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    return f"/proc/self/fd/{folder}/{path.name}"


def _detach() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


def main(control: Path) -> int:
    """Serve until there is nothing to do; one proxy lives for each control socket."""
    os.umask(0o077)
    lock = os.open(control.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return 75
    control.unlink(missing_ok=True)
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _run(_serve(control))
    control.unlink(missing_ok=True)
    return 0


def _run(work: Any) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)
