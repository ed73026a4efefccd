"""`orch port-forward` on a double: what goes wrong is told, and the next connection is tried."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.kubernetes_api.forwarder import Forwarder, forward_command, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orch.testing.conformance import Trial
    from tests.kubernetes_api.server import Api

PORTS = [
    {"name": "http", "target": 8080},
    {"name": "metrics", "target": 9090},
    {"target": 53, "protocol": "udp"},
]


@pytest.fixture
def command(trial: Trial, tmp_path: Path) -> Callable[..., list[str]]:
    return lambda *words: forward_command(trial, tmp_path / "kubeconfig", *words)


@pytest.fixture
def started() -> Iterator[Callable[..., Forwarder]]:
    made: list[Forwarder] = []

    def start(command: list[str], count: int = 1) -> Forwarder:
        made.append(Forwarder.start(command, count))
        return made[-1]

    yield start
    for one in made:
        one.end()


def web(trial: Trial, *, ready: bool = True) -> dict[str, Any]:
    document = trial.web("one", ready=ready, update_config={"progress_deadline": "2s"})
    document["services"]["web"]["ports"] = PORTS
    return document


def asked(port: int, text: str = "hello") -> str:
    """What a pod answers through a local port, empty when the connection just ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(text.encode())
        answer = b""
        try:
            while data := line.recv(1024):
                answer += data
        except ConnectionResetError:
            return ""
        return answer.decode()


def test_several_ports_lead_to_a_ready_replica_until_it_is_interrupted(
    trial: Trial, command: Callable[..., list[str]], started: Callable[..., Forwarder]
) -> None:
    trial.deployed(web(trial))
    pod = trial.service().replicas[0].id
    forwarder = started(command("web", ":http", "0:9090"), 2)
    assert set(forwarder.ports) == {8080, 9090}
    assert asked(forwarder.ports[8080]) == f"{pod} heard hello"
    assert asked(forwarder.ports[9090], "again") == f"{pod} heard again"
    assert forwarder.interrupt() == (130, "")


def test_it_goes_on_with_the_replica_that_follows(
    trial: Trial, command: Callable[..., list[str]], started: Callable[..., Forwarder]
) -> None:
    trial.deployed(web(trial))
    forwarder = started(command("web", ":8080"))
    trial.run(trial.session().restart_plan(["web"]))
    pod = trial.service().replicas[0].id
    assert asked(forwarder.ports[8080]) == f"{pod} heard hello"


def test_a_connection_that_fails_is_told_and_the_next_one_is_tried(
    trial: Trial,
    kubernetes_api: Api,
    command: Callable[..., list[str]],
    started: Callable[..., Forwarder],
) -> None:
    trial.deployed(web(trial))
    forwarder = started(command("web", ":8080"))
    kubernetes_api.deaf.add(8080)
    assert asked(forwarder.ports[8080]) == ""
    assert "web:8080: nothing listens there" in forwarder.heard()
    kubernetes_api.deaf.clear()
    said = 'pods "web" is forbidden: User "me" cannot create resource "pods/portforward"'
    kubernetes_api.answer("GET", "/portforward", 403, said)
    assert asked(forwarder.ports[8080]) == ""
    assert "kubectl auth can-i create pods/portforward" in forwarder.heard()
    kubernetes_api.cut("GET", "/portforward")
    assert asked(forwarder.ports[8080]) == ""
    assert "the cluster does not answer" in forwarder.heard()
    assert asked(forwarder.ports[8080]).endswith("heard hello")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["wep", "8080"], "no service 'wep'.*did you mean web"),
        (["web", "80"], "web has no port '80'.*it has 8080 [(]http[)], 9090 [(]metrics[)]"),
        (["web", "53"], "no TCP port"),
        (["web", "70000:http"], "'70000:http' is no port.*8080:80"),
        (["web", "a:b:c"], "'a:b:c' is no port"),
        (["web", ":http", "--replica", "7"], "web.7. has no ready replica"),
    ],
)
def test_what_can_not_be_forwarded_is_told(
    words: list[str], said: str, trial: Trial, command: Callable[..., list[str]]
) -> None:
    trial.deployed(web(trial))
    code, told = refused(command(*words))
    assert code == 2, told
    assert re.search(said, " ".join(told.split())), told


def test_that_no_replica_is_ready_is_told(trial: Trial, command: Callable[..., list[str]]) -> None:
    trial.deploy(web(trial, ready=False))
    code, told = refused(command("web", ":http"))
    assert (code, "web has no ready replica" in told) == (2, True), told
    assert "web[0] is running" in told


def test_a_port_that_is_taken_is_told(trial: Trial, command: Callable[..., list[str]]) -> None:
    trial.deployed(web(trial))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, told = refused(command("web", f"{port}:http"))
    assert code == 2
    assert f"127.0.0.1:{port}" in told
    assert "another program listens there" in told
