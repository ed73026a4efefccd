"""A local port that leads elsewhere: what is said goes both ways, and one that fails is told."""

from __future__ import annotations

import errno
import os
import resource
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from orch.apply import forward
from orch.apply.forward import Listener
from orch.errors import Unreachable, UsageFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.backend.contract import Tunnel

HERE = "127.0.0.1"


class ToSocket:
    """A tunnel that is a plain connection; it can't tell the far side that its client ended."""

    def __init__(self, far: socket.socket) -> None:
        self.far, self.closed = far, threading.Event()

    def send(self, data: bytes) -> None:
        self.far.sendall(data)

    def receive(self) -> bytes:
        return self.far.recv(1024)

    def close(self) -> None:
        self.far.shutdown(socket.SHUT_RDWR)
        self.far.close()
        self.closed.set()


class Far:
    """The far ends of all tunnels, and what was said of those that failed."""

    def __init__(self) -> None:
        self.fault: Unreachable | OSError | None = None
        self.prepared: list[tuple[socket.socket, socket.socket]] = []
        self.tunnels: list[ToSocket] = []
        self.ends: list[socket.socket] = []
        self.said: list[str] = []
        self.told = threading.Event()
        self.dialled = threading.Semaphore(0)

    def prepare(self) -> None:
        """Have the next tunnel ready, so that it opens no file."""
        self.prepared.append(socket.socketpair())

    def dial(self) -> Tunnel:
        if self.fault is not None:
            raise self.fault
        near, far = self.prepared.pop() if self.prepared else socket.socketpair()
        self.tunnels.append(ToSocket(near))
        self.ends.append(far)
        self.dialled.release()
        return self.tunnels[-1]

    def say(self, text: str) -> None:
        self.said.append(text)
        self.told.set()

    def next(self) -> socket.socket:
        assert self.dialled.acquire(timeout=5)
        self.ends[-1].settimeout(5)
        return self.ends[-1]


@pytest.fixture
def far() -> Far:
    return Far()


@pytest.fixture
def listener(far: Far) -> Iterator[Listener]:
    before = set(threading.enumerate())
    made = Listener(HERE, 0, far.dial, far.say)
    made.start()
    yield made
    made.close()
    for end in far.ends:
        end.close()
    # What a connection holds open would count in the next test.
    for thread in set(threading.enumerate()) - before:
        thread.join(forward.LINGER + 5)
        assert not thread.is_alive()


def connected(listener: Listener) -> socket.socket:
    return socket.create_connection((listener.address, listener.port), timeout=5)


def test_bytes_go_both_ways_in_connections_of_their_own(listener: Listener, far: Far) -> None:
    with connected(listener) as one:
        first = far.next()
        with connected(listener) as two:
            second = far.next()
            for near, end, text in ((one, first, b"a" * 100_000), (two, second, b"two")):
                sender = threading.Thread(target=near.sendall, args=(text,))
                sender.start()
                got = b""
                while len(got) < len(text):
                    got += end.recv(65536)
                sender.join()
                assert got == text
                end.sendall(b"back")
                assert near.recv(10) == b"back"


def test_the_end_of_the_replica_is_the_end_of_the_connection(listener: Listener, far: Far) -> None:
    with connected(listener) as near:
        end = far.next()
        end.sendall(b"last")
        end.close()
        assert near.recv(10) == b"last"
        assert near.recv(10) == b""
        assert far.tunnels[0].closed.wait(5)


def test_who_has_nothing_more_to_say_still_hears_the_answer(listener: Listener, far: Far) -> None:
    with connected(listener) as near:
        near.sendall(b"question")
        near.shutdown(socket.SHUT_WR)
        end = far.next()
        assert end.recv(10) == b"question"
        end.sendall(b"answer")
        assert near.recv(10) == b"answer"


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process may open no file more than it has open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_who_comes_while_no_file_can_be_opened_is_served_once_one_can(
    listener: Listener, far: Far
) -> None:
    far.prepare()
    with socket.socket() as first, socket.socket() as second:
        with no_more_files():
            for near in (first, second):
                near.settimeout(5)
                near.connect((listener.address, listener.port))
            # Whoever waited for the first one already may have a file for it, but for no other.
            early = far.dialled.acquire(timeout=0.5)
            spent = time.process_time()
            assert not far.dialled.acquire(timeout=0.5)
            assert time.process_time() - spent < 0.4  # it waits, and does not ask over and over
        for _ in range(1 if early else 2):
            far.next()
        for end, near in zip(far.ends, (first, second), strict=True):
            end.sendall(b"late")
            assert near.recv(10) == b"late"


def test_a_tunnel_that_this_host_can_not_open_is_told(listener: Listener, far: Far) -> None:
    far.fault = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    with connected(listener) as near:
        assert near.recv(10) == b""
        assert far.told.wait(5)
    assert far.said == ["Too many open files"]


def test_a_client_that_went_is_not_waited_for_without_end(
    listener: Listener, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "LINGER", 0.2)
    connected(listener).close()
    assert far.next().recv(10) == b""
    assert far.tunnels[0].closed.wait(5)


def test_a_connection_that_fails_is_told_and_the_next_one_is_tried(
    listener: Listener, far: Far
) -> None:
    far.fault = Unreachable("nothing listens there")
    with connected(listener) as near:
        assert near.recv(10) == b""
    assert far.told.wait(5)
    assert far.said == ["nothing listens there"]
    far.fault = None
    with connected(listener) as near:
        near.sendall(b"again")
        assert far.next().recv(10) == b"again"


def test_a_port_that_is_taken_is_told_with_its_place(listener: Listener, far: Far) -> None:
    with pytest.raises(UsageFault, match=f"{HERE}:{listener.port}: another program listens"):
        Listener(HERE, listener.port, far.dial, far.say)


@pytest.mark.parametrize("address", ["192.0.2.7", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_told(address: str, far: Far) -> None:
    with pytest.raises(UsageFault) as fault:
        Listener(address, 0, far.dial, far.say)
    assert address in str(fault.value)
    assert fault.value.mend


def test_a_closed_listener_takes_no_more(far: Far) -> None:
    made = Listener(HERE, 0, far.dial, far.say)
    made.start()
    made.close()
    with pytest.raises(ConnectionRefusedError):
        connected(made)
