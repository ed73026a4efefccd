"""Ports of this host that lead to replicas: each connection gets a tunnel of its own."""

from __future__ import annotations

import errno
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from orch.errors import OrchError, UsageFault, innermost

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch.backend.contract import Tunnel

CHUNK = 65536
CROWDED = 0.1
"""Seconds until a process that may open no more files tries to again."""
LINGER = 10.0
"""Seconds without a word after which an answer to whoever will say nothing more is given up: not
every tunnel can tell the replica that its client has ended."""


class Listener:
    """One local port, and what is done with each connection to it.

    `dial` opens a tunnel, `say` is told what went wrong with one connection; the next one is
    tried anew.
    """

    def __init__(
        self, address: str, port: int, dial: Callable[[], Tunnel], say: Callable[[str], None]
    ) -> None:
        self._dial, self._say = dial, say
        self._socket = bound(address, port)
        self.address, self.port = self._socket.getsockname()[:2]

    def start(self) -> None:
        """Take connections from now on."""
        name = f"forward {self.port}"
        threading.Thread(target=self._accept, name=name, daemon=True).start()

    def close(self) -> None:
        """Take no more; those that are open end with the program."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError as fault:
                if fault.errno in (errno.EMFILE, errno.ENFILE):
                    time.sleep(CROWDED)
                elif fault.errno != errno.ECONNABORTED:
                    return
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                tunnel = self._dial()
            except OrchError as fault:
                self._say(str(fault))
                return
            except OSError as fault:
                self._say(innermost(fault))
                return
            try:
                _Joint(connection, tunnel).run()
            except OrchError as fault:
                self._say(str(fault))
            finally:
                with suppress(OSError):  # it may have ended by itself
                    tunnel.close()


class _Joint:
    """A connection and a tunnel, until both directions are at their end."""

    def __init__(self, connection: socket.socket, tunnel: Tunnel) -> None:
        self._connection, self._tunnel = connection, tunnel
        self._heard = time.monotonic()
        self._fault: OrchError | None = None

    def run(self) -> None:
        """Pass on what is said in both directions. Raises what ended the tunnel."""
        back = threading.Thread(target=self._bring_back, daemon=True)
        back.start()
        with suppress(OSError):
            while data := self._connection.recv(CHUNK):
                self._tunnel.send(data)
        self._heard = time.monotonic()
        while back.is_alive() and time.monotonic() - self._heard < LINGER:
            back.join(0.1)
        if self._fault is not None:
            raise self._fault

    def _bring_back(self) -> None:
        try:
            while data := self._tunnel.receive():
                self._heard = time.monotonic()
                self._connection.sendall(data)
        except OrchError as fault:
            self._fault = fault
        except OSError:
            pass
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


def bound(address: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises UsageFault for one that is taken."""
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
    except OSError as fault:
        raise UsageFault(
            f"{address!r} is no address of this host", mend="name one with --address"
        ) from fault
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(where)
        made.listen()
    except OSError as fault:
        made.close()
        raise _not_bound(fault, place) from fault
    return made


def _not_bound(fault: OSError, place: str) -> UsageFault:
    other = "choose another local port, or leave it empty for one that is free"
    if fault.errno == errno.EADDRINUSE:
        return UsageFault("another program listens there", place=place, mend=other)
    if fault.errno == errno.EACCES:
        return UsageFault("it takes more rights to listen there", place=place, mend=other)
    return UsageFault(str(fault.strerror), place=place, mend="name an address of this host")
