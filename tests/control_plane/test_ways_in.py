"""Ways in on a real cluster, with a real controller: what a visitor gets while they change."""

from __future__ import annotations

import socket
import sys
import time
from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest

from orch.testing.conformance import Trial
from orch.types import EventKind, Verdict
from orch_kubernetes.backend import KubernetesBackend
from tests.control_plane.controller import controlled
from tests.integration.swarm.load import under_load
from tests.integration.swarm.test_routes import certificate

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

    from tests.control_plane.conftest import KubernetesCluster

pytestmark = [pytest.mark.optional, pytest.mark.slow, pytest.mark.timeout(300)]
HOST = "shop.example.com"
KINDS = ["gateway", "ingress"]
TLS = {"cert": {"secret": "cert"}, "key": {"secret": "key"}}
PACE = {"order": "start-first", "parallelism": 1, "monitor": "0s"}


@pytest.fixture(scope="module")
def address(
    kubernetes_cluster: KubernetesCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    if kubernetes_cluster.node is None:
        pytest.skip("a controller of ways in is set up on clusters of our own alone")
    with closing(KubernetesBackend({"kubeconfig": str(kubernetes_cluster.kubeconfig)})) as asked:
        if not asked.facts.has("endpoint_slices_v1"):
            pytest.skip("this controller reads endpoint slices of 1.21 and later")
    with controlled(kubernetes_cluster.node, tmp_path_factory.mktemp("controller")) as found:
        yield found


@pytest.fixture(params=KINDS)
def routes(request: pytest.FixtureRequest, address: str) -> str:
    """How ways in are made."""
    assert address
    return str(request.param)


@pytest.fixture
def backend(kubernetes_cluster: KubernetesCluster, routes: str) -> Iterator[KubernetesBackend]:
    made = KubernetesBackend({"kubeconfig": str(kubernetes_cluster.kubeconfig), "routes": routes})
    yield made
    made.close()


def shop(trial: Trial, text: str, **more: Any) -> dict[str, Any]:
    """Two replicas, and a way in to them."""
    route = {"service": "web", "port": "http", **more}
    return {**trial.web(text, replicas=2, update_config=PACE), "routes": [route]}


def answer(address: str, trust: ssl.SSLContext | None = None) -> tuple[int, str]:
    """What a visitor of the host gets at `/`: the status, and the text or where it leads to."""
    with closing(HTTPConnection(HOST, timeout=10)) as line:
        line.sock = socket.create_connection((address, 443 if trust else 80), timeout=10)
        if trust is not None:
            line.sock = trust.wrap_socket(line.sock, server_hostname=HOST)
        line.request("GET", "/")
        got = line.getresponse()
        return got.status, got.getheader("Location") or got.read().decode().strip()


def eventually(address: str, wanted: tuple[int, str], trust: ssl.SSLContext | None = None) -> None:
    """Ask until the answer is the wanted one: a controller follows a little later."""
    end, seen = time.monotonic() + 30, None
    while seen != wanted:
        assert time.monotonic() < end, seen
        try:
            seen = answer(address, trust)
        except OSError as fault:
            seen = (0, str(fault))
        time.sleep(0.05)


def test_a_host_leads_to_replicas_and_no_update_loses_a_request(trial: Trial, address: str) -> None:
    trial.deployed(shop(trial, "one"))
    eventually(address, (200, "one"))
    with under_load([sys.executable], f"http://{address}") as seen:
        trial.deployed(shop(trial, "two"))
        changed = shop(trial, "two")
        changed["routes"].append({**changed["routes"][0], "path": "/more"})
        trial.deployed(changed)
    assert seen.lost == {}
    assert seen.texts == ["one", "two"]
    assert seen.requests > 100


def test_a_host_is_encrypted_and_its_certificate_can_change(
    trial: Trial, address: str, routes: str, tmp_path: Path
) -> None:
    secrets = {name: {"provider": "env", "key": name} for name in ("cert", "key")}
    document = {**shop(trial, "one", host=HOST, tls=TLS), "secrets": secrets}
    for _ in range(2):
        cert, key, trust = certificate(tmp_path, HOST)
        trial.secrets.values |= {"cert": cert, "key": key}
        trial.deployed(document)
        eventually(address, (200, "one"), trust)
    assert trial.service().endpoints == (f"https://{HOST}",)
    if routes == "gateway":
        eventually(address, (301, f"https://{HOST}/"))
    assert trial.pending(document) == []


def test_a_host_is_answered_while_its_way_in_becomes_another(
    trial: Trial, address: str, routes: str, kubernetes_cluster: KubernetesCluster
) -> None:
    other = next(one for one in KINDS if one != routes)
    document = shop(trial, "one")
    trial.deployed(document)
    eventually(address, (200, "one"))
    options = {"kubeconfig": str(kubernetes_cluster.kubeconfig), "routes": other}
    with closing(KubernetesBackend(options)) as backend:
        moved = Trial(backend, trial.workload, trial.instance.namespace, trial.instance.name)
        with under_load([sys.executable], f"http://{address}") as seen:
            moved.deployed(document)
            eventually(address, (200, "one"))
        assert seen.lost == {}
        assert moved.pending(document) == []


@pytest.mark.parametrize("routes", ["gateway"], indirect=True)
def test_a_controllers_refusal_is_told(trial: Trial) -> None:
    """Nobody has a certificate of that name; an Ingress has no words for such a thing."""
    document = shop(trial, "one", host=HOST, tls={"acme": True})
    outcome = trial.deploy(document)
    assert outcome.verdict is Verdict.DONE, outcome
    told = [event.message for event in trial.events if event.kind is EventKind.WARNING]
    assert any("Gateway" in line and "is refused" in line for line in told), told
