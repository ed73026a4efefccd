"""The agent's side of the proxy: start it, find it again, give it tables."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Table = Sequence[Mapping[str, Any]]

START_SECONDS = 20.0
PAUSE_SECONDS = 0.2
DYING_SECONDS = 2.0


class ProxyLine:
    """Keeps a proxy running on the newest table.

    `answered` is told the number of the table that the proxy has taken and what of it could not
    be opened; the number is None when only the latter has changed.
    """

    def __init__(
        self, state: Path, answered: Callable[[int | None, Mapping[str, str]], None]
    ) -> None:
        self._control = state / "proxy.sock"
        self._answered = answered
        self._table: Table | None = None
        self._version = self._sent = self._taken = 0
        self._news = threading.Condition()
        self._open = True
        self._socket: socket.socket | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)
        self._thread.start()

    def lives(self) -> bool:
        """Whether a proxy runs, as an earlier agent may have left one."""
        try:
            _dial(self._control).close()
        except OSError:
            return False
        return True

    def follow(self, table: Table) -> int:
        """Hand a table over; the number that `await_taken` waits for."""
        with self._news:
            if self._open and table != self._table:
                self._table, self._version = table, self._version + 1
                self._wake.send(b"!")
            return self._version

    def await_taken(self, version: int, timeout: float) -> bool:
        """Wait until the proxy has that table or a later one."""
        with self._news:
            return self._news.wait_for(lambda: self._taken >= version, timeout)

    # -- the thread ------------------------------------------------------------------------------

    def _serve(self) -> None:
        while self._open:
            if not self._needed():
                self._rest()
                continue
            try:
                self._connect()
                self._talk()
            except OSError:
                time.sleep(PAUSE_SECONDS)
            finally:
                self._hang_up()

    def _rest(self) -> None:
        """Without a proxy an empty table holds by itself: nobody need wait for it."""
        with self._news:
            if not self._table:
                self._taken = self._version
                self._news.notify_all()
        select.select([self._woken], [], [], 1.0)
        self._drain_wakes()

    def _needed(self) -> bool:
        with self._news:
            return bool(self._table) or (self._table is not None and self._control.exists())

    def _drain_wakes(self) -> None:
        while select.select([self._woken], [], [], 0)[0]:
            if not self._woken.recv(4096):
                return

    def _connect(self) -> None:
        try:
            self._socket = _dial(self._control)
        except OSError:
            self._start()
            self._socket = _dial(self._control)
        self._sent = 0

    def _start(self) -> None:
        if self._child:  # it hears no more: dead, or about to be
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(DYING_SECONDS)
            _leave(self._child)
        with (self._control.with_suffix(".log")).open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "orch_native.agent.proxy", str(self._control)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env=_plain_environment(),
                start_new_session=True,
            )
        self._child = child
        if child.stdout:
            with child.stdout:
                if select.select([child.stdout], [], [], START_SECONDS)[0]:
                    child.stdout.readline()

    def _talk(self) -> None:
        line = self._socket
        if line is None:
            return
        rest = b""
        while self._open:
            self._send(line)
            for ready in select.select([line, self._woken], [], [], 5.0)[0]:
                if ready is self._woken:
                    self._drain_wakes()
                    continue
                data = line.recv(65536)
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                for text in lines:
                    self._take(json.loads(text))
            if not self._needed():
                return

    def _send(self, line: socket.socket) -> None:
        with self._news:
            table, version = self._table, self._version
        if version != self._sent:
            line.sendall(json.dumps({"table": table, "version": version}).encode() + b"\n")
            self._sent = version

    def _take(self, answer: Mapping[str, Any]) -> None:
        with self._news:
            self._taken = max(self._taken, answer.get("version", 0))
            self._news.notify_all()
        self._answered(answer.get("version"), answer["failures"])

    def _hang_up(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        """Hang up; a proxy with something to do lives on."""
        with self._news:
            self._open = False
            self._wake.send(b"!")
        self._thread.join(timeout=5)
        self._hang_up()
        self._wake.close()
        self._woken.close()
        if self._child:
            _leave(self._child)


def _leave(child: subprocess.Popen[bytes]) -> None:
    """Forget a child: one that still lives goes on without us."""
    if child.poll() is None:
        child.returncode = 0


def _dial(path: Path) -> socket.socket:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        line.settimeout(10)
        line.connect(f"/proc/self/fd/{folder}/{path.name}")
    except OSError:
        line.close()
        raise
    finally:
        os.close(folder)
    return line


def _plain_environment() -> dict[str, str]:
    """What Python needs to find us again, and nothing that may hold a secret."""
    names = ("PATH", "PYTHONPATH", "HOME", "LANG", "VIRTUAL_ENV", "TMPDIR")
    return {name: os.environ[name] for name in names if name in os.environ}
