"""The life of one allocation: start, watch, restart, stop; every act is written down before it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orch_native.agent.driver import Exit, Running, StartFault, Unreached
from orch_native.agent.restart import decide
from orch_native.messages import Observation, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch.spec.container import Hook
    from orch_native.agent.driver import Driver
    from orch_native.agent.pod import Piece, Pod
    from orch_native.agent.probes import Guard, Prober
    from orch_native.agent.record import Record, Records

_log = logging.getLogger(__name__)
LOOK_SECONDS = 10.0
HOOK_SECONDS = 300.0
KILL_SECONDS = 30.0
UNREACHED_PAUSE = 2.0
SIDECAR_PAUSE = 2.0
SIDECAR_LONGEST = 60.0


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

    handle: str
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
        self._records, self._prober, self._changed = records, prober, changed
        self.record = records.load(pod.allocation.id) or _new_record(pod, driver)
        self._inbox: queue.SimpleQueue[_Unhealthy | None] = queue.SimpleQueue()
        self._stop_wanted = threading.Event()
        self._gone_wanted = threading.Event()
        self._let_go = threading.Event()
        self._output_unwanted = threading.Event()
        self.has_output = True
        self._guards: list[Guard] = []
        self._sidecar_due: dict[str, float] = {}
        self._sidecar_pause: dict[str, float] = {}
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
        self._inbox.put(None)

    def vanish(self) -> None:
        """Stop it and remove what it left."""
        self._gone_wanted.set()
        self.stop()

    def forget_output(self) -> None:
        """Remove the containers and output of one that has ended; how it ended stays known."""
        self.has_output = False
        self._output_unwanted.set()
        self._inbox.put(None)

    def let_go(self) -> None:
        """Leave it as it is: another agent takes it up."""
        self._let_go.set()
        self._inbox.put(None)

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
            self._end_guards()

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
        self._end_guards()
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
        if not self._goes_on(main):
            self._prepare()
            for number, piece in enumerate(self.pod.inits):
                if number >= self.record.inits_done:
                    self._run_init(piece)
                    self.record.inits_done = number + 1
                    self._save()
            self._set_state(State.STARTING)
            self._start(main)
        for piece in self.pod.sidecars:
            if not self._goes_on(piece):
                self._start(piece)
            self._watch(piece)
        self._watch(main)
        state = self.driver.poll(main.handle)
        self._after_start(state)
        with self._lock:
            address, ports = self.driver.address(self.pod)
            self._address = (address, dict(ports))
        if isinstance(state, Running):
            self.record.began = state.since
        return self.record.began or time.time()

    def _goes_on(self, piece: Piece) -> bool:
        """Whether the attempt that the record names was started and its end not yet acted upon."""
        attempt = self.record.attempts.get(piece.handle, 0)
        if attempt <= self.record.handled.get(piece.handle, 0):
            return False
        state = self.driver.poll(piece.handle)
        return state is not None and state.attempt == attempt

    def _prepare(self) -> None:
        self._set_state(State.PULLING)
        for piece in self.pod.pieces:
            self.driver.pull(self.pod, piece)
            self._check()
        self.driver.prepare(self.pod)

    def _start(self, piece: Piece) -> None:
        record = self.record
        attempt = record.attempts.get(piece.handle, 0)
        if attempt <= record.handled.get(piece.handle, 0):
            attempt += 1
            record.attempts[piece.handle] = attempt
            if piece is self.pod.main:
                record.ready = record.started = False
        try:
            # Nothing is started that was not written down before: a start is never done twice.
            self._records.save(record)
            self.driver.start(self.pod, piece, attempt)
        except StartFault:
            record.handled[piece.handle] = attempt
            raise
        except OSError as fault:
            record.handled[piece.handle] = attempt
            raise StartFault(str(fault)) from fault

    def _watch(self, piece: Piece) -> None:
        self.driver.watch(piece.handle, lambda: self._inbox.put(None))

    def _run_init(self, piece: Piece) -> None:
        self._set_state(State.STARTING, f"{piece.label} runs")
        if not self._goes_on(piece):
            self._start(piece)
        self._watch(piece)
        while not isinstance(state := self.driver.poll(piece.handle), Exit):
            if state is None:
                raise StartFault(f"{piece.label} vanished")
            self._receive(LOOK_SECONDS)
        self.record.handled[piece.handle] = state.attempt
        self._save()
        if state.code != 0:
            why = state.fault or f"exit code {state.code}"
            raise StartFault(f"{piece.label} failed: {why}{self._last_words(piece.handle)}")

    def _after_start(self, state: Running | Exit | None) -> None:
        main = self.pod.main
        attempt = self.record.attempts.get(main.handle, 0)
        if not isinstance(state, Running) or self.record.hooked == attempt:
            return
        self.record.hooked = attempt
        self._save()
        for number, hook in enumerate(self.pod.post_start):
            self._run_hook(f"post_start[{number}]", hook, HOOK_SECONDS)

    def _run_hook(self, name: str, hook: Hook, timeout: float) -> None:
        try:
            code, text = self.driver.run(
                self.pod.main.handle, hook.command, timeout=timeout, hook=hook
            )
        except TimeoutError:
            raise StartFault(f"{name} took longer than {timeout:.0f}s") from None
        if code != 0:
            raise StartFault(f"{name} failed with exit code {code}: {text[-300:]}")

    # -- while it runs ---------------------------------------------------------------------------

    def _attend(self, since: float) -> _End:
        state = self.driver.poll(self.pod.main.handle)
        if isinstance(state, Exit):
            return self._ended(state, since)
        self._set_state(State.RUNNING)
        self._begin_guards()
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
            self._look_after_sidecars()
            news = self._receive(min(deadline - time.time(), self._next_sidecar()))
            if news and news.handle == self.pod.main.handle:
                return self._break_off(news.reason, since)
            if news:
                self._end_piece(news.handle, time.monotonic() + self.record.grace)

    def _deadline(self, since: float) -> float:
        timeout = getattr(self.pod.spec, "timeout", None)
        return since + timeout.seconds if timeout else float("inf")

    def _ended(self, state: Exit, since: float) -> _End:
        ran = max(0.0, state.when - since)
        if state.fault:
            return _End(state.fault, state.code, ran, failed=True)
        message = f"exit code {state.code}"
        if state.code != 0:
            message += self._last_words(self.pod.main.handle)
        return _End(message, state.code, ran, failed=state.code != 0)

    def _break_off(self, reason: str, since: float) -> _End:
        self._end_guards()
        self.record.ready = False
        self._set_state(State.STOPPING, reason)
        code = self._end_piece(self.pod.main.handle, time.monotonic() + self.record.grace)
        return _End(reason, code, max(0.0, time.time() - since), failed=True)

    def _last_words(self, handle: str) -> str:
        lines = []
        with suppress(Exception):
            lines = list(self.driver.logs(handle, since=None, tail=1))
        return f": {lines[-1].text.strip()[:200]}" if lines and lines[-1].text.strip() else ""

    def _look_after_sidecars(self) -> None:
        for piece in self.pod.sidecars:
            state = self.driver.poll(piece.handle)
            handled = self.record.handled.get(piece.handle, 0)
            if isinstance(state, Exit) and state.attempt > handled:
                self.record.handled[piece.handle] = state.attempt
                self._save()
                pause = self._sidecar_pause.get(piece.handle, SIDECAR_PAUSE)
                self._sidecar_pause[piece.handle] = min(pause * 2, SIDECAR_LONGEST)
                self._sidecar_due[piece.handle] = time.monotonic() + pause
            due = self._sidecar_due.get(piece.handle)
            if due is not None and due <= time.monotonic():
                self._sidecar_due.pop(piece.handle)
                self._start(piece)
                self._watch(piece)

    def _next_sidecar(self) -> float:
        return min((d - time.monotonic() for d in self._sidecar_due.values()), default=LOOK_SECONDS)

    # -- health ----------------------------------------------------------------------------------

    def _begin_guards(self) -> None:
        self._end_guards()
        pieces = [self.pod.main, *self.pod.sidecars]
        self._guards = [
            self._prober.guard(
                self.pod,
                piece,
                self.driver,
                address=self._address,
                resumed=(self.record.started, self.record.ready),
                changed=self._judge,
                unhealthy=lambda reason, piece=piece: self._inbox.put(  # type: ignore[misc]
                    _Unhealthy(piece.handle, reason)
                ),
            )
            for piece in pieces
        ]
        self._judge()

    def _end_guards(self) -> None:
        guards, self._guards = self._guards, []
        for guard in guards:
            guard.end()

    def _judge(self) -> None:
        guards = self._guards
        if not guards:
            return
        ready = all(guard.ready for guard in guards)
        started = all(guard.started for guard in guards)
        why = self.pod.without_secrets(next((g.message for g in guards if g.message), ""))
        record = self.record
        if (ready, started, why) != (record.ready, record.started, record.message):
            record.ready, record.started, record.message = ready, started, why
            self._save()
            self._changed(record.id)

    # -- end -------------------------------------------------------------------------------------

    def _conclude(self, end: _End) -> None:
        record, main = self.record, self.pod.main
        for piece in self.pod.sidecars:
            self._end_piece(piece.handle, time.monotonic() + self.record.grace)
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
        self._end_guards()
        self.record.ready = False
        self._set_state(State.STOPPING)
        deadline = time.monotonic() + self.record.grace
        main = self.pod.main.handle
        if isinstance(self.driver.poll(main), Running):
            self._pre_stop(deadline)
        code = self._end_piece(main, deadline)
        for piece in (*self.pod.sidecars, *self.pod.inits):
            self._end_piece(piece.handle, deadline)
        self.record.exit_code = code
        self._finish(State.STOPPED, "stopped")

    def _pre_stop(self, deadline: float) -> None:
        for number, hook in enumerate(self.pod.pre_stop):
            try:
                left = max(0.1, deadline - time.monotonic())
                self._run_hook(f"pre_stop[{number}]", hook, left)
            except StartFault as fault:
                self._set_state(State.STOPPING, str(fault))

    def _end_piece(self, handle: str, deadline: float) -> int | None:
        """Ask it to end, kill it when the deadline has passed; its exit code."""
        piece = next(p for p in self.pod.pieces if p.handle == handle)
        return end(self.driver, handle, piece.container.stop_signal, deadline)

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
        self._save()
        self._changed(record.id)

    def _save(self) -> None:
        """Write down what was done; what can't be written now is written with the next change."""
        try:
            self._records.save(self.record)
        except OSError as fault:
            _log.warning("allocation %s can't be written down: %s", self.record.id, fault)


def _new_record(pod: Pod, driver: Driver) -> Record:
    from orch_native.agent.record import Record

    return Record(
        id=pod.allocation.id,
        driver=driver.name,
        handles=[piece.handle for piece in pod.pieces],
        networks=[name for name, _settings, _join in pod.networks()],
        grace=pod.spec.stop_grace_period.seconds,
        stop_signal=pod.spec.stop_signal,
    )


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
