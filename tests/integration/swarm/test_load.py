"""What a separate client asks without a pause is changed: which requests are lost, which not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from orch.types import Verdict
from tests.integration.swarm.conftest import free_port
from tests.integration.swarm.images import python_image
from tests.integration.swarm.load import Load, under_load

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch.testing.conformance import Trial
    from orch_swarm.backend import SwarmBackend

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow]
__all__ = ["python_image"]
FAST = {"monitor": "300ms", "progress_deadline": "20s"}
START_FIRST = {**FAST, "order": "start-first"}
SHORT = {**START_FIRST, "progress_deadline": "5s"}
CUT = ("ConnectionResetError", "RemoteDisconnected", "IncompleteRead")
REFUSALS = ("ConnectionRefusedError", *CUT)


def neighbour(trial: Trial, backend: SwarmBackend) -> list[str]:
    """The command that runs Python beside the service, where its name is known."""
    (replica,) = trial.service("client").replicas
    task = backend.client.one("tasks", replica.id)
    assert task is not None
    container = task["Status"]["ContainerStatus"]["ContainerID"]
    pid = backend.client.get(f"/containers/{container}/json")["State"]["Pid"]
    return ["nsenter", f"--target={pid}", "--net", "--mount", "python3"]


def test_no_request_to_a_name_is_lost(
    trial: Trial, backend: SwarmBackend, python_image: str
) -> None:
    client = {
        "image": python_image,
        "command": ["python3", "-c", "import signal; signal.pause()"],
        "init": True,
    }

    def document(text: str, *, ready: bool = True, **deploy: Any) -> dict[str, Any]:
        terms = {"replicas": 2, "update_config": FAST, **deploy}
        web = trial.web_service(text, ready=ready, **terms)
        return {"services": {"web": web, "client": client}}

    def fail() -> None:
        outcome = trial.deploy(document("bad", ready=False, update_config=SHORT))
        assert outcome.verdict is Verdict.ROLLED_BACK, outcome

    def scaled(replicas: int) -> None:
        outcome = trial.run(trial.session().scale_plan({"web": replicas}))
        assert outcome.verdict is Verdict.DONE, outcome

    def restart() -> None:
        outcome = trial.run(trial.session().restart_plan(["web"]))
        assert outcome.verdict is Verdict.DONE, outcome

    changes: dict[str, Callable[[], object]] = {
        "update, one stops first": lambda: trial.deployed(document("two")),
        "update, one starts first": lambda: trial.deployed(
            document("three", update_config=START_FIRST)
        ),
        "failed update and the way back": fail,
        "scaled from 2 to 3": lambda: scaled(3),
        "scaled from 3 to 1": lambda: scaled(1),
        "restart of one, started first": restart,
    }
    trial.deployed(document("one"))
    python = neighbour(trial, backend)
    seen: dict[str, Load] = {}
    for what, change in changes.items():
        with under_load(python, "http://web:8080") as load:
            change()
        seen[what] = load
        print(load.row(what))
    assert {what: load.lost for what, load in seen.items() if load.lost} == {}
    assert seen["update, one stops first"].texts == ["one", "two"]
    assert seen["failed update and the way back"].texts == ["three"]


def test_requests_to_the_port_of_a_lone_replica_are_lost_while_it_is_replaced(
    trial: Trial,
) -> None:
    port = free_port()

    def document(text: str) -> dict[str, Any]:
        web = trial.web_service(text, update_config=FAST)
        web["ports"] = [{"target": 8080, "published": port, "mode": "host"}]
        return {"services": {"web": web}}

    trial.deployed(document("one"))
    with under_load([sys.executable], f"http://127.0.0.1:{port}") as load:
        trial.deployed(document("two"))
    print(load.row("update of a lone host port"))
    assert load.texts == ["one", "two"]
    # No other replica may take the port before this one gives it back.
    assert load.lost
    assert all(said.startswith(REFUSALS) for said in load.lost), load.lost
