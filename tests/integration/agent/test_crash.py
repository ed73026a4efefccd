"""The agent is killed at any instant: nothing is doubled and nothing is lost."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.agent.conftest import NOWHERE, await_

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.conftest import Engine

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).with_name("crashing_agent.py")
REPLICAS, KILLS = 3, 12


class Crashing:
    """Starts agents on one state, and kills them."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder, self.host = folder, host
        self.reports = folder / "reports"
        self.process: subprocess.Popen[str] | None = None

    def assign(self, allocations: list[dict[str, Any]]) -> None:
        (self.folder / "assignment").write_text(json.dumps(allocations))

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(SCRIPT),
                str(self.folder / "node"),
                self.host,
                str(self.folder / "assignment"),
                str(self.reports),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.communicate()

    def end(self) -> None:
        assert self.process
        self.process.communicate("")

    def last(self) -> dict[str, dict[str, Any]]:
        lines = self.reports.read_text().splitlines() if self.reports.exists() else []
        return {o["id"]: o for o in map(json.loads, lines)}


@pytest.fixture
def crashing(tmp_path: Path) -> Iterator[Callable[[str], Crashing]]:
    made: list[Crashing] = []

    def make(host: str) -> Crashing:
        made.append(Crashing(tmp_path, host))
        return made[-1]

    yield make
    for found in made:
        if found.process and found.process.poll() is None:
            found.kill()
        found.assign([])
        found.start()
        try:
            await_(lambda: not [*(tmp_path / "node/allocations").iterdir()], 60)
        finally:
            found.end()


def body(index: int, command: list[str], **more: Any) -> dict[str, Any]:
    return {
        "id": f"a{index}",
        "namespace": "default",
        "app": "shop",
        "unit": "web",
        "kind": "service",
        "index": index,
        "revision": 1,
        "body": {"command": command, "deploy": {"restart_policy": {"delay": "100ms"}}, **more},
    }


def alive(mark: str) -> list[int]:
    """Pids of the processes that hold the mark in their environment as their own task."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if words[:2] == [b"sleep", mark.encode()]:
                found.append(int(path.parent.name))
    return found


def test_processes_survive_kills_of_the_agent(crashing: Any, tmp_path: Path) -> None:
    marks = [f"{random.randint(10**8, 10**9)}.{n}" for n in range(REPLICAS)]
    agent = crashing(NOWHERE)
    agent.assign([body(n, ["sleep", mark]) for n, mark in enumerate(marks)])
    rng = random.Random(7)
    first: dict[str, int] = {}
    for _ in range(KILLS):
        agent.start()
        time.sleep(rng.uniform(0.15, 1.0))  # the moment of the kill is the case, not a wait
        agent.kill()
        for mark in marks:
            pids = alive(mark)
            assert len(pids) <= 1, f"{mark} runs {len(pids)} times"
            if mark in first:
                assert pids == [first[mark]], "what ran must run on"
            elif pids:
                first[mark] = pids[0]
    agent.reports.unlink(missing_ok=True)
    agent.start()
    await_(lambda: [o["state"] for o in agent.last().values()] == ["running"] * REPLICAS)
    assert all(o["restarts"] == 0 for o in agent.last().values())
    assert all(len(alive(mark)) == 1 for mark in marks)
    os.kill(alive(marks[0])[0], signal.SIGKILL)
    await_(lambda: agent.last()["a0"]["restarts"] == 1 and len(alive(marks[0])) == 1)


def test_a_job_is_run_once_whatever_happens(crashing: Any, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    job = body(0, ["sh", "-c", f"echo x >> {ran}; sleep 1; echo y >> {ran}"])
    job |= {"kind": "job", "unit": "once", "body": {"command": job["body"]["command"]}}
    agent = crashing(NOWHERE)
    agent.assign([job])
    rng, latest = random.Random(3), 0.9
    while not agent.last() or agent.last()["a0"]["state"] != "completed":
        agent.start()
        time.sleep(rng.uniform(0.1, latest))  # the moment of the kill is the case, not a wait
        agent.kill()
        latest *= 1.1  # a busy host may need longer than that to start at all
    assert ran.read_text() == "x\ny\n"


@pytest.mark.docker
def test_containers_survive_kills_of_the_agent(
    crashing: Any, dockerd: Engine, tool_image: str
) -> None:
    agent = crashing(dockerd.host)
    more = {"image": tool_image, "init": True}
    agent.assign([body(n, ["sleep", "1000"], **more) for n in range(REPLICAS)])
    client = dockerd.client()

    def running() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {f"a{n}": [] for n in range(REPLICAS)}
        for c in client.api.containers(filters={"label": "orch.role=main"}):
            found[c["Labels"]["orch.allocation"]].append(c["Id"])
        return found

    rng = random.Random(11)
    first: dict[str, str] = {}
    for _ in range(KILLS):
        agent.start()
        time.sleep(rng.uniform(0.3, 1.5))  # the moment of the kill is the case, not a wait
        agent.kill()
        for id, ids in running().items():
            assert len(ids) <= 1, f"{id} runs {len(ids)} times"
            if id in first:
                assert ids == [first[id]], "what ran must run on"
            elif ids:
                first[id] = ids[0]
    agent.reports.unlink(missing_ok=True)
    agent.start()
    await_(lambda: [o["state"] for o in agent.last().values()] == ["running"] * REPLICAS)
    assert all(o["restarts"] == 0 for o in agent.last().values())
    victim = running()["a0"][0]
    client.api.kill(victim)
    await_(lambda: agent.last()["a0"]["restarts"] == 1 and len(running()["a0"]) == 1)
    client.close()
