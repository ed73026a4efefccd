"""Logs, and commands in containers joined to this process's own streams."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import sys
import threading
from contextlib import closing, contextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from orch.types import LogLine
from orch_swarm import names
from orch_swarm.cron import seconds_of
from orch_swarm.sights import labels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orch.backend.contract import LogQuery
    from orch_swarm.client import SwarmClient

Row = dict[str, Any]
_HEADER = 8
_CHUNK = 65536
_TASK = "com.docker.swarm.task.id="


# -- logs ------------------------------------------------------------------------------------------


def logs(client: SwarmClient, rows: Iterable[Row], query: LogQuery) -> Iterator[LogLine]:
    """Lines of the services' tasks; all there are by time, or as they come."""
    chosen = [row for row in rows if _is_chosen(row, query)]
    if query.follow:
        yield from _followed(client, chosen, query)
    else:
        found = [line for row in chosen for line in _lines(client, row, query)]
        yield from sorted(found, key=lambda line: line.time)


def _is_chosen(row: Row, query: LogQuery) -> bool:
    return not query.services or labels_of(row).get(names.NAME) in query.services


def _followed(client: SwarmClient, rows: list[Row], query: LogQuery) -> Iterator[LogLine]:
    queue: SimpleQueue[LogLine | BaseException | None] = SimpleQueue()

    def read(row: Row) -> None:
        try:
            for line in _lines(client, row, query):
                queue.put(line)
        except Exception as fault:  # noqa: BLE001  (raised again by the reader)
            queue.put(fault)
        queue.put(None)

    for row in rows:
        threading.Thread(target=read, args=(row,), daemon=True).start()
    left = len(rows)
    while left:
        line = queue.get()
        if isinstance(line, BaseException):
            raise line
        if line is None:
            left -= 1
        else:
            yield line


def _lines(client: SwarmClient, row: Row, query: LogQuery) -> Iterator[LogLine]:
    name = labels_of(row).get(names.NAME, "")
    tty = bool(row["Spec"]["TaskTemplate"]["ContainerSpec"].get("TTY"))
    path = f"/services/{row['ID']}/logs"
    with closing(
        client.logs(path, follow=query.follow, tail=query.tail, since=query.since)
    ) as answer:
        # Small reads: a line must not wait for the next one.
        chunks = answer.iter_content(None)
        frames = ((1, chunk) for chunk in chunks) if tty else _frames(chunks)
        for stream, text in _split(frames):
            line = _parse(name, stream, text)
            if line is not None and _wanted(line, query):
                yield line


def _wanted(line: LogLine, query: LogQuery) -> bool:
    late = query.since is None or line.time >= query.since
    return late and (not query.replicas or line.replica in query.replicas)


def _parse(service: str, stream: int, text: str) -> LogLine | None:
    """`TIME key=value,…,com.docker.swarm.task.id=ID text`, in either order of the first two."""
    first, _, rest = text.partition(" ")
    second, _, said = rest.partition(" ")
    stamp, details = (second, first) if _TASK in first else (first, second)
    task = details.partition(_TASK)[2].partition(",")[0]
    if not task:
        return None
    return LogLine(service, task, "stderr" if stream == 2 else "stdout", seconds_of(stamp), said)  # noqa: PLR2004


def _split(frames: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, str]]:
    rest: dict[int, bytes] = {}
    for stream, data in frames:
        *whole, rest[stream] = (rest.get(stream, b"") + data).split(b"\n")
        for line in whole:
            yield stream, line.decode(errors="replace").rstrip("\r")
    for stream, line in rest.items():
        if line:
            yield stream, line.decode(errors="replace")


def _frames(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Split the engine's multiplexed stream: 1 byte stream, 3 of padding, 4 of length."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        while len(rest) >= _HEADER:
            stream, size = struct.unpack(">BxxxL", rest[:_HEADER])
            if len(rest) < _HEADER + size:
                break
            yield stream, rest[_HEADER : _HEADER + size]
            rest = rest[_HEADER + size :]


# -- commands --------------------------------------------------------------------------------------


def join(client: SwarmClient, container: str, command: list[str], *, tty: bool) -> int:
    """Run a command in a container of this node; its exit code."""
    id_ = client.exec(container, command, tty=tty, stdin=True)
    stream = client.exec_socket(id_, tty=tty)
    line = _socket_of(stream)
    try:
        with _raw_terminal(lambda rows, columns: client.exec_resize(id_, rows, columns), on=tty):
            threading.Thread(target=_feed, args=(line,), daemon=True).start()
            chunks = iter(lambda: line.recv(_CHUNK), b"")
            frames = ((1, chunk) for chunk in chunks) if tty else _frames(chunks)
            for channel, data in frames:
                _write(2 if channel == 2 else 1, data)  # noqa: PLR2004
        return client.exec_code(id_)
    finally:
        for part in (getattr(stream, "_response", stream), stream, line):
            with suppress(OSError, ValueError):
                part.close()


def _socket_of(stream: Any) -> socket.socket:
    """The connection below the SDK's file-like object."""
    found: socket.socket = getattr(stream, "_sock", stream)
    found.settimeout(None)
    return found


def _feed(line: socket.socket) -> None:
    with suppress(OSError):
        while data := os.read(0, _CHUNK):
            line.sendall(data)
        line.shutdown(socket.SHUT_WR)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextmanager
def _raw_terminal(resize: Callable[[int, int], None], *, on: bool) -> Iterator[None]:
    """Keys reach the command unread by our own terminal, and it learns of every new size."""
    if not (on and sys.stdin.isatty()):
        yield
        return
    import termios
    import tty

    def tell() -> None:
        columns, rows = shutil.get_terminal_size()
        resize(rows, columns)

    kept = termios.tcgetattr(0)
    previous = signal.signal(signal.SIGWINCH, lambda *_: tell())
    try:
        tty.setraw(0)
        tell()
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, kept)
        signal.signal(signal.SIGWINCH, previous)
