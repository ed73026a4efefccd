"""The life of one allocation: start, watch, restart, stop; every act is written down before it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orch_native.agent.containers import Containers, remove
from orch_native.agent.driver import Exit, Running, StartFault, Unreached
from orch_native.agent.health import Health
from orch_native.agent.record import Record
from orch_native.agent.restart import decide
from orch_native.agent.sidecars import Sidecars
from orch_native.messages import Observation, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch_native.agent.driver import Driver
    from orch_native.agent.pod import Piece, Pod
    from orch_native.agent.probes import Prober
    from orch_native.agent.record import Records

_log = logging.getLogger(__name__)
LOOK_SECONDS = 10.0
HOOK_SECONDS = 300.0
UNREACHED_PAUSE = 2.0


class _Halt(Exception):
    """The server wants it to stop, or to be gone."""


@dataclass(frozen=True, slots=True)
class _End:
    """How a round ended: `code` is None when the main container never ran."""

    message: str
    code: int | None
    ran: float
    failed: bool


@dataclass(frozen=True, slots=True)
class _Unhealthy:
    """A probe's verdict that a container must be restarted."""

    piece: Piece
    reason: str


class Task:
    """One allocation on this node, with a thread of its own."""

    def __init__(
        self,
        pod: Pod,
        driver: Driver,
        records: Records,
        prober: Prober,
        changed: Callable[[str], None],
    ) -> None:
        self.pod, self.driver = pod, driver
        self._records, self._changed = records, changed
        self.record = records.load(pod.allocation.id) or _new_record(pod, driver)
        self._containers = Containers(pod, driver, records, self.record, self._wake)
        self._sidecars = Sidecars(pod.sidecars, self._containers)
        self._health = Health(
            pod, driver, self.record, prober, judged=self._write_down, unhealthy=self._report
        )
        self._inbox: queue.SimpleQueue[_Unhealthy | None] = queue.SimpleQueue()
        self._stop_wanted = threading.Event()
        self._gone_wanted = threading.Event()
        self._let_go = threading.Event()
        self._output_unwanted = threading.Event()
        self.has_output = True
        self._address: tuple[str, dict[str, int]] = ("", {})
        self._lock = threading.Lock()
        self.gone = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"task {pod.allocation.id}", daemon=True
        )

    def begin(self) -> None:
        """Start, or take up again, what the record tells."""
        self._thread.start()

    # -- what others ask -------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop it and keep what it left."""
        self._stop_wanted.set()
        self._wake()

    def vanish(self) -> None:
        """Stop it and remove what it left."""
        self._gone_wanted.set()
        self.stop()

    def forget_output(self) -> None:
        """Remove the containers and output of one that has ended; how it ended stays known."""
        self.has_output = False
        self._output_unwanted.set()
        self._wake()

    def let_go(self) -> None:
        """Leave it as it is: another agent takes it up."""
        self._let_go.set()
        self._wake()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout)

    def observation(self) -> Observation:
        """What is seen of it now."""
        record = self.record
        running = record.state == State.RUNNING
        with self._lock:
            address, ports = self._address
        return Observation(
            id=record.id,
            state=State(record.state),
            ready=running and record.ready,
            started=running and record.started,
            restarts=record.restarts,
            exit_code=record.exit_code,
            message=record.message,
            since=record.since,
            address=address if running else "",
            ports=ports if running else {},
            driver=record.driver,
        )

    @property
    def takes_traffic(self) -> bool:
        """Whether a new connection may be sent to it."""
        return (
            self.record.state == State.RUNNING
            and self.record.ready
            and not self._stop_wanted.is_set()
        )

    @property
    def ended(self) -> bool:
        """Whether no more output is to come."""
        return self.record.final or self.gone.is_set()

    # -- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._live()
        except Exception as fault:  # noqa: BLE001  (told, and the rest goes on)
            _log.exception("allocation %s", self.record.id)
            self._finish(State.FAILED, f"the agent failed: {fault!r}")
        finally:
            self._health.end()

    def _live(self) -> None:
        if self.record.state != State.RUNNING:
            # Whether one that ran still runs is told once that is known.
            self._set_state(State(self.record.state), self.record.message)
        while not self._let_go.is_set():
            try:
                while not self.record.final:
                    self._round()
                self._await_removal()
            except _Halt:
                if self._halt():
                    return

    def _halt(self) -> bool:
        """Stop or remove it as it was asked; whether nothing is left to do."""
        if self._let_go.is_set():
            return True
        try:
            if not self.record.final:
                self._shut_down()
            if self._gone_wanted.is_set():
                self._remove()
        except Unreached as fault:
            self._set_state(State(self.record.state), str(fault))
            self._let_go.wait(UNREACHED_PAUSE)
            return False
        except Exception as fault:  # noqa: BLE001  (told, and the rest goes on)
            _log.exception("allocation %s can't be ended", self.record.id)
            self._set_state(State(self.record.state), f"it can't be ended: {fault}")
            self._let_go.wait(UNREACHED_PAUSE)
            return False
        return self._gone_wanted.is_set()

    def _round(self) -> None:
        try:
            self._pause()
            since = self._bring_up()
            end = self._attend(since)
        except (StartFault, OSError) as fault:
            end = _End(str(fault), None, 0.0, failed=True)
        except Unreached as fault:
            self._set_state(State(self.record.state), str(fault))
            self._receive(UNREACHED_PAUSE)
            return
        except _Halt:
            raise
        except Exception as fault:  # noqa: BLE001  (told, and the rest goes on)
            _log.exception("allocation %s", self.record.id)
            end = _End(f"the agent failed: {fault!r}", None, 0.0, failed=True)
        self._health.end()
        self._conclude(end)

    def _pause(self) -> None:
        while (left := self.record.next_start - time.time()) > 0:
            self._receive(left)

    def _receive(self, timeout: float) -> _Unhealthy | None:
        """Wait for news. Raises _Halt when it must stop or be let go."""
        try:
            news = self._inbox.get(timeout=max(0.0, min(timeout, LOOK_SECONDS)))
        except queue.Empty:
            news = None
        self._check()
        return news

    def _check(self) -> None:
        if self._let_go.is_set() or self._gone_wanted.is_set():
            raise _Halt
        if self._stop_wanted.is_set() and not self.record.final:
            raise _Halt

    # -- start -----------------------------------------------------------------------------------

    def _bring_up(self) -> float:
        """Have the main container and its sidecars run; when the main one started."""
        main = self.pod.main
        self._check()
        if not self._containers.goes_on(main):
            self._prepare()
            for number, piece in enumerate(self.pod.inits):
                if number >= self.record.inits_done:
                    self._run_init(piece)
                    self.record.inits_done = number + 1
                    self._containers.save()
            self._set_state(State.STARTING)
            self._containers.start(main)
        for piece in self.pod.sidecars:
            self._containers.take_up(piece)
        self._containers.watch(main)
        state = self.driver.poll(main.handle)
        self._after_start(state)
        with self._lock:
            address, ports = self.driver.address(self.pod)
            self._address = (address, dict(ports))
        if isinstance(state, Running):
            self.record.began = state.since
        return self.record.began or time.time()

    def _prepare(self) -> None:
        self._set_state(State.PULLING)
        for piece in self.pod.pieces:
            self.driver.pull(self.pod, piece)
            self._check()
        self.driver.prepare(self.pod)

    def _run_init(self, piece: Piece) -> None:
        self._set_state(State.STARTING, f"{piece.label} runs")
        self._containers.take_up(piece)
        while not isinstance(state := self.driver.poll(piece.handle), Exit):
            if state is None:
                raise StartFault(f"{piece.label} vanished")
            self._receive(LOOK_SECONDS)
        self._containers.note_end(piece, state.attempt)
        if state.code != 0:
            why = state.fault or f"exit code {state.code}"
            raise StartFault(f"{piece.label} failed: {why}{self._containers.last_words(piece)}")

    def _after_start(self, state: Running | Exit | None) -> None:
        main = self.pod.main
        attempt = self.record.attempts.get(main.handle, 0)
        if not isinstance(state, Running) or self.record.hooked == attempt:
            return
        self.record.hooked = attempt
        self._containers.save()
        for number, hook in enumerate(self.pod.post_start):
            self._containers.run_hook(f"post_start[{number}]", hook, HOOK_SECONDS)

    # -- while it runs ---------------------------------------------------------------------------

    def _attend(self, since: float) -> _End:
        state = self.driver.poll(self.pod.main.handle)
        if isinstance(state, Exit):
            return self._ended(state, since)
        self._set_state(State.RUNNING)
        self._health.begin(self._address)
        deadline = self._deadline(since)
        while True:
            state = self.driver.poll(self.pod.main.handle)
            if state is None:
                return _End("its container was removed", None, time.time() - since, failed=True)
            if isinstance(state, Exit):
                return self._ended(state, since)
            if time.time() >= deadline:
                reason = f"timed out after {deadline - since:g}s"
                return self._break_off(reason, since)
            self._sidecars.look_after()
            news = self._receive(min(deadline - time.time(), self._sidecars.next_start()))
            if news and news.piece is self.pod.main:
                return self._break_off(news.reason, since)
            if news:
                self._containers.end(news.piece, self._end_of_grace())

    def _deadline(self, since: float) -> float:
        timeout = getattr(self.pod.spec, "timeout", None)
        return since + timeout.seconds if timeout else float("inf")

    def _ended(self, state: Exit, since: float) -> _End:
        ran = max(0.0, state.when - since)
        if state.fault:
            return _End(state.fault, state.code, ran, failed=True)
        message = f"exit code {state.code}"
        if state.code != 0:
            message += self._containers.last_words(self.pod.main)
        return _End(message, state.code, ran, failed=state.code != 0)

    def _break_off(self, reason: str, since: float) -> _End:
        self._health.end()
        self.record.ready = False
        self._set_state(State.STOPPING, reason)
        code = self._containers.end(self.pod.main, self._end_of_grace())
        return _End(reason, code, max(0.0, time.time() - since), failed=True)

    # -- end -------------------------------------------------------------------------------------

    def _conclude(self, end: _End) -> None:
        record, main = self.record, self.pod.main
        for piece in self.pod.sidecars:
            self._containers.end(piece, self._end_of_grace())
            record.handled[piece.handle] = record.attempts.get(piece.handle, 0)
        record.handled[main.handle] = record.attempts.get(main.handle, 0)
        record.exit_code, record.ready, record.started = end.code, False, False
        limit = getattr(self.pod.spec, "backoff_limit", 0)
        verdict = decide(
            self.pod.restart_policy,
            is_job=self.pod.is_job,
            failed=end.failed,
            ran=end.ran,
            streak=record.streak,
            limit=limit,
        )
        if not verdict.again:
            message = "; ".join(filter(None, (end.message, verdict.reason)))
            self._finish(State.FAILED if end.failed else State.COMPLETED, message)
            return
        record.restarts += 1
        record.streak = verdict.streak
        record.next_start = time.time() + verdict.pause
        self._set_state(State.BACKOFF, f"{end.message}; starts again in {verdict.pause:g}s")

    def _shut_down(self) -> None:
        """Stop everything in the time that the grace period gives."""
        self._health.end()
        self.record.ready = False
        self._set_state(State.STOPPING)
        deadline = self._end_of_grace()
        main = self.pod.main
        if isinstance(self.driver.poll(main.handle), Running):
            self._pre_stop(deadline)
        code = self._containers.end(main, deadline)
        for piece in (*self.pod.sidecars, *self.pod.inits):
            self._containers.end(piece, deadline)
        self.record.exit_code = code
        self._finish(State.STOPPED, "stopped")

    def _pre_stop(self, deadline: float) -> None:
        for number, hook in enumerate(self.pod.pre_stop):
            try:
                left = max(0.1, deadline - time.monotonic())
                self._containers.run_hook(f"pre_stop[{number}]", hook, left)
            except StartFault as fault:
                self._set_state(State.STOPPING, str(fault))

    def _end_of_grace(self) -> float:
        return time.monotonic() + self.record.grace

    def _finish(self, state: State, message: str) -> None:
        self.record.ended = time.time()
        self._set_state(state, message)

    def _await_removal(self) -> None:
        while True:
            self._receive(LOOK_SECONDS)
            if self._output_unwanted.is_set():
                with suppress(Unreached):
                    for handle in self.record.handles:
                        self.driver.remove(handle)
                    self._output_unwanted.clear()

    def _remove(self) -> None:
        remove(self.driver, self.record, self._records)
        self.gone.set()
        self._changed(self.record.id)

    # -- the record ------------------------------------------------------------------------------

    def _set_state(self, state: State, message: str = "") -> None:
        record = self.record
        if state != record.state or not record.since:
            record.since = time.time()
        record.state, record.message = state, self.pod.without_secrets(message)
        self._write_down()

    def _wake(self) -> None:
        self._inbox.put(None)

    def _report(self, piece: Piece, reason: str) -> None:
        self._inbox.put(_Unhealthy(piece, reason))

    def _write_down(self) -> None:
        self._containers.save()
        self._changed(self.record.id)


def _new_record(pod: Pod, driver: Driver) -> Record:
    return Record(
        id=pod.allocation.id,
        driver=driver.name,
        handles=[piece.handle for piece in pod.pieces],
        networks=[name for name, _settings, _join in pod.networks()],
        grace=pod.spec.stop_grace_period.seconds,
        stop_signal=pod.spec.stop_signal,
    )
