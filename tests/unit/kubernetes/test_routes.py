"""Ways in from outside: what routes become on a Gateway, as Ingresses and as OpenShift's Routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.types import Fidelity
from tests.unit.kubernetes.test_compile import compiled, row, web

if TYPE_CHECKING:
    from orch.types import Manifest

PORT = {"ports": [{"name": "http", "target": 8080}]}
HOST = "shop.example.com"
PAIR = {"cert": {"secret": "cert"}, "key": {"secret": "key"}}
SECRETS = {name: {"provider": "env", "key": name.upper()} for name in ("cert", "key", "other")}
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
