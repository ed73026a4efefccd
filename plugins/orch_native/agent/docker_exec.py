"""Commands run in containers, with their streams over the engine's hijacked connection."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from orch_native.agent.driver import StartFault, Unreached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch_native.agent.docker_client import Engine

HEADER = struct.Struct(">BxxxL")
END_SECONDS = 5.0
NOT_FOUND = 127
NOT_THERE = re.compile(
    rb'OCI runtime exec failed: .*exec: "([^"]*)": '
    rb"((?:stat [^:]*: )?(?:executable file not found|no such file or directory)[^:]*)"
)


class DockerSession:
    """A command in a container with its streams; a terminal joins stdout and stderr into one."""

    def __init__(self, engine: Engine, id: str, *, tty: bool) -> None:
        self._engine, self._id, self._tty = engine, id, tty
        self._absent = False
        self._wrapped: Any = engine.exec_socket(id, tty=tty)
        self._socket: socket.socket = getattr(self._wrapped, "_sock", self._wrapped)

    def write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendall(data)

    def close_stdin(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def resize(self, rows: int, columns: int) -> None:
        self._engine.exec_resize(self._id, rows, columns)

    def output(self, deadline: float | None = None) -> Iterator[tuple[int, bytes]]:
        """Pairs of stream and data until the command ends. Raises TimeoutError after a deadline."""
        rest = b""
        while data := self._read(deadline):
            if self._tty:
                yield 1, self._told(data)
                continue
            rest += data
            while len(rest) >= HEADER.size:
                stream, size = HEADER.unpack(rest[: HEADER.size])
                if len(rest) < HEADER.size + size:
                    break
                yield stream, self._told(rest[HEADER.size : HEADER.size + size])
                rest = rest[HEADER.size + size :]

    def _told(self, data: bytes) -> bytes:
        """What was printed; the engine's own words on a program that is not there as a shell's."""
        found = NOT_THERE.match(data)
        if found is None:
            return data
        self._absent = True
        return b"%s: %s; run what the image holds\n" % found.groups()

    def _read(self, deadline: float | None) -> bytes:
        if deadline is not None:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._socket], [], [], left)[0]:
                raise TimeoutError
        try:
            return self._socket.recv(65536)
        except (OSError, ValueError):
            return b""

    def exit_code(self) -> int:
        deadline = time.monotonic() + END_SECONDS
        while (state := self._engine.exec_state(self._id))["Running"]:
            # The streams are closed a moment before the engine has written the end down.
            if time.monotonic() > deadline:
                return 0
            time.sleep(0.02)
        return NOT_FOUND if self._absent else int(state["ExitCode"] or 0)

    def kill(self) -> None:
        """Kill the command; the engine has no call for it, the host's root can."""
        with contextlib.suppress(StartFault, Unreached, OSError):
            state = self._engine.exec_state(self._id)
            if state["Running"] and state["Pid"]:
                os.kill(state["Pid"], signal.SIGKILL)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        # The SDK hands out the inside of a response: each layer is closed, the outermost first.
        layers = (getattr(self._wrapped, "_response", None), self._wrapped, self._socket)
        for layer in layers:
            if layer is not None:
                with contextlib.suppress(OSError, ValueError):
                    layer.close()
