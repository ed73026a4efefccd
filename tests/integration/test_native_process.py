"""The examples without images, on a real server: they come up, are repaired, and go."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import psutil
import pytest

from orch.apply.session import Session
from orch.load.source import Source, load
from orch.types import Instance, Verdict
from orch_native import daemon
from orch_native.backend import NativeBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orch.spec.application import Application

PATIENCE = 60.0


@pytest.fixture
def backend() -> Iterator[NativeBackend]:
    state = Path(tempfile.mkdtemp(prefix="orch-"))
    made = NativeBackend({"state": str(state), "docker_host": "unix:///nowhere.sock"})
    yield made
    made.client.stop(tasks=True)
    made.close()
    daemon.await_end(state)
    shutil.rmtree(state, ignore_errors=True)


def example(project: Path, name: str) -> Application:
    return load(Source((project / "specs/examples" / name / "orch.yaml",)), {}).app


def eventually(holds: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (seen := holds()):
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.1)
    return seen


def page(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def processes_of(allocation: str) -> list[psutil.Process]:
    mine = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ORCH_ALLOCATION") == allocation:
                mine.append(process)
        except psutil.Error:
            continue
    return mine


@pytest.mark.parametrize(
    ("name", "port", "said"), [("01-hello", 8088, "Directory listing"), ("02-shop", 8090, "bread")]
)
def test_an_example_runs_is_repaired_and_leaves_nothing(
    backend: NativeBackend, project: Path, name: str, port: int, said: str
) -> None:
    app = example(project, name)
    session = Session(backend, Instance("native", "default", app.name))
    outcome = session.apply(session.plan(app).plan, timeout=PATIENCE)
    assert outcome.verdict is Verdict.DONE, outcome
    assert session.status().healthy
    assert said in page(port)
    assert not session.plan(app).plan.pending

    web = next(s for s in session.status().services if s.name == "web")
    victim = web.replicas[0].id
    killed = processes_of(victim)
    assert killed
    for process in killed:
        os.kill(process.pid, signal.SIGKILL)
    gone = {process.pid for process in killed}
    eventually(lambda: {p.pid for p in processes_of(victim)} - gone)
    eventually(lambda: session.status().healthy)
    assert said in page(port)

    down = session.apply(session.down_plan(volumes=True), timeout=PATIENCE)
    assert down.exit_code == 0, down
    assert session.status().services == ()
    assert not [r for r in (s.id for s in web.replicas) if processes_of(r)]
    with pytest.raises(OSError, match="refused"):
        page(port)
