"""A deploy ends, and a status is healthy, once requests reach what runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from orch.types import EventKind, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch.testing.conformance import Trial
    from tests.kubernetes_api.server import Api

PACE = {"update_config": {"progress_deadline": "2s", "monitor": "0s"}}
REFUSAL = {
    "apiVersion": "v1", "kind": "Event", "metadata": {"name": "web-published.1"},
    "involvedObject": {"kind": "Service", "name": "web-published", "namespace": "shop"},
    "reason": "SyncLoadBalancerFailed", "message": "no quota for addresses is left",
    "type": "Warning", "lastTimestamp": "2026-01-01T00:00:00Z",
}  # fmt: skip


@pytest.fixture
def balanced(trial_of: Callable[..., Trial]) -> Trial:
    return trial_of(load_balancer="yes")


def published(trial: Trial, text: str = "one", **deploy: Any) -> dict[str, Any]:
    document = trial.web(text, **(deploy or PACE))
    ports = [{"name": "http", "target": 8080, "published": 80}]
    document["services"]["web"] = {**document["services"]["web"], "ports": ports}
    return document


def no_address(api: Api) -> None:
    api.controllers.balances = False
    if ("", "namespaces", "", "shop") not in api.platform.objects:
        api.platform.make_namespace("shop")
    key = ("", "events", "shop", "web-published.1")
    api.platform.create(key, dict(REFUSAL), "service-controller")


def test_a_service_without_an_address_fails_with_its_events(
    balanced: Trial, kubernetes_api: Api
) -> None:
    no_address(kubernetes_api)
    outcome = balanced.deploy(published(balanced))
    assert outcome.verdict is Verdict.FAILED
    said = outcome.failed["service/web"]
    assert "1 of 1 ready; web-published has no address yet after 2 s" in said
    assert "no quota for addresses is left" in said


def test_a_port_that_is_published_later_is_waited_for_too(
    balanced: Trial, kubernetes_api: Api
) -> None:
    """The workload itself stays as it is, and yet the deploy ends with its way in."""
    balanced.deployed(balanced.web(**PACE))
    no_address(kubernetes_api)
    outcome = balanced.deploy(published(balanced))
    assert outcome.verdict is Verdict.ROLLED_BACK, balanced.told()
    assert "no address" in outcome.failed["service/web"]
    assert ("", "services", "shop", "web-published") not in kubernetes_api.platform.objects
    kubernetes_api.controllers.balances = True
    balanced.deployed(published(balanced))
    assert balanced.service().endpoints == ("192.0.2.1:80",)


def test_status_tells_that_an_address_is_missing(balanced: Trial, kubernetes_api: Api) -> None:
    no_address(kubernetes_api)
    balanced.run(balanced.plan(published(balanced)).plan, wait=False)
    said = "web-published has no address yet"
    balanced.eventually("it is told", lambda: balanced.service().message == said)
    web = balanced.service()
    assert (web.ready, web.healthy, web.message) == (1, False, said)
    assert any("no quota" in line for line in balanced.why())
    kubernetes_api.controllers.balances = True
    balanced.eventually("it is healthy", lambda: balanced.service().healthy)


def test_an_address_holds_up_the_one_service_that_it_leads_to(
    balanced: Trial, kubernetes_api: Api
) -> None:
    no_address(kubernetes_api)
    document = published(balanced)
    document["services"]["api"] = balanced.web_service(**PACE)
    balanced.run(balanced.plan(document).plan, wait=False)
    balanced.eventually("the other is healthy", lambda: balanced.service("api").healthy)
    balanced.eventually("its pod is ready", lambda: balanced.service().ready == 1)
    assert not balanced.service().healthy


def test_without_a_load_balancer_none_is_waited_for(trial: Trial, kubernetes_api: Api) -> None:
    kubernetes_api.controllers.balances = False
    trial.deployed(published(trial))
    assert trial.service().healthy


def test_a_deploy_ends_once_the_endpoints_know_the_replicas(
    trial: Trial, kubernetes_api: Api
) -> None:
    controllers = kubernetes_api.controllers
    controllers.notes_endpoints = False
    waits = threading.Event()

    def note(event: Any) -> None:
        if event.kind is EventKind.PROGRESS and "among the endpoints of web" in event.message:
            waits.set()
            controllers.notes_endpoints = True

    plan = trial.plan(trial.web("one", replicas=2)).plan
    outcome = trial.session().apply(plan, on_event=note)
    assert outcome.verdict is Verdict.DONE
    assert waits.is_set()


def test_who_may_not_see_endpoints_deploys_all_the_same(trial: Trial, kubernetes_api: Api) -> None:
    kubernetes_api.answer("GET", "/endpointslices", 403, "forbidden", times=99)
    trial.deployed(trial.web("one"))
    assert trial.service().healthy
