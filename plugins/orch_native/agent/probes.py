"""Health probes: when they run, what their results mean, and the checks themselves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from orch_native.agent.driver import StartFault
from orch_native.agent.grpc_health import check_health

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from orch.spec.probe import HttpCheck, Probe
    from orch_native.agent.driver import Driver
    from orch_native.agent.pod import Piece, Pod

Address = tuple[str, dict[str, int]]
EXEC_THREADS = 256
HEAD_BYTES = 4096
REDIRECT_END = 400


class ProbeFailed(Exception):
    """A check that did not pass; the text says why."""


class Prober:
    """Runs all probes of a node in one event loop; commands in containers get threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._pool = ThreadPoolExecutor(EXEC_THREADS, thread_name_prefix="probe")
        self._thread = threading.Thread(target=self._serve, name="probes", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def guard(
        self,
        pod: Pod,
        piece: Piece,
        driver: Driver,
        *,
        address: Address,
        resumed: tuple[bool, bool],
        changed: Callable[[], None],
        unhealthy: Callable[[str], None],
    ) -> Guard:
        """Begin to probe a container. `resumed` says what was known of it: started, ready.

        `changed` is called when `started`, `ready` or `message` changed, `unhealthy` once with
        the reason when it must be restarted; both from the loop's thread, so they must not wait.
        """
        target = Target(pod, piece, driver, address, self._pool)
        guard = Guard(target, resumed, changed, unhealthy)
        guard.attach(asyncio.run_coroutine_threadsafe(guard.watch(), self._loop).cancel)
        return guard

    def close(self) -> None:
        """End all probes."""
        future = asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop)
        with contextlib.suppress(TimeoutError):
            future.result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _cancel_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Guard:
    """What the probes of one container say; without probes it is started and ready."""

    def __init__(
        self,
        target: Target,
        resumed: tuple[bool, bool],
        changed: Callable[[], None],
        unhealthy: Callable[[str], None],
    ) -> None:
        probes = target.piece.probes
        self._target, self._changed, self._unhealthy = target, changed, unhealthy
        self._startup = probes.startup if probes else None
        self._readiness = probes.readiness if probes else None
        self._liveness = probes.liveness if probes else None
        self.started = self._startup is None or resumed[0]
        self.ready = self.started and (self._readiness is None or resumed[1])
        self.message = ""
        self._cancel: Callable[[], object] = bool
        self._ended = False

    def attach(self, cancel: Callable[[], object]) -> None:
        """Take the means to end it."""
        self._cancel = cancel

    def end(self) -> None:
        """Probe no more, and say nothing more."""
        self._ended = True
        self._cancel()

    async def watch(self) -> None:
        """Probe until ended: first the startup probe, then readiness and liveness at once."""
        if self._startup and not self.started:
            await self._ask(self._startup, self._judge_startup)
            if not self.started:
                return
        jobs: list[Coroutine[None, None, None]] = []
        if self._readiness:
            jobs.append(self._ask(self._readiness, self._judge_readiness))
        if self._liveness:
            jobs.append(self._ask(self._liveness, self._judge_liveness))
        await asyncio.gather(*jobs)

    async def _ask(self, probe: Probe, decides: Callable[[str, Counter], bool]) -> None:
        """Ask again and again, until a fault (empty: none) and the count so far decide."""
        count = Counter(probe)
        await asyncio.sleep(probe.initial_delay.seconds)
        while True:
            fault = await self._target.check(probe)
            count.take(fault)
            if decides(fault, count):
                return
            await asyncio.sleep(probe.interval.seconds)

    def _judge_startup(self, fault: str, count: Counter) -> bool:
        if count.passed:
            self._tell(started=True, ready=self._readiness is None)
        elif count.failed:
            self._give_up(f"startup probe failed: {fault}")
        else:
            self._tell(message=f"startup probe: {fault}")
        return count.passed or count.failed

    def _judge_readiness(self, fault: str, count: Counter) -> bool:
        if count.passed:
            self._tell(ready=True, message="")
        elif count.failed or not self.ready:
            self._tell(ready=self.ready and not count.failed, message=f"readiness probe: {fault}")
        return False

    def _judge_liveness(self, fault: str, count: Counter) -> bool:
        if count.failed:
            self._give_up(f"liveness probe failed: {fault}")
        return count.failed

    def _tell(
        self, *, started: bool | None = None, ready: bool | None = None, message: str | None = None
    ) -> None:
        before = (self.started, self.ready, self.message)
        self.started = self.started if started is None else started
        self.ready = self.ready if ready is None else ready
        self.message = "" if message is None else message
        if before != (self.started, self.ready, self.message) and not self._ended:
            self._changed()

    def _give_up(self, reason: str) -> None:
        self._tell(ready=False, message=reason)
        if not self._ended:
            self._unhealthy(reason)


class Counter:
    """Counts results in a row against a probe's thresholds."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._good = self._bad = 0

    def take(self, fault: str) -> None:
        """Count one result; an empty fault is a success."""
        self._good = 0 if fault else self._good + 1
        self._bad = self._bad + 1 if fault else 0

    @property
    def passed(self) -> bool:
        """Whether the last results turn it to passed."""
        return self._good >= self._probe.success_threshold

    @property
    def failed(self) -> bool:
        """Whether the last results turn it to failed."""
        return self._bad >= self._probe.failure_threshold


class Target:
    """A container that is probed, and the four ways to ask it."""

    def __init__(
        self, pod: Pod, piece: Piece, driver: Driver, address: Address, pool: ThreadPoolExecutor
    ) -> None:
        self.piece = piece
        self._pod, self._driver, self._address, self._pool = pod, driver, address, pool

    async def check(self, probe: Probe) -> str:
        """Ask once within the probe's timeout; why it failed, empty when it passed."""
        seconds = probe.timeout.seconds
        try:
            await asyncio.wait_for(self._ask(probe, seconds), seconds + (1 if probe.exec else 0))
        except TimeoutError:
            return f"no answer within {probe.timeout}"
        except (ProbeFailed, StartFault) as fault:
            return str(fault)
        except OSError as fault:
            return os.strerror(fault.errno).lower() if fault.errno else str(fault)
        except (EOFError, ValueError) as fault:
            return str(fault) or type(fault).__name__
        return ""

    async def _ask(self, probe: Probe, seconds: float) -> None:
        if probe.exec:
            await self._exec(probe.exec.command, seconds)
        elif probe.http:
            await self._http(probe.http)
        elif probe.tcp:
            _reader, writer = await asyncio.open_connection(*self._at(probe.tcp.port))
            writer.close()
        elif probe.grpc:
            host, port = self._at(probe.grpc.port)
            status = await check_health(host, port, probe.grpc.service)
            if status != "SERVING":
                raise ProbeFailed(f"the gRPC health service says {status}")

    def _at(self, port: int | str) -> tuple[str, int]:
        address, ports = self._address
        number = self._pod.target_of(port)
        if not number:
            raise ProbeFailed(f"no port is named {port}")
        if not address:
            raise ProbeFailed("it has no address that could be asked")
        return address, ports.get(f"{number}/tcp", number)

    async def _exec(self, command: tuple[str, ...], seconds: float) -> None:
        def run() -> tuple[int, str]:
            return self._driver.run(self.piece.handle, command, timeout=seconds)

        code, text = await asyncio.get_running_loop().run_in_executor(self._pool, run)
        if code != 0:
            raise ProbeFailed(f"exit code {code}" + (f": {text[-200:]}" if text else ""))

    async def _http(self, check: HttpCheck) -> None:
        host, port = self._at(check.port)
        reader, writer = await asyncio.open_connection(
            host, port, ssl=_unverified() if check.scheme == "https" else None
        )
        try:
            writer.write(_request(check, host, port))
            await writer.drain()
            line = await reader.readline()
        finally:
            writer.transport.abort()
        words = line.split()
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():  # noqa: PLR2004
            raise ProbeFailed("the answer is not HTTP")
        status = int(words[1])
        if not 200 <= status < REDIRECT_END:  # noqa: PLR2004
            raise ProbeFailed(f"HTTP status {status}")


def _request(check: HttpCheck, host: str, port: int) -> bytes:
    headers = {"Host": check.host or f"{host}:{port}", "User-Agent": "orch-probe"}
    headers |= {**check.headers, "Connection": "close"}
    lines = [f"GET {check.path} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ProbeFailed("a path or header of the probe holds a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
