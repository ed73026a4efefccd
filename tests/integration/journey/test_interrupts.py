"""A deploy that is cut off at any point, by whatever kills it, is completed by the next one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import psutil
import pytest

from orch_native import daemon
from tests.integration.journey.conftest import ORCH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.journey.conftest import Orch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PATIENCE = 60.0
SIZES = {"db": 1, "web": 2}
POINTS = {
    "a file is written": ("config/", "applied"),
    "the store is begun": ("service/db", "started"),
    "the job is under way": ("job/migrate", "applied"),
    "the pages are under way": ("service/web", "applied"),
    "the pages get ready": ("service/web", "progress"),
}


@pytest.fixture
def shop(orch: Orch, project: Path, free_ports: list[int]) -> tuple[Orch, int]:
    """The example of a shop on a port of its own."""
    shutil.copytree(project / "specs/examples/02-shop", orch.folder, dirs_exist_ok=True)
    spec, port = orch.folder / "orch.yaml", free_ports[0]
    spec.write_text(spec.read_text().replace("published: 8090", f"published: {port}"))
    orch("backends")
    return orch, port


def deploy_until(orch: Orch, point: str, act: Callable[[int], None]) -> tuple[int, str]:
    """Deploy, do something to it at a point; gives its exit code and what it said."""
    wanted_id, wanted_kind = POINTS[point]
    deploy = subprocess.Popen(
        [ORCH, "deploy", "--json"],
        cwd=orch.folder,
        env=orch.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert deploy.stdout is not None
    seen = []
    for line in deploy.stdout:
        seen.append(line)
        event = json.loads(line)
        if str(event.get("id", "")).startswith(wanted_id) and event.get("kind") == wanted_kind:
            act(deploy.pid)
            break
    else:
        pytest.fail(f"the deploy never came to where {point}:\n{''.join(seen)}")
    said, told = deploy.communicate(timeout=PATIENCE)
    return deploy.returncode, said + told


def is_whole(orch: Orch, port: int) -> None:
    """Everything is as wanted, once and not twice."""
    status = orch("status", "--output", "json").data
    services = {row["name"]: row for row in status["services"]}
    assert status["healthy"], status
    assert {name: services[name]["ready"] for name in SIZES} == SIZES
    orch("plan", "--exit-code")
    with urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        assert "bread" in answer.read().decode()
    eventually(lambda: supervised(orch) == sum(SIZES.values()))


def supervised(orch: Orch) -> int:
    """How many tasks of this state are kept on the host."""
    kept = 0
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        kept += any(word.endswith("/agent/supervisor") for word in words) and any(
            word.startswith(str(orch.state)) for word in words
        )
    return kept


def eventually(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.1)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("point", ["a file is written", "the job is under way"])
def test_whoever_is_asked_to_end_says_what_stands(
    shop: tuple[Orch, int], point: str, sent: signal.Signals
) -> None:
    orch, port = shop
    code, said = deploy_until(orch, point, lambda pid: os.kill(pid, sent))
    assert code == 130, said
    assert "run the same command again" in said
    orch("deploy")
    is_whole(orch, port)


@pytest.mark.parametrize("point", list(POINTS))
def test_a_killed_deploy_is_completed_by_the_next(shop: tuple[Orch, int], point: str) -> None:
    orch, port = shop
    code, _ = deploy_until(orch, point, lambda pid: os.kill(pid, signal.SIGKILL))
    assert code == -signal.SIGKILL
    orch("deploy", "--lock-wait", "90s", timeout=180)
    is_whole(orch, port)


@pytest.mark.parametrize("point", list(POINTS))
def test_a_killed_daemon_loses_and_doubles_nothing(shop: tuple[Orch, int], point: str) -> None:
    orch, port = shop

    def kill_daemon(_pid: int) -> None:
        pid = daemon.running_pid(orch.state)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    code, said = deploy_until(orch, point, kill_daemon)
    assert code in (0, 5, 6, 9), said
    assert "Traceback" not in said
    orch("deploy", "--lock-wait", "90s", timeout=180)
    is_whole(orch, port)
