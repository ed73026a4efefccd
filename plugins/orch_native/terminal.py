"""Joining a command in a replica to this process's own standard streams."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from orch.errors import OrchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch_native.remote_exec import RemoteExec

_CHUNK = 65536


def join(session: RemoteExec, *, tty: bool) -> int:
    """Pass input, output and the terminal's size through; the command's exit code."""
    try:
        with _raw_terminal(session, wanted=tty):
            threading.Thread(target=_feed, args=(session,), daemon=True).start()
            for stream, data in session.output():
                _write(2 if stream == 2 else 1, data)  # noqa: PLR2004
        return session.exit_code()
    finally:
        session.close()


def _feed(session: RemoteExec) -> None:
    with suppress(OSError, OrchError):
        while data := os.read(0, _CHUNK):
            session.write(data)
        session.close_stdin()


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextmanager
def _raw_terminal(session: RemoteExec, *, wanted: bool) -> Iterator[None]:
    """Keys reach the command unread by our own terminal, and it learns of every new size."""
    if not (wanted and sys.stdin.isatty()):
        yield
        return
    import termios
    import tty

    kept = termios.tcgetattr(0)
    previous = signal.signal(signal.SIGWINCH, lambda *_: _tell_size(session))
    try:
        tty.setraw(0)
        _tell_size(session)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, kept)
        signal.signal(signal.SIGWINCH, previous)


def _tell_size(session: RemoteExec) -> None:
    columns, rows = shutil.get_terminal_size()
    session.resize(rows, columns)
