"""Ways in from outside: what routes become on a Gateway, as Ingresses and as OpenShift's Routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.types import Fidelity
from tests.kubernetes_api.gateway import faults
from tests.unit.kubernetes.test_compile import compiled, row, web

if TYPE_CHECKING:
    from orch.types import Manifest

PORT = {"ports": [{"name": "http", "target": 8080}]}
HOST = "shop.example.com"
PAIR = {"cert": {"secret": "cert"}, "key": {"secret": "key"}}
SECRETS = {name: {"provider": "env", "key": name.upper()} for name in ("cert", "key", "other")}
MAP = {"certificate": "certificateMaps/a"}
GKE = {"flavour": "gke"}
FLAVOURS = ("plain", "eks", "gke", "openshift")


def routed(*routes: dict[str, Any], **options: str) -> Manifest:
    said = [{"service": "web", "port": "http", **route} for route in routes]
    return compiled({**web(**PORT), "routes": said, "secrets": SECRETS}, **options)


def bodies(manifest: Manifest, kind: str) -> list[dict[str, Any]]:
    return [dict(r.body) for r in manifest.resources if r.kind == kind]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("tls", [PAIR, {"acme": True}, {"certificate": "held"}], ids=str)
def test_routes_of_one_host_share_its_certificate(tls: dict[str, Any], flavour: str) -> None:
    routes = ({"host": HOST, "path": path, "tls": tls} for path in ("/", "/api"))
    manifest = routed(*routes, flavour=flavour)
    bad = (Fidelity.LOST, Fidelity.REJECTED)
    assert [e for e in manifest.ledger if e.outcome in bad and e.path[0] == "routes"] == []
    assert len({r.id for r in manifest.resources}) == len(manifest.resources)
    for ingress in bodies(manifest, "Ingress"):
        assert [one["hosts"] for one in ingress["spec"]["tls"]] == [[HOST]]
    for gateway in bodies(manifest, "Gateway"):
        assert [one["port"] for one in gateway["spec"]["listeners"]] == [80, 443]
    certificates = [r for r in manifest.resources if r.id.startswith("certificate/")]
    assert len(certificates) == (tls is PAIR and flavour != "openshift")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_host_has_one_certificate(flavour: str) -> None:
    other = {"cert": {"secret": "other"}, "key": {"secret": "key"}}
    manifest = routed(
        {"host": HOST, "tls": PAIR}, {"host": HOST, "path": "/a", "tls": other}, flavour=flavour
    )
    found = row(manifest, "routes[1].tls.cert.secret")
    assert found.outcome is Fidelity.REJECTED
    assert "routes[0] has another" in found.reason
    assert found.mend
    assert row(manifest, "routes[0].tls.cert.secret").outcome is not Fidelity.REJECTED


# -- on a Gateway ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", ["certificateMaps/shop", "projects/p/locations/global/certificateMaps/shop"]
)
def test_a_certificate_map_hangs_on_the_gateway_itself(said: str) -> None:
    tls = {"certificate": said}
    manifest = routed({"host": HOST, "tls": tls}, {"host": "b.example.com", "tls": tls}, **GKE)
    (gateway,) = bodies(manifest, "Gateway")
    assert gateway["metadata"]["annotations"] == {"networking.gke.io/certmap": "shop"}
    assert gateway["spec"]["listeners"][1:] == [{"name": "https", "port": 443, "protocol": "HTTPS"}]
    assert faults(gateway) == []
    assert row(manifest, "routes[1].tls.certificate").outcome is Fidelity.NATIVE


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (MAP, {"certificate": "certificateMaps/b"}, "one certificate map"),
        (MAP, PAIR, "not both"),
        (PAIR, MAP, "not both"),
        ({"acme": True}, {"certificate": "arn:aws:acm:a:1:certificate/b"}, "no name of a Secret"),
    ],
    ids=["two maps", "map and Secret", "Secret and map", "unknown"],
)
def test_what_one_gateway_can_not_hold_is_rejected(
    first: dict[str, Any], second: dict[str, Any], told: str
) -> None:
    manifest = routed({"host": HOST, "tls": first}, {"host": "b.example.com", "tls": second}, **GKE)
    refused = [entry for entry in manifest.ledger if entry.outcome is Fidelity.REJECTED]
    assert {entry.path[:2] for entry in refused} == {("routes", 1)}
    assert all(told in entry.reason and entry.mend for entry in refused)
    assert [fault for one in bodies(manifest, "Gateway") for fault in faults(one)] == []


def test_a_plain_name_is_a_secret_on_every_cluster() -> None:
    (gateway,) = bodies(routed({"host": HOST, "tls": {"certificate": "held"}}, **GKE), "Gateway")
    assert gateway["spec"]["listeners"][1]["tls"]["certificateRefs"] == [{"name": "held"}]
