"""What is done to the containers of one allocation; every start is written down before it."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from orch_native.agent.driver import Exit, Running, StartFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch.spec.container import Hook
    from orch_native.agent.driver import Driver
    from orch_native.agent.pod import Piece, Pod
    from orch_native.agent.record import Record, Records

_log = logging.getLogger(__name__)
KILL_SECONDS = 30.0
LAST_WORDS = 200


class Containers:
    """The containers of one allocation, and what its record tells of them.

    `news` is called, from another thread, when one that is watched has ended.
    """

    def __init__(
        self,
        pod: Pod,
        driver: Driver,
        records: Records,
        record: Record,
        news: Callable[[], None],
    ) -> None:
        self._pod, self._driver, self._news = pod, driver, news
        self._records, self._record = records, record

    def goes_on(self, piece: Piece) -> bool:
        """Whether the attempt that the record names was started and its end not yet acted upon."""
        attempt = self._attempt(piece)
        if attempt <= self._handled(piece):
            return False
        state = self._driver.poll(piece.handle)
        return state is not None and state.attempt == attempt

    def start(self, piece: Piece) -> None:
        """Start an attempt, or take up the one that was written down. Raises StartFault."""
        record = self._record
        attempt = self._attempt(piece)
        if attempt <= self._handled(piece):
            attempt += 1
            record.attempts[piece.handle] = attempt
            if piece is self._pod.main:
                record.ready = record.started = False
        try:
            # Nothing is started that was not written down before: a start is never done twice.
            self._records.save(record)
            self._driver.start(self._pod, piece, attempt)
        except StartFault:
            record.handled[piece.handle] = attempt
            raise
        except OSError as fault:
            record.handled[piece.handle] = attempt
            raise StartFault(str(fault)) from fault

    def take_up(self, piece: Piece) -> None:
        """Start it unless it goes on, and have its end told. Raises StartFault."""
        if not self.goes_on(piece):
            self.start(piece)
        self.watch(piece)

    def watch(self, piece: Piece) -> None:
        """Have the end of the attempt that runs told."""
        self._driver.watch(piece.handle, self._news)

    def note_end(self, piece: Piece, attempt: int) -> None:
        """Write down that the end of this attempt is acted upon."""
        self._record.handled[piece.handle] = attempt
        self.save()

    def unnoted_end(self, piece: Piece) -> Exit | None:
        """An end that was not yet acted upon."""
        state = self._driver.poll(piece.handle)
        return state if isinstance(state, Exit) and state.attempt > self._handled(piece) else None

    def run_hook(self, name: str, hook: Hook, timeout: float) -> None:
        """Run a command in the main container. Raises StartFault when it fails."""
        main = self._pod.main.handle
        try:
            code, text = self._driver.run(main, hook.command, timeout=timeout, hook=hook)
        except TimeoutError:
            raise StartFault(f"{name} took longer than {timeout:.0f}s") from None
        if code != 0:
            raise StartFault(f"{name} failed with exit code {code}: {text[-300:]}")

    def last_words(self, piece: Piece) -> str:
        """The last line that it printed, after a colon; empty when there is none."""
        lines = []
        with suppress(Exception):
            lines = list(self._driver.logs(piece.handle, since=None, tail=1))
        text = lines[-1].text.strip() if lines else ""
        return f": {text[:LAST_WORDS]}" if text else ""

    def end(self, piece: Piece, deadline: float) -> int | None:
        """Ask it to end, kill it when the deadline (monotonic) has passed; its exit code."""
        return end(self._driver, piece.handle, piece.container.stop_signal, deadline)

    def save(self) -> None:
        """Write down what was done; what can't be written now is written with the next change."""
        try:
            self._records.save(self._record)
        except OSError as fault:
            _log.warning("allocation %s can't be written down: %s", self._record.id, fault)

    def _attempt(self, piece: Piece) -> int:
        return self._record.attempts.get(piece.handle, 0)

    def _handled(self, piece: Piece) -> int:
        return self._record.handled.get(piece.handle, 0)


def end(driver: Driver, handle: str, stop_signal: str, deadline: float) -> int | None:
    """End a container: by its stop signal, and by force after the deadline (monotonic)."""
    state = driver.poll(handle)
    if not isinstance(state, Running):
        return state.code if state else None
    news = threading.Event()
    driver.watch(handle, news.set)
    driver.signal(handle, stop_signal)
    forced = 0
    while isinstance(state := driver.poll(handle), Running):
        left = deadline - time.monotonic()
        if left <= 0:
            driver.signal(handle, "KILL")
            forced += 1
            left = 1.0
        if forced > KILL_SECONDS:
            _log.error("%s does not end after a kill", handle)
            return None
        news.wait(min(left, 1.0))
        news.clear()
    return state.code if state else None


def remove(driver: Driver, record: Record, records: Records) -> None:
    """End and remove all that an allocation left, by its record alone."""
    deadline = time.monotonic() + record.grace
    for handle in record.handles:
        end(driver, handle, record.stop_signal, deadline)
    for handle in reversed(record.handles):
        driver.remove(handle)
    driver.clean(record.handles[0] if record.handles else "", record.networks)
    driver.release(record.id)
    records.forget(record.id)
