"""A socket before the engine's own, where something may happen just before a request arrives."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHUNK = 65536


class Relay:
    """Passes everything on. `meet(pattern, act)` acts once, before the next such request."""

    def __init__(self, engine: str, path: Path) -> None:
        self._engine = engine.removeprefix("unix://")
        self.host = f"unix://{path}"
        self.met: list[str] = []
        self._pattern, self._act = re.compile("(?!)"), self._nothing
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(path))
        self._door.listen()
        self._lines: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _nothing(self) -> None:
        """What happens when nothing was asked for."""

    def meet(self, pattern: str, act: Callable[[], None]) -> None:
        """`pattern` is looked for in `METHOD /path`."""
        self._act, self._pattern = act, re.compile(pattern)

    def close(self) -> None:
        """End every connection, and wait until nothing runs any more."""
        for line in (self._door, *self._lines):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for line in (self._door, *self._lines):
            line.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._engine)
            self._lines += (near, far)
            for source, target, look in ((near, far, self._look), (far, near, lambda _: None)):
                thread = threading.Thread(
                    target=self._pass, args=(source, target, look), daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _pass(
        self, source: socket.socket, target: socket.socket, look: Callable[[bytes], None]
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                look(data)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _look(self, data: bytes) -> None:
        asked = re.match(rb"([A-Z]+ \S+) HTTP/1", data)
        if asked and self._pattern.search(asked[1].decode()):
            act, self._act, self._pattern = self._act, self._nothing, re.compile("(?!)")
            self.met.append(asked[1].decode())
            act()
