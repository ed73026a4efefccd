"""The agent of one node: it holds what it is assigned, and tells what it sees."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from orch.errors import Conflict, Refused, UsageFault
from orch.frozen import EMPTY
from orch_native.agent import output
from orch_native.agent.addresses import Addresses
from orch_native.agent.containers import remove
from orch_native.agent.driver import StartFault, Unreached
from orch_native.agent.facts import node_facts
from orch_native.agent.files import Files
from orch_native.agent.meter import Meter
from orch_native.agent.names import Names
from orch_native.agent.pod import is_job_body, read_body, read_pod
from orch_native.agent.probes import Prober
from orch_native.agent.process_driver import ProcessDriver
from orch_native.agent.record import Record, Records
from orch_native.agent.reporter import Reporter
from orch_native.agent.task import Task
from orch_native.agent.ways import Ways
from orch_native.messages import Desired, Observation, Routing, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from orch.spec.application import Job, Service
    from orch.types import LogLine
    from orch_native.agent.driver import Driver
    from orch_native.messages import Allocation, ExecSession, NodeFacts

_log = logging.getLogger(__name__)
LOCK_SECONDS = 15.0
FINISHED_KEPT = 100
ORPHAN_PAUSE = 5.0


class LocalAgent:
    """Implements `messages.Agent` for the host that it runs on.

    `state_dir` is the agent's memory and may be used by one agent at a time; `report` is called
    from a thread of the agent. `docker_host` is an engine's address, by default DOCKER_HOST or
    the usual socket. Raises Conflict when another agent lives on the same folder.
    """

    def __init__(
        self,
        state_dir: Path,
        report: Callable[[Sequence[Observation]], None],
        *,
        docker_host: str | None = None,
        name: str = "",
        labels: Mapping[str, str] = EMPTY,
    ) -> None:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._held = _hold(state_dir)
        self._name, self._labels, self._state = name or os.uname().nodename, labels, state_dir
        agent = _own_name(state_dir)
        self._records = Records(state_dir / "allocations")
        self._addresses = Addresses(state_dir / "addresses.json", agent)
        self._files = Files(state_dir, agent)
        self._names = Names(self._addresses)
        self._process = ProcessDriver(state_dir, agent, self._files, self._addresses, self._names)
        from orch_native.agent.docker_driver import DockerDriver

        self._docker = DockerDriver(agent, self._files, docker_host)
        self._drivers: dict[str, Driver] = {
            driver.name: driver for driver in (self._docker, self._process)
        }
        self._prober = Prober()
        self._meter = Meter()
        self._lock = threading.RLock()
        self._tasks: dict[str, Task] = {}
        self._orphans: dict[str, threading.Thread] = {}
        self._closing = threading.Event()
        self._reporter = Reporter(self._observe, report)
        self._ways = Ways(state_dir, self._addresses, self._mention)

    # -- what it can do --------------------------------------------------------------------------

    def facts(self) -> NodeFacts:
        return node_facts(self._name, self._state, self._drivers, self._labels)

    def refusals(self, body: Mapping[str, object]) -> Sequence[tuple[str, str]]:
        spec = read_body(body, job=is_job_body(body))
        driver = self._driver_for(spec)
        facts = driver.facts()
        if not facts.available:
            return [("image" if spec.image else "command", facts.reason)]
        return [*driver.refuse(spec), *self._ways.refuse(spec)]

    def _driver_for(self, spec: Service | Job) -> Driver:
        return self._docker if spec.image is not None else self._process

    # -- what it shall hold ----------------------------------------------------------------------

    def assign(self, allocations: Sequence[Allocation]) -> None:
        with self._lock:
            named = {allocation.id: allocation for allocation in allocations}
            for id, task in self._tasks.items():
                if id not in named:
                    task.vanish()
            fresh = [a for id, a in named.items() if id not in self._tasks]
            tasks = [task for task in map(self._tried, fresh) if task]
            version = self._learn()
        if tasks:
            self._ways.make_way(version)
        with self._lock:
            for task in tasks:
                task.begin()
            for id, allocation in named.items():
                if allocation.desired is Desired.STOP and id in self._tasks:
                    self._tasks[id].stop()
            self._end_orphans(named)

    def _tried(self, allocation: Allocation) -> Task | None:
        """Take one up; what goes wrong with it is told of it, and holds up no other."""
        try:
            return self._take_up(allocation)
        except Exception as fault:  # noqa: BLE001  (told, and the rest goes on)
            _log.exception("allocation %s can't be taken up", allocation.id)
            self._refuse(allocation.id, f"the agent failed: {type(fault).__name__}")
            return None

    def _take_up(self, allocation: Allocation) -> Task | None:
        try:
            pod = read_pod(allocation)
        except ValueError as fault:
            _log.error("allocation %s can't be read: %s", allocation.id, type(fault).__name__)
            self._refuse(allocation.id, "its body is not one of this version of orch")
            return None
        known = self._records.load(allocation.id)
        name = known.driver if known else self._driver_for(pod.spec).name
        task = Task(pod, self._drivers[name], self._records, self._prober, self._changed)
        self._tasks[allocation.id] = task
        return task

    def _refuse(self, id: str, reason: str) -> None:
        refused = Observation(id, State.FAILED, message=reason, since=time.time())
        self._reporter.say(refused)

    def _learn(self) -> int:
        tasks = list(self._tasks.values())
        self._names.learn([task.pod for task in tasks])
        self._process.refresh_names([t.pod for t in tasks if t.driver is self._process])
        return self._ways.learn(tasks)

    def _end_orphans(self, named: Mapping[str, Allocation]) -> None:
        """Remove what earlier agents left and nobody names any more, even without a record."""
        for record in self._records:
            if record.id not in named and record.id not in self._tasks:
                self._end_orphan(record)
        for driver in self._drivers.values():
            try:
                owned = driver.owned()
            except Unreached:
                continue
            for handle, id in owned.items():
                known = id in named or id in self._tasks or self._records.load(id)
                if not known:
                    self._end_orphan(Record(id=id, driver=driver.name, handles=[handle]))

    def _end_orphan(self, record: Record) -> None:
        key = f"{record.id} {record.handles}"
        if key in self._orphans:
            return
        thread = threading.Thread(target=self._remove, args=(record,), name=key, daemon=True)
        self._orphans[key] = thread
        thread.start()

    def _remove(self, record: Record) -> None:
        driver = self._drivers[record.driver]
        while not self._closing.is_set():
            try:
                remove(driver, record, self._records)
            except Unreached:
                self._closing.wait(ORPHAN_PAUSE)
            except Exception:  # noqa: BLE001  (told, and the rest goes on)
                _log.exception("what is left of %s can't be removed", record.id)
                return
            else:
                return

    # -- what it sees ----------------------------------------------------------------------------

    def _changed(self, id: str) -> None:
        with self._lock:
            task = self._tasks.get(id)
            if task and task.gone.is_set():
                del self._tasks[id]
                self._learn()
            self._forget_old_output()
        self._ways.refresh()
        self._reporter.mark(id)

    def _forget_old_output(self) -> None:
        """Keep what ended tasks left only of the newest ones."""
        ended = [t for t in self._tasks.values() if t.record.final and t.has_output]
        if len(ended) > FINISHED_KEPT:
            ended.sort(key=lambda task: task.record.ended)
            for task in ended[:-FINISHED_KEPT]:
                task.forget_output()

    def _mention(self, services: set[str]) -> None:
        """Report again the replicas of services whose ways in have changed."""
        with self._lock:
            ids = [id for id, task in self._tasks.items() if task.pod.service in services]
        for id in ids:
            self._reporter.mark(id)

    def _observe(self, id: str) -> Observation | None:
        with self._lock:
            task = self._tasks.get(id)
        if task is None:
            return None
        return self._ways.qualify(task.pod, task.observation())

    # -- traffic ---------------------------------------------------------------------------------

    def route(self, routing: Routing) -> None:
        self._ways.route(routing)

    # -- beside the tasks ------------------------------------------------------------------------

    def _task(self, allocation: str) -> Task:
        with self._lock:
            task = self._tasks.get(allocation)
        if task is None:
            raise UsageFault(
                f"this node has no allocation {allocation}", mend="orch ps lists what there is"
            )
        return task

    def logs(
        self, allocation: str, *, follow: bool, since: float | None, tail: int | None
    ) -> Iterator[LogLine]:
        return output.read(self._task(allocation), follow=follow, since=since, tail=tail)

    def exec(self, allocation: str, command: Sequence[str], *, tty: bool) -> ExecSession:
        task = self._task(allocation)
        try:
            return task.driver.exec(task.pod.main.handle, command, tty=tty)
        except (StartFault, Unreached) as fault:
            raise Refused(
                str(fault), place=f"exec in {task.pod.service}", mend="look at it with orch ps"
            ) from fault

    def stats(self) -> Mapping[str, Mapping[str, float]]:
        with self._lock:
            tasks = list(self._tasks.values())
        return self._meter.read([task for task in tasks if task.record.state == State.RUNNING])

    def remove_volume(self, name: str) -> None:
        for driver in self._drivers.values():
            with suppress(Unreached):
                driver.remove_volume(name)

    def remove_network(self, name: str) -> None:
        for driver in self._drivers.values():
            with suppress(Unreached):
                driver.remove_network(name)

    def close(self) -> None:
        with self._lock:
            tasks = list(self._tasks.values())
        self._closing.set()
        for task in tasks:
            task.let_go()
        for task in tasks:
            task.join(timeout=10)
        self._prober.close()
        self._reporter.close()
        self._ways.close()
        for driver in self._drivers.values():
            driver.close()
        os.close(self._held)


def _hold(state: Path) -> int:
    """Lock the folder for this agent, waiting a while for one that is about to end."""
    lock = os.open(state / "agent.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(lock)
                raise Conflict(
                    "another agent works there", place=str(state), mend="stop it first"
                ) from None
            time.sleep(0.05)
        else:
            return lock


def _own_name(state: Path) -> str:
    """A name that marks everything of this agent; made once."""
    path = state / "agent-id"
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.write_text(secrets.token_hex(6))
        fresh.rename(path)
    return path.read_text().strip()
