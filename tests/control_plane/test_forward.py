"""`orch port-forward` to real pods: what they serve, however much, and after they were replaced."""

from __future__ import annotations

import hashlib
import socket
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.kubernetes_api.forwarder import Forwarder, forward_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.testing.conformance import Trial
    from tests.control_plane.conftest import KubernetesCluster

pytestmark = [pytest.mark.optional, pytest.mark.slow, pytest.mark.timeout(300)]
MEGABYTES = 20
_LARGE = f"dd if=/dev/zero of=/tmp/www/large bs=1048576 count={MEGABYTES} 2>/dev/null"


@pytest.fixture
def forwarder(trial: Trial, kubernetes_cluster: KubernetesCluster) -> Iterator[Forwarder]:
    document = trial.web("one")
    document["services"]["web"]["ports"].append({"name": "deaf", "target": 9})
    trial.deployed(document)
    command = forward_command(trial, kubernetes_cluster.kubeconfig, "web", ":http", ":deaf")
    made = Forwarder.start(command, 2)
    yield made
    made.end()


def fetched(port: int, path: str = "/") -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return bytes(answer.read())


def test_a_replica_answers_also_the_one_that_follows(trial: Trial, forwarder: Forwarder) -> None:
    assert fetched(forwarder.ports[8080]) == b"one"
    second = trial.web("two")
    second["services"]["web"]["ports"].append({"name": "deaf", "target": 9})
    trial.deployed(second)
    assert fetched(forwarder.ports[8080]) == b"two"
    assert forwarder.interrupt() == (130, "")


def test_much_comes_whole_and_at_the_same_time(trial: Trial, forwarder: Forwarder) -> None:
    assert trial.exec(_LARGE) == 0
    whole = hashlib.sha256(bytes(MEGABYTES << 20)).digest()
    port = forwarder.ports[8080]
    with socket.create_connection(("127.0.0.1", port)) as idle:
        assert hashlib.sha256(fetched(port, "/large")).digest() == whole
        idle.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert idle.makefile("rb").read().endswith(b"one")


def test_a_port_at_which_nothing_listens_is_told(forwarder: Forwarder) -> None:
    with socket.create_connection(("127.0.0.1", forwarder.ports[9]), timeout=30) as line:
        assert line.recv(10) == b""
    assert "web:9: nothing listens there" in forwarder.heard()
    assert fetched(forwarder.ports[8080]) == b"one"
