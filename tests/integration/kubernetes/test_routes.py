"""What controllers and routers say of a way in is told: by the deploy, and by a status."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from orch.types import EventKind, Verdict
from orch_kubernetes.watch import admission, ways

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch.testing.conformance import Trial
    from orch.types import Event
    from tests.kubernetes_api.server import Api

Row = dict[str, Any]
HOST = "shop.example.com"
CLAIMED = {"type": "Admitted", "status": "False", "reason": "HostAlreadyClaimed",
           "message": "route web already exposes it and is older"}  # fmt: skip


def said(row: Row, type_: str, status: str, reason: str, message: str = "") -> Row:
    """A condition of an object as it is now."""
    generation = row["metadata"]["generation"]
    return {"type": type_, "status": status, "reason": reason, "message": message,
            "observedGeneration": generation}  # fmt: skip


def accepts(row: Row) -> Row:
    """The status of a Gateway that has come up."""
    conditions = [said(row, "Accepted", "True", "Accepted")]
    conditions += [said(row, "Programmed", "True", "Programmed")]
    return {"conditions": conditions, "addresses": [{"value": "192.0.2.7"}]}


def attaches(row: Row, *, refused: bool = False) -> Row:
    """The status of an HTTPRoute whose Gateway takes it, or does not."""
    told = ("False", "NotAllowedByListeners", "no listener allows it")
    accepted = told if refused else ("True", "Accepted", "")
    return {"parents": [{"conditions": [
        said(row, "Accepted", *accepted), said(row, "ResolvedRefs", "True", "ResolvedRefs"),
    ]}]}  # fmt: skip


def admits(row: Row, *conditions: Row) -> Row:
    """The status of a Route at the cluster's router."""
    host = row["spec"].get("host", "web-shop.apps.example.org")
    return {"ingress": [{"host": host, "routerName": "default", "conditions": list(conditions) or [
        {"type": "Admitted", "status": "True"}]}]}  # fmt: skip


@pytest.fixture(autouse=True)
def _installed(kubernetes_api: Api) -> None:
    kubernetes_api.installed |= {"gateways", "httproutes", "routes"}
    kubernetes_api.controllers.says = {
        "gateways": accepts,
        "httproutes": attaches,
        "routes": admits,
    }


def routed(trial: Trial, **said: Any) -> Row:
    document: Row = trial.web("one")
    web = {**document["services"]["web"], "ports": [{"name": "http", "target": 8080}]}
    route = {"service": "web", "port": "http", **said}
    return {**document, "services": {"web": web}, "routes": [route]}


def warnings(trial: Trial, document: Row) -> list[str]:
    """What a deploy that ends well warns of."""
    events: list[Event] = []
    plan = trial.plan(document).plan
    outcome = trial.session().apply(plan, on_event=events.append)
    assert outcome.verdict is Verdict.DONE, outcome
    return [event.message for event in events if event.kind is EventKind.WARNING]


@pytest.mark.parametrize(
    ("routes", "given", "wanted"),
    [
        ("gateway", {"host": HOST}, f"http://{HOST}"),
        ("gateway", {}, "http://192.0.2.7"),
        ("route", {"host": HOST}, f"http://{HOST}"),
        ("route", {}, "http://web-shop.apps.example.org"),
        ("ingress", {"host": HOST}, f"http://{HOST}"),
    ],
)
def test_a_status_tells_where_a_route_answers(
    routes: str, given: Row, wanted: str, trial_of: Callable[..., Trial]
) -> None:
    trial = trial_of(routes=routes)
    assert warnings(trial, routed(trial, **given)) == []
    trial.eventually("it is healthy", lambda: trial.service().healthy)
    trial.eventually("it answers", lambda: trial.service().endpoints == (wanted,))


@pytest.mark.parametrize("routes", ["gateway", "route", "ingress"])
def test_an_encrypted_route_is_made_once_and_stays(
    routes: str, trial_of: Callable[..., Trial]
) -> None:
    """What the API fills in is no change, and no fault of the schemas that it is checked by."""
    trial = trial_of(routes=routes)
    document = routed(trial, host=HOST, tls={"acme": True})
    assert warnings(trial, document) == []
    assert trial.deploy(document).verdict is Verdict.UNCHANGED, trial.told()
    trial.eventually("it answers", lambda: trial.service().endpoints == (f"https://{HOST}",))


def test_a_host_goes_from_a_gateway_and_what_others_added_stays(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    trial, tls = trial_of(routes="gateway"), {"acme": True}
    document = routed(trial, host=HOST, tls=tls)
    trial.deployed(document)
    key = ("gateway.networking.k8s.io", "gateways", "shop", "shop")
    theirs = {"name": "extra", "port": 8443, "protocol": "HTTP"}
    with kubernetes_api.platform.lock:
        spec = kubernetes_api.platform.get(key)["spec"]
        change = {"spec": {"listeners": [*spec["listeners"], theirs]}}
        kubernetes_api.platform.merge(key, change, "other")
    said = 'admission webhook "w" does not support dry run'
    kubernetes_api.answer("PATCH", "/gateways", 400, said, times=99, dry=True)
    assert trial.deploy(document).verdict is Verdict.UNCHANGED
    trial.deployed(routed(trial, host="b.example.com", tls=tls))
    listeners = kubernetes_api.platform.get(key)["spec"]["listeners"]
    assert {one.get("hostname", one["name"]) for one in listeners} == {
        "http", "extra", "b.example.com",
    }  # fmt: skip
    names = {k[3] for k in kubernetes_api.platform.objects if k[1] == "httproutes"}
    assert [name for name in names if name.startswith("shop-example")] == []


def test_a_route_that_no_listener_takes_is_told(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    kubernetes_api.controllers.says["httproutes"] = lambda row: attaches(row, refused=True)
    trial = trial_of(routes="gateway")
    told = warnings(trial, routed(trial, host=HOST))
    assert len(told) == 1
    assert "is refused: NotAllowedByListeners: no listener allows it" in told[0]
    web = trial.service()
    assert (web.healthy, web.message) == (False, told[0])
    kubernetes_api.controllers.says["httproutes"] = attaches
    trial.eventually("it is healthy", lambda: trial.service().healthy)


def test_a_host_that_another_has_is_told(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    kubernetes_api.controllers.says["routes"] = lambda row: admits(row, CLAIMED)
    trial = trial_of(routes="route")
    told = warnings(trial, routed(trial, host=HOST))
    assert ["HostAlreadyClaimed" in one for one in told] == [True]
    assert not trial.service().healthy


def test_a_gateway_whose_certificate_is_missing_is_told(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    def lacks(row: Row) -> Row:
        missing = said(row, "ResolvedRefs", "False", "InvalidCertificateRef", "no such Secret")
        listener = {"name": "https", "conditions": [missing]}
        return {**accepts(row), "listeners": [listener]}

    kubernetes_api.controllers.says["gateways"] = lacks
    trial = trial_of(routes="gateway")
    told = warnings(trial, routed(trial, host=HOST))
    assert told == [
        "Gateway shop, listener https, is refused: InvalidCertificateRef: no such Secret"
    ]
    assert trial.service().message == told[0]


def test_an_address_that_is_yet_to_come_is_no_refusal(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    def waits(row: Row) -> Row:
        late = said(row, "Programmed", "False", "AddressNotAssigned", "waiting for an address")
        return {"conditions": [said(row, "Accepted", "True", "Accepted"), late]}

    kubernetes_api.controllers.says["gateways"] = waits
    trial = trial_of(routes="gateway")
    assert warnings(trial, routed(trial)) == []
    assert (trial.service().healthy, trial.service().endpoints) == (True, ())


def test_no_controller_is_waited_for_without_end(
    trial_of: Callable[..., Trial], kubernetes_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "PATIENCE", 0.5)
    kubernetes_api.controllers.says = {}
    trial = trial_of(routes="gateway")
    assert warnings(trial, routed(trial, host=HOST)) == []
    assert trial.service().healthy


def test_who_does_not_wait_hears_no_verdict(
    trial_of: Callable[..., Trial], kubernetes_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no controller is there, each route-only change would else take all the time."""
    trial = trial_of(routes="gateway")
    monkeypatch.setattr(admission, "PATIENCE", 60.0)
    trial.deployed(routed(trial, host=HOST))
    kubernetes_api.controllers.says = {}
    began = time.monotonic()
    assert trial.deploy(routed(trial, host="b.example.com"), wait=False).verdict is Verdict.DONE
    assert time.monotonic() - began < 20
    made = [row for key, row in kubernetes_api.platform.objects.items() if key[1] == "httproutes"]
    assert ["b.example.com"] in [row["spec"]["hostnames"] for row in made]


def test_what_was_said_of_an_earlier_generation_counts_no_more() -> None:
    row: Row = {"kind": "HTTPRoute", "metadata": {"name": "a", "generation": 1}}
    row["status"] = attaches(row, refused=True)
    assert admission.refusals(row)
    row["metadata"]["generation"] = 2
    assert not admission.refusals(row)
    assert not admission.is_accepted(row)


@pytest.mark.parametrize(
    ("old", "new", "given"),
    [
        ("ingress", "gateway", {"host": HOST}),
        ("gateway", "ingress", {"host": HOST}),
        ("route", "ingress", {"host": HOST}),
        ("ingress", "route", {"host": HOST, "path": "/api"}),
        ("route", "ingress", {"host": HOST, "path": "/api"}),
        ("ingress", "route", {}),
    ],
)
def test_another_kind_of_way_in_is_there_before_the_former_one_goes(
    old: str, new: str, given: Row, trial_of: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "SETTLES", 2.0)
    first, second = trial_of(routes=old), trial_of(routes=new)
    document = routed(first, **given)
    first.deployed(document)
    planned = second.plan(document).plan
    (told,) = (str(one) for one in planned.warnings if "moves from" in one.fault)
    assert told.startswith(given.get("host", "what comes for any host"))
    assert f"stay with --option routes={old}" in told
    events: list[Event] = []
    second.session().apply(planned, on_event=events.append)
    done = [event.id for event in events if event.kind is EventKind.APPLIED]
    begins = {routes: f"{way}/" for way, routes in ways.WAYS.items()}
    found = [next(routes for routes in begins if id_.startswith(begins[routes])) for id_ in done
             if id_.startswith(tuple(begins.values()))]  # fmt: skip
    assert found == [new, old]
    waited = [event.message for event in events if event.kind is EventKind.PROGRESS]
    assert any("until the new way in is served" in line for line in waited), waited
    assert second.pending(document) == []


def test_a_way_in_that_is_refused_takes_no_other_ones_place(
    trial_of: Callable[..., Trial], kubernetes_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "SETTLES", 0.5)
    first, second = trial_of(routes="ingress"), trial_of(routes="gateway")
    document = routed(first, host=HOST)
    first.deployed(document)
    kubernetes_api.controllers.says["httproutes"] = lambda row: attaches(row, refused=True)
    outcome = second.deploy(document)
    assert outcome.verdict is Verdict.ROLLED_BACK, outcome
    (why,) = outcome.failed.values()
    assert "no listener allows it; Ingress" in why
    kinds = {key[1] for key in kubernetes_api.platform.objects} & {"ingresses", "httproutes"}
    assert kinds == {"ingresses"}
    kubernetes_api.controllers.says["httproutes"] = attaches
    second.deployed(document)
    kinds = {key[1] for key in kubernetes_api.platform.objects} & {"ingresses", "httproutes"}
    assert kinds == {"httproutes"}


def ingress_class(api: Api, space: str = "shop") -> dict[str, str | None]:
    """The class of each Ingress, by its host."""
    rows = [row for key, row in api.platform.objects.items() if key[1:3] == ("ingresses", space)]
    return {row["spec"]["rules"][0]["host"]: row["spec"].get("ingressClassName") for row in rows}


def test_a_class_that_an_override_gave_holds_for_its_object_as_long_as_it_is_there(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    trial = trial_of()
    document = routed(trial, host=HOST)
    admin = {"kubernetes": {"ingress": {"spec": {"ingressClassName": "internal"}}}}
    document["services"]["adm"] = {**document["services"]["web"], "overrides": admin}
    inside = {**document["routes"][0], "service": "adm", "host": "admin.example.com"}
    document["routes"].append(inside)
    trial.deployed(document)
    assert ingress_class(kubernetes_api) == {HOST: None, "admin.example.com": "internal"}
    assert trial_of().pending(document) == []
    del document["services"]["adm"]["overrides"]
    trial_of().deployed(document)
    assert ingress_class(kubernetes_api) == {HOST: None, "admin.example.com": None}
    assert trial_of().pending(document) == []


def test_what_a_controller_makes_of_an_ingress_is_not_ours(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    """OpenShift makes a Route of each Ingress, with its labels and annotations."""
    document = routed(trial_of(), host=HOST)
    trial_of().deployed(document)
    objects = kubernetes_api.platform.objects
    (ingress,) = (row for key, row in objects.items() if key[1] == "ingresses")
    owner = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "controller": True,
             "name": ingress["metadata"]["name"], "uid": ingress["metadata"]["uid"]}  # fmt: skip
    copied = {key: ingress["metadata"][key] for key in ("labels", "annotations")}
    metadata = {"name": "made", "ownerReferences": [owner], **copied}
    body = {"apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": metadata,
            "spec": {"host": HOST, "to": {"kind": "Service", "name": "web"}}}  # fmt: skip
    key = ("route.openshift.io", "routes", "shop", "made")
    kubernetes_api.platform.create(key, body, "ingress-to-route")
    assert trial_of().pending(document) == []
    trial_of().deployed(trial_of().web("one"))
    left = {key[1] for key in kubernetes_api.platform.objects} & {"ingresses", "routes"}
    assert left == {"routes"}  # the cluster's own collector takes it along


def gateway_class(api: Api, name: str) -> None:
    """A class of Gateways that somebody installs a controller of."""
    accepted = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}
    body = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": name},
        "spec": {"controllerName": f"example.com/{name}"},
        "status": {"conditions": [accepted]},
    }
    api.installed.add("gatewayclasses")
    with api.platform.lock:
        key = ("gateway.networking.k8s.io", "gatewayclasses", "", name)
        api.platform.create(key, body, "kubectl")


def test_ways_in_stay_what_they_are_whatever_a_cluster_gets(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    document = routed(trial_of(), host=HOST)
    trial_of().deployed(document)
    gateway_class(kubernetes_api, "zeta")
    planned = trial_of().plan(document).plan
    assert planned.pending == ()
    assert any("--option routes=gateway moves them" in note for note in planned.notes)
    fresh = trial_of(name="other", namespace="other")
    assert "gateway/app" in {action.id for action in fresh.plan(document).plan.pending}


def test_a_gateway_keeps_its_class(trial_of: Callable[..., Trial], kubernetes_api: Api) -> None:
    gateway_class(kubernetes_api, "zeta")
    document = routed(trial_of(), host=HOST)
    trial_of().deployed(document)
    gateway_class(kubernetes_api, "alpha")
    assert trial_of().plan(document).plan.pending == ()
    moved = trial_of(gateway_class="alpha").plan(document).plan
    assert {action.id for action in moved.pending} == {"gateway/app"}


def test_a_fault_while_ways_in_are_looked_for_is_outlasted(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    document = routed(trial_of(), host=HOST)
    trial_of().deployed(document)
    kubernetes_api.answer("GET", "/httproutes", 500, "etcd has no leader")
    assert trial_of().plan(document).plan.pending == ()


def test_a_host_is_told_though_its_controller_is_gone(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    gateway_class(kubernetes_api, "zeta")
    document = routed(trial_of(), host=HOST)
    trial_of().deployed(document)
    with kubernetes_api.platform.lock:
        kubernetes_api.platform.remove(
            ("gateway.networking.k8s.io", "gatewayclasses", "", "zeta"), "", "Background"
        )
    left = trial_of()
    assert left.plan(document).plan.pending == ()
    left.eventually("it answers", lambda: left.service().endpoints == (f"http://{HOST}",))
