"""The scheduler that runs on a manager: it starts jobs by the clock, each run a job of its own.

This file is carried to the swarm as it stands, beside `cron.py`, and so needs nothing but
Python's standard library. It keeps nothing: another one goes on where this one was lost, and the
name of a run stands for its moment, so that two of them start nothing twice.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from orch_swarm.cron import (
    APP,
    ID,
    NAMESPACE,
    REGISTRY,
    RUN_OF,
    SCHEDULE,
    Job,
    decide,
    name_of,
    run_of,
    run_spec,
    stopped_spec,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_swarm.cron import Row, Run, Step

SOCKET = "/var/run/docker.sock"
LOGINS = "/run/secrets"
SELF = "ORCH_SELF"
"""The variable that names the scheduler's own service."""
TICK = 1.0
_FAULTY, _BROKEN = 400, 500


class Refusal(Exception):
    """The engine's answer was no; `status` is that of HTTP."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


class _Line(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(SOCKET)


class Engine:
    """The API of the manager that this runs on."""

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """A request; its answer as JSON. Raises Refusal and OSError."""
        login = more.pop("login", "")
        headers = {"Content-Type": "application/json"}
        headers |= {"X-Registry-Auth": login} if login else {}
        query = {k: v if isinstance(v, str) else json.dumps(v) for k, v in more.items()}
        line = _Line("engine")
        try:
            data = None if body is None else json.dumps(body)
            line.request(method, f"{path}?{urlencode(query)}", data, headers)
            answer = line.getresponse()
            said = answer.read()
        except http.client.HTTPException as fault:
            raise OSError(f"the engine does not speak HTTP: {fault}") from fault
        finally:
            line.close()
        found = json.loads(said) if said.strip() else None
        if answer.status >= _FAULTY:
            raise Refusal(answer.status, str((found or {}).get("message", answer.reason)))
        return found


@dataclass
class Scheduler:
    """All jobs of one instance that have a schedule."""

    engine: Engine
    labels: Sequence[str]
    floors: dict[str, float] = field(default_factory=dict)
    said: str = ""

    def look(self) -> dict[str, tuple[Job, list[Run]]]:
        """Jobs with their runs, by the jobs' ids."""
        rows = self.engine.ask("GET", "/services", filters={"label": list(self.labels)})
        jobs = {r["Spec"]["Labels"][ID]: Job(r) for r in rows if SCHEDULE in r["Spec"]["Labels"]}
        started = [row for row in rows if RUN_OF in row["Spec"]["Labels"]]
        tasks = self._tasks_of(started)
        found: dict[str, tuple[Job, list[Run]]] = {id_: (job, []) for id_, job in jobs.items()}
        for row in started:
            if row["Spec"]["Labels"][RUN_OF] in found:
                found[row["Spec"]["Labels"][RUN_OF]][1].append(run_of(row, tasks[row["ID"]]))
        return found

    def _tasks_of(self, rows: Sequence[Row]) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {row["ID"]: [] for row in rows}
        if rows:
            for task in self.engine.ask("GET", "/tasks", filters={"service": list(found)}):
                found.get(task["ServiceID"], []).append(task)
        return found

    def turn(self, now: float) -> None:
        """Look once, and do what is due."""
        for id_, (job, runs) in self.look().items():
            for step in decide(job, runs, self.floors.get(id_, 0.0), now):
                if self._taken(job, step) and step.moment:
                    self.floors[id_] = step.moment

    def _taken(self, job: Job, step: Step) -> bool:
        """Do a step; whether it is over, by this scheduler or another one."""
        try:
            told = self._take(job, step)
        except Refusal as fault:
            told = f"{step.kind}: {fault}"
            self.tell(f"{job.name}: {told}")
            return fault.status < _BROKEN
        if told:
            self.tell(f"{job.name}: {told}")
        return True

    def _take(self, job: Job, step: Step) -> str:
        when = datetime.fromtimestamp(step.moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        if step.kind == "start":
            spec = run_spec(job, step.moment)
            self.engine.ask("POST", "/services/create", spec, login=login(job))
            return f"started the run of {when}"
        if step.run is None:
            return f"not started at {when}: {step.told}"
        path = f"/services/{step.run.row['ID']}"
        if step.kind == "remove":
            self.engine.ask("DELETE", path)
            return ""
        version = step.run.row["Version"]["Index"]
        self.engine.ask("POST", f"{path}/update", stopped_spec(step.run, step), version=version)
        return f"stopped {name_of(step.run.row)}: {step.told}"

    def tell(self, text: str) -> None:
        """A line for the logs, once when it is said again and again."""
        if text != self.said:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
        self.said = text


def login(job: Job) -> str:
    """What the engine is sent to log in to the image's registry; empty for nothing."""
    said = json.loads(job.labels.get(REGISTRY) or "{}")
    file = Path(LOGINS, str(said.get("secret", "")))
    if not said or not file.is_file():
        return ""
    made = json.dumps({"username": said["username"], "password": file.read_text()})
    return base64.urlsafe_b64encode(made.encode()).decode()


def main() -> None:
    """Run until the container is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    engine = Engine()
    own = engine.ask("GET", f"/services/{os.environ[SELF]}")["Spec"]["Labels"]
    scheduler = Scheduler(engine, [f"{key}={own[key]}" for key in (NAMESPACE, APP)])
    scheduler.tell("the scheduler is up")
    while True:
        try:
            scheduler.turn(time.time())
        except (OSError, Refusal) as fault:
            scheduler.tell(f"the engine does not answer: {fault}")
        time.sleep(TICK)


if __name__ == "__main__":
    main()
