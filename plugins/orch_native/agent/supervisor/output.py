"""The standard streams of the process, and the log of what it prints."""

from __future__ import annotations

import fcntl
import os
import select
import time

LINE_BYTES = 16384
TIOCSCTTY = 0x540E


class Streams:
    """The ends of the process's standard streams: what it is given, and what we read."""

    def __init__(self, *, tty: bool, stdin: bool) -> None:
        self.tty = tty
        self.kept: list[int] = []
        if tty:
            master, slave = os.openpty()
            self.given = (slave, slave, slave)
            self.read = {master: "o"}
            return
        out, err = os.pipe(), os.pipe()
        if stdin:
            given, kept = os.pipe()
            self.kept.append(kept)
        else:
            given = os.open(os.devnull, os.O_RDONLY)
        self.given = (given, out[1], err[1])
        self.read = {out[0]: "o", err[0]: "e"}

    def attach(self) -> None:
        """In the child: make them streams 0 to 2."""
        os.setsid()
        for number, end in enumerate(self.given):
            os.dup2(end, number)
        if self.tty:
            take_terminal()
        for end in set(self.given) - {0, 1, 2}:
            os.close(end)

    def release(self) -> None:
        """In the parent: let go of the child's ends."""
        for end in set(self.given):
            os.close(end)


def take_terminal() -> None:
    """Let standard input be the terminal that rules this session."""
    fcntl.ioctl(0, TIOCSCTTY, 0)


class Log:
    """Lines with time and stream, in files that are turned over when they are full."""

    def __init__(self, path: str, size: int, count: int) -> None:
        self.path, self.size, self.count, self.last = path, size, count, 0
        self._open()
        self._rest: dict[str, tuple[float, bytes]] = {}

    def _open(self) -> None:
        self.file = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        self.used = os.fstat(self.file).st_size

    def feed(self, stream: str, data: bytes) -> None:
        if not self.size:
            return
        now = time.time()
        began, rest = self._rest.pop(stream, (now, b""))
        *lines, tail = (rest + data).split(b"\n")
        for line in lines:
            self._put(began, stream, line)
            began = now
        while len(tail) >= LINE_BYTES:
            self._put(began, stream, tail[:LINE_BYTES])
            tail, began = tail[LINE_BYTES:], now
        if tail:
            self._rest[stream] = (began, tail)

    def _put(self, when: float, stream: str, line: bytes) -> None:
        # Strictly growing microseconds, so that a reader can go on after the last line it saw.
        self.last = max(int(when * 1_000_000), self.last + 1)
        seconds, rest = divmod(self.last, 1_000_000)
        text = line.removesuffix(b"\r")
        record = b"%d.%06d %s %s\n" % (seconds, rest, stream.encode(), text)
        if self.used and self.used + len(record) > self.size:
            self._turn()
        try:
            os.write(self.file, record)
        except OSError:
            return  # a full disk loses lines; the process goes on
        self.used += len(record)

    def _turn(self) -> None:
        os.close(self.file)
        for number in range(self.count - 1, 0, -1):
            older = self.path if number == 1 else f"{self.path}.{number - 1}"
            if os.path.exists(older):
                os.replace(older, f"{self.path}.{number}")
        if self.count <= 1:
            os.unlink(self.path)
        self._open()

    def close(self) -> None:
        for stream, (began, tail) in list(self._rest.items()):
            self._put(began, stream, tail)
        self._rest.clear()


def pump(streams: dict[int, str], log: Log, timeout: float | None) -> bool:
    """Move what was printed into the log; False when nothing came."""
    ready = select.select(list(streams), [], [], timeout)[0]
    for end in ready:
        try:
            data = os.read(end, 65536)
        except OSError:
            data = b""  # a terminal whose other side is closed answers EIO
        if data:
            log.feed(streams[end], data)
        else:
            del streams[end]
            os.close(end)
    return bool(ready)
