"""What is found out from a cluster, over a real socket."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from orch.errors import Denied, Transient, Unreachable, UsageFault
from orch_kubernetes.backend import KubernetesBackend
from orch_kubernetes.facts import Sighting, sighted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GATEWAY = "gateway.networking.k8s.io"
ROUTE = "route.openshift.io"


def items(*found: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(found)}


def named(name: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}}


ACCEPTED = {"status": {"conditions": [{"type": "Accepted", "status": "True"}]}}


class Cluster:
    """Answers what the discovery of a cluster asks; a status instead of an answer is a fault."""

    def __init__(self, folder: Path) -> None:
        self.answers: dict[str, Any] = {
            "/version": {"gitVersion": "v1.33.4+k3s1"},
            "/apis": {"groups": [{"name": "apps"}]},
            "/api/v1/nodes": items(named("one", labels={"a": "b"})),
            "/apis/networking.k8s.io/v1/ingressclasses": items(named("traefik")),
        }
        self.logins: set[str | None] = set()
        self.together: threading.Barrier | None = None
        cluster = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cluster.logins.add(self.headers["Authorization"])
                if cluster.together is not None:
                    cluster.together.wait(10)
                said = cluster.answers.get(self.path.partition("?")[0], 404)
                status = said if isinstance(said, int) else 200
                told = {"message": f"no {self.path}"} if isinstance(said, int) else said
                data = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.kubeconfig = folder / "config"
        address = f"http://127.0.0.1:{self.server.server_port}"
        self.kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                    "clusters": [{"name": "here", "cluster": {"server": address}}],
                    "users": [{"name": "me", "user": {"token": "t"}}],
                }
            )
        )

    def backend(self, **options: str) -> KubernetesBackend:
        return KubernetesBackend({"kubeconfig": str(self.kubeconfig), **options})


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def test_a_cluster_tells_what_it_is(cluster: Cluster) -> None:
    backend = cluster.backend()
    facts = backend.facts
    backend.close()
    assert (facts.flavour.name, facts.version, facts.routes) == ("k3s", (1, 33), "ingress")
    assert facts.ingress_class == "traefik"
    assert cluster.logins == {"Bearer t"}


def test_all_is_asked_at_once(cluster: Cluster) -> None:
    cluster.together = threading.Barrier(5)
    backend = cluster.backend()
    assert backend.facts.flavour.name == "k3s"
    backend.close()


def test_gateways_are_used_where_a_class_was_accepted(cluster: Cluster) -> None:
    cluster.answers["/apis"]["groups"].append({"name": GATEWAY})
    path = f"/apis/{GATEWAY}/v1/gatewayclasses"
    cluster.answers[path] = items({**named("idle")}, {**named("cilium"), **ACCEPTED})
    backend = cluster.backend()
    assert (backend.facts.routes, backend.facts.gateway_class) == ("gateway", "cilium")
    backend.close()


def test_what_may_not_be_seen_counts_as_not_there(cluster: Cluster) -> None:
    cluster.answers["/api/v1/nodes"] = 403
    cluster.answers["/apis/networking.k8s.io/v1/ingressclasses"] = 403
    backend = cluster.backend()
    assert backend.facts.flavour.name == "k3s"
    backend.close()


@pytest.mark.parametrize(
    ("status", "fault"), [(401, Denied), (403, Denied), (429, Transient), (503, Transient)]
)
def test_faults_are_told_in_our_words(
    cluster: Cluster, status: int, fault: type[Exception]
) -> None:
    cluster.answers["/version"] = status
    backend = cluster.backend()
    with pytest.raises(fault, match="no /version"):
        _ = backend.facts
    backend.close()


def test_a_cluster_that_is_gone(cluster: Cluster) -> None:
    cluster.kubeconfig.write_text(cluster.kubeconfig.read_text().replace("127.0.0.1", "127.0.0.2"))
    backend = cluster.backend()
    with pytest.raises(Unreachable):
        _ = backend.facts
    backend.close()


def test_a_context_that_is_not_there(cluster: Cluster) -> None:
    with pytest.raises(UsageFault, match="nowhere"):
        _ = cluster.backend(context="nowhere").facts


def test_no_cluster_is_asked_without_a_context() -> None:
    assert KubernetesBackend({"flavour": "gke"}).facts.flavour.name == "gke"


@pytest.mark.parametrize(
    ("seen", "options", "expected"),
    [
        (
            Sighting("v1.31.0", frozenset({ROUTE, GATEWAY})),
            {},
            ("openshift", "route", "openshift-default"),
        ),
        (
            Sighting("v1.31.0", ingress_classes=("nginx", "haproxy")),
            {},
            ("plain", "ingress", "nginx"),
        ),
        (
            Sighting("v1.31.0", ingress_classes=("nginx",), ingress_default=True),
            {},
            ("plain", "ingress", ""),
        ),
        (Sighting("v1.31.0"), {"flavour": "eks"}, ("eks", "ingress", "alb")),
        (
            Sighting("v1.31.0", frozenset({GATEWAY}), gateway_classes=("a",)),
            {"routes": "ingress", "ingress_class": "mine"},
            ("plain", "ingress", "mine"),
        ),
    ],
)
def test_what_is_seen_and_what_is_said(
    seen: Sighting, options: dict[str, str], expected: tuple[str, ...]
) -> None:
    facts = sighted(options, seen)
    assert (facts.flavour.name, facts.routes, facts.ingress_class) == expected


@pytest.mark.parametrize(
    ("options", "groups", "balanced"),
    [
        ({}, (), False),
        ({}, ("metallb.io",), True),
        ({"load_balancer": "yes"}, (), True),
        ({"load_balancer": "no"}, ("metallb.io",), False),
        ({"flavour": "k3s"}, (), True),
        ({"flavour": "k3s", "load_balancer": "no"}, (), False),
    ],
)
def test_whether_a_published_port_gets_an_address(
    options: dict[str, str], groups: tuple[str, ...], *, balanced: bool
) -> None:
    assert sighted(options, Sighting("v1.36.2", frozenset(groups))).load_balancer is balanced


@pytest.mark.parametrize(
    ("options", "default", "wanted"),
    [({}, False, "nginx"), ({}, True, "nginx"), ({"ingress_class": "alpha"}, True, "alpha")],
)
def test_ingresses_keep_the_class_that_they_have(
    options: dict[str, str], default: bool, wanted: str
) -> None:
    classes = ("alpha", "nginx")
    standing = {"ingress": "nginx"}
    seen = Sighting("v1.33.4", ingress_classes=classes, ingress_default=default, standing=standing)
    assert sighted(options, seen).ingress_class == wanted
