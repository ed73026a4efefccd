"""One deploy at a time: the lock of an instance, held and renewed while work goes on."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orch.errors import Locked, OrchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orch.backend.contract import Lock, Store

TTL = 30.0
"""Seconds that a lock lives unless it is renewed; renewed at a third of that."""
POLL = 0.5


class Loss(threading.Event):
    """Set once a lock is lost; `reason` says how, `fault` what a renewal raised in the end."""

    reason = ""
    fault: Exception | None = None

    def tell(self, reason: str, fault: Exception) -> None:
        """Set it."""
        self.reason, self.fault = reason, fault
        self.set()


class HeldLock:
    """A lock that a thread keeps alive. Once `lost` is set, nothing more may be started."""

    def __init__(self, store: Store, lock: Lock, ttl: float) -> None:
        self._store, self._lock, self._ttl = store, lock, ttl
        self._closing = threading.Event()
        self._renewed = time.monotonic()
        self.lost = Loss()
        self._thread = threading.Thread(target=self._keep, name="lock", daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        pause = self._ttl / 3
        while not self._closing.wait(pause):
            try:
                self._lock = self._store.renew(self._lock, self._ttl)
            except Locked as fault:
                self.lost.tell(fault.fault.removeprefix("the lock was lost: "), fault)
                return
            except Exception as fault:  # noqa: BLE001  (whatever it is, it was not renewed)
                # One more try is made before two thirds of its life are over.
                pause = self._ttl / 12
                if time.monotonic() - self._renewed > self._ttl * 2 / 3:
                    self.lost.tell(f"it could not be renewed: {fault}", fault)
                    return
            else:
                self._renewed, pause = time.monotonic(), self._ttl / 3

    def close(self) -> None:
        """Stop renewing and give the lock back."""
        self._closing.set()
        self._thread.join(self._ttl)
        if not self.lost.is_set():
            self._store.release(self._lock)


@contextmanager
def locked(
    store: Store,
    holder: str,
    *,
    wait: float = 0,
    ttl: float = TTL,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[HeldLock]:
    """Hold the instance's lock. Raises Locked naming the holder after `wait` seconds."""
    held = HeldLock(store, _acquired(store, holder, wait, ttl, sleep), ttl)
    try:
        yield held
    finally:
        try:
            held.close()
        except OrchError:
            # The work is done and told; a lock that could not be given back ends by itself.
            held.lost.set()


def _acquired(
    store: Store, holder: str, wait: float, ttl: float, sleep: Callable[[float], None]
) -> Lock:
    until = time.monotonic() + wait
    while True:
        try:
            return store.acquire(holder, ttl)
        except Locked:
            if time.monotonic() >= until:
                raise
        sleep(min(POLL, wait))
