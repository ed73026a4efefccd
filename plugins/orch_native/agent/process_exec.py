"""Commands run beside a process of the host, in its namespaces and with its variables."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orch_native.agent.process_run import SUPERVISOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHUNK = 65536


class ProcessSession:
    """A command with its streams; a terminal joins stdout and stderr into one."""

    def __init__(self, child: subprocess.Popen[bytes], terminal: int | None) -> None:
        self._child = child
        self._terminal = terminal
        self._closed = threading.Lock()
        self.killed = False
        self._stdin = terminal if terminal is not None else _number(child.stdin)

    def write(self, data: bytes) -> None:
        while data and self._stdin is not None:
            try:
                data = data[os.write(self._stdin, data) :]
            except OSError:
                return  # the command reads no more

    def close_stdin(self) -> None:
        if self._terminal is not None:
            self.write(b"\x04")
        elif self._stdin is not None and self._child.stdin:
            self._stdin = None
            with suppress(BrokenPipeError):
                self._child.stdin.close()

    def resize(self, rows: int, columns: int) -> None:
        if self._terminal is not None:
            fcntl.ioctl(
                self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0)
            )

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Pairs of stream and data until the command has ended and closed its streams."""
        streams = self._streams()
        while streams:
            for end in select.select(list(streams), [], [], 0.2)[0]:
                data = _read(end)
                if data:
                    yield streams[end], data
                else:
                    del streams[end]
            # Something that it left in the background may hold the streams open for ever.
            if self._child.poll() is not None and not select.select(list(streams), [], [], 0)[0]:
                return

    def _streams(self) -> dict[int, int]:
        if self._terminal is not None:
            return {self._terminal: 1}
        ends = ((_number(self._child.stdout), 1), (_number(self._child.stderr), 2))
        return {end: number for end, number in ends if end is not None}

    def exit_code(self) -> int:
        code = self._child.wait()
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        """End the command and everything of its session, because it took too long."""
        self.killed = True
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the command if it still runs, and everything of its session."""
        if self._child.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            if stream:
                with suppress(OSError):
                    stream.close()
        with self._closed:
            if self._terminal is not None:
                os.close(self._terminal)
                self._terminal = self._stdin = None


def _number(stream: Any) -> int | None:
    return stream.fileno() if stream else None


def _read(end: int) -> bytes:
    try:
        return os.read(end, CHUNK)
    except OSError:
        return b""  # a terminal whose other side is closed answers EIO


def enter(pid: int, config: dict[str, Any], command: Sequence[str], *, tty: bool) -> ProcessSession:
    """Start a command beside the process `pid`, with settings as its supervisor had them."""
    settings, gate = os.pipe()
    program = [sys.executable, "-I", "-S", str(SUPERVISOR), "--enter", str(pid), str(settings)]
    terminal, slave = pty.openpty() if tty else (None, None)
    streams = subprocess.PIPE if slave is None else slave
    try:
        child = subprocess.Popen(
            program,
            stdin=streams,
            stdout=streams,
            stderr=streams,
            env={},
            cwd="/",
            pass_fds=[settings],
            start_new_session=True,
        )
    finally:
        os.close(settings)
        if slave is not None:
            os.close(slave)
    with suppress(BrokenPipeError), os.fdopen(gate, "w") as out:
        json.dump({**config, "argv": list(command), "terminal": tty}, out)
    return ProcessSession(child, terminal)
