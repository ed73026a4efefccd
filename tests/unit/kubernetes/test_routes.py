"""Ways in from outside: what routes become on a Gateway, as Ingresses and as OpenShift's Routes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orch.types import Fidelity
from orch_kubernetes.reader.reading import read_live
from tests.kubernetes_api import schemas
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
FLAVOURS = ("plain", "k3s", "gke", "openshift")


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


def test_many_paths_of_a_host_are_several_routes() -> None:
    manifest = routed(*({"host": HOST, "path": f"/p{n}"} for n in range(20)), **GKE)
    made = bodies(manifest, "HTTPRoute")
    assert [len(one["spec"]["rules"]) for one in made] == [16, 4]
    assert [one["spec"]["hostnames"] for one in made] == [[HOST], [HOST]]
    assert len({one["metadata"]["name"] for one in made}) == len(made)
    assert [fault for one in made for fault in faults(one)] == []
    paths = [r["matches"][0]["path"]["value"] for one in made for r in one["spec"]["rules"]]
    assert paths == [f"/p{n}" for n in range(20)]


def test_more_backends_than_a_rule_has_are_rejected() -> None:
    manifest = routed(*({"host": HOST, "weight": n} for n in range(1, 18)), **GKE)
    refused = [entry for entry in manifest.ledger if entry.outcome is Fidelity.REJECTED]
    assert [entry.path for entry in refused] == [("routes", 16, "service")]
    assert [fault for one in bodies(manifest, "HTTPRoute") for fault in faults(one)] == []


def test_more_encrypted_hosts_than_a_gateway_has_listeners_are_rejected() -> None:
    tls = {"acme": True}
    hosts = ({"host": f"h{n}.example.com", "tls": tls} for n in range(64))
    manifest = routed(*hosts, **GKE)
    refused = [entry for entry in manifest.ledger if entry.outcome is Fidelity.REJECTED]
    assert [entry.path for entry in refused] == [("routes", 63, "tls", "acme")]
    (gateway,) = bodies(manifest, "Gateway")
    assert faults(gateway) == []


@pytest.mark.parametrize("tls", [PAIR, MAP], ids=["Secret", "map"])
def test_an_encrypted_host_redirects_what_comes_unencrypted(tls: dict[str, Any]) -> None:
    """As OpenShift's routers do; a host without a certificate stays as it is."""
    manifest = routed({"host": HOST, "tls": tls}, {"host": "b.example.com"}, **GKE)
    made = {
        (one["spec"]["hostnames"][0], one["spec"]["parentRefs"][0]["sectionName"]): one["spec"]
        for one in bodies(manifest, "HTTPRoute")
    }
    (gateway,) = bodies(manifest, "Gateway")
    encrypted = gateway["spec"]["listeners"][1]["name"]
    assert set(made) == {(HOST, encrypted), (HOST, "http"), ("b.example.com", "http")}
    (rule,) = made[HOST, "http"]["rules"]
    assert rule["filters"][0]["requestRedirect"] == {"scheme": "https", "statusCode": 301}
    assert "backendRefs" not in rule
    assert "filters" not in made["b.example.com", "http"]["rules"][0]
    assert [
        f for kind in ("Gateway", "HTTPRoute") for b in bodies(manifest, kind) for f in faults(b)
    ] == []


def test_an_ingress_tells_that_its_controller_decides_on_redirects() -> None:
    def told(*routes: dict[str, Any], **options: str) -> bool:
        return any("unencrypted" in note for note in routed(*routes, **options).notes)

    assert told({"host": HOST, "tls": PAIR})
    assert not told({"host": HOST})
    assert not told({"host": HOST, "tls": PAIR}, **GKE)


def test_a_gateway_of_others_says_itself_what_it_redirects() -> None:
    manifest = routed({"host": HOST, "tls": PAIR}, routes="gateway", gateway="infra/shared")
    (made,) = bodies(manifest, "HTTPRoute")
    assert made["spec"]["parentRefs"] == [{"name": "shared", "namespace": "infra"}]
    assert "unencrypted" in row(manifest, "routes[0].tls.cert.secret").reason


@pytest.mark.parametrize("host", ["*.example.com", None, f"{'a' * 60}.{'b' * 60}.example.com"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_hosts_of_every_form_are_taken(host: str | None, flavour: str) -> None:
    named = {"host": host} if host else {}
    manifest = routed({**named, "tls": PAIR}, {**named, "path": "/a"}, flavour=flavour)
    kinds = ("Gateway", "HTTPRoute", "Route", "Ingress", "Secret")
    made = [one for kind in kinds for one in bodies(manifest, kind)]
    assert [fault for one in made for fault in schemas.faults(one)] == []


# -- on OpenShift ----------------------------------------------------------------------------------


def test_a_wildcard_is_a_policy_of_a_route() -> None:
    manifest = routed({"host": "*.example.com"}, flavour="openshift")
    (made,) = bodies(manifest, "Route")
    assert made["spec"]["host"] == "wildcard.example.com"
    assert made["spec"]["wildcardPolicy"] == "Subdomain"
    assert schemas.faults(made) == []
    found = row(manifest, "routes[0].host")
    assert found.outcome is Fidelity.EMULATED
    assert "WildcardsAllowed" in found.mend


def test_a_route_without_a_host_is_told_to_have_one() -> None:
    manifest = routed({"path": "/a"}, flavour="openshift")
    found = row(manifest, "routes.*.host")
    assert (found.outcome, found.default) == (Fidelity.DEGRADED, True)
    assert "makes up" in found.reason
    named = routed({"host": HOST}, flavour="openshift")
    assert [entry for entry in named.ledger if entry.default and "host" in entry.path] == []


# -- read back -------------------------------------------------------------------------------------

MANY = tuple({"host": HOST, "path": f"/p{n}"} for n in range(20))
WILD = ({"host": "*.example.com", "path": "/"}, {"host": HOST, "path": "/"})
BY_MAP = ({"host": HOST, "path": "/", "tls": MAP}, {"host": "b.example.com", "path": "/"})


@pytest.mark.parametrize(
    ("routes", "flavour"),
    [(MANY, "gke"), (BY_MAP, "gke"), (WILD, "openshift")],
    ids=["many", "map", "wildcard"],
)
def test_what_is_written_is_read_back(routes: tuple[dict[str, Any], ...], flavour: str) -> None:
    manifest = routed(*routes, flavour=flavour)
    reading = read_live([dict(r.body) for r in manifest.resources], "shop")
    said = [{"service": "web", "port": 8080, **route} for route in routes]
    read = json.loads(json.dumps(reading.document["routes"]))
    assert sorted(read, key=_place) == sorted(said, key=_place)
    lost = [entry for entry in reading.ledger.notable if entry.outcome is Fidelity.LOST]
    assert [entry for entry in lost if not str(entry.path[0]).startswith("Secret/")] == []


def _place(route: dict[str, Any]) -> tuple[str, str]:
    return route["host"], route["path"]
