"""A real server on which one resource is broken: it is named, and everything else goes on."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from orch.types import Instance
from orch_native import daemon
from orch_native.api import RolloutPhase
from orch_native.client import NativeClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SHOP = Instance("native", "default", "shop")
SLEEPER = {
    "command": ["sh", "-c", "exec sleep 864077"],
    "deploy": {"update_config": {"monitor": "0s"}},
}
FUSSY = """
import sys
from orch_native import daemon_process
from orch_native.agent.local import LocalAgent

class Fussy(LocalAgent):
    def assign(self, allocations):
        if any(a.unit == "bad" for a in allocations):
            raise RuntimeError("canary-9c1d")
        super().assign(allocations)

daemon_process.local_agent = lambda state, _: lambda report: Fussy(state / "agent", report)
sys.exit(daemon_process.main(sys.argv[1:]))
"""


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    yield folder
    with daemon.ensure_running(folder) as client:
        for resource in client.resources(SHOP):
            client.delete_resource(SHOP, resource.kind, resource.name)
            assert follow(client, resource.name) is RolloutPhase.GONE
        client.stop(tasks=True)
    daemon.await_end(folder)


def follow(client: NativeClient, name: str) -> RolloutPhase:
    *_, last = client.rollout(SHOP, "service", name, timeout=60)
    return last.phase


def message(client: NativeClient, name: str) -> str:
    return next(s.message for s in client.status(SHOP).services if s.name == name)


def awaited(check: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_body_that_cannot_be_read_holds_up_nobody(state: Path) -> None:
    with daemon.ensure_running(state) as client:
        client.put_resource(SHOP, "service", "bad", SLEEPER)
        assert follow(client, "bad") is RolloutPhase.HEALTHY
        client.stop()
    daemon.await_end(state)
    body = json.dumps({**SLEEPER, "deploy": {"replicas": "many"}})
    with sqlite3.connect(state / "native.db") as disk:
        disk.execute("UPDATE resources SET body = ? WHERE name = 'bad'", (body,))
    disk.close()
    with daemon.ensure_running(state) as client:
        client.put_resource(SHOP, "service", "web", SLEEPER)
        assert follow(client, "web") is RolloutPhase.HEALTHY
        status = {service.name: service for service in client.status(SHOP).services}
        assert status["web"].healthy
        assert not status["bad"].healthy
        assert "deploy.replicas" in status["bad"].message
        assert "deploy.replicas" in client.why(SHOP, "bad")[0]
        assert next(r for r in client.resources(SHOP) if r.name == "bad").failed
        client.put_resource(SHOP, "service", "bad", SLEEPER)
        awaited(lambda: client.status(SHOP).healthy)


def test_an_agent_that_fails_at_one_service_runs_the_others(state: Path) -> None:
    daemon.prepare(state)
    with (state / "daemon.log").open("wb") as log:
        command = [sys.executable, "-c", FUSSY, "--state", str(state)]
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        awaited(daemon.socket_path(state).exists)
        with NativeClient(daemon.socket_path(state)) as client:
            for name in ("first", "bad", "last"):
                client.put_resource(SHOP, "service", name, SLEEPER)
            assert follow(client, "first") is RolloutPhase.HEALTHY
            assert follow(client, "last") is RolloutPhase.HEALTHY
            awaited(lambda: "in a row" in message(client, "bad"))
            assert "handed to its node: RuntimeError" in message(client, "bad")
            assert "canary" not in message(client, "bad")
            client.stop()
        assert server.wait(20) == 0
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    with daemon.ensure_running(state) as client:
        awaited(lambda: client.status(SHOP).healthy)
