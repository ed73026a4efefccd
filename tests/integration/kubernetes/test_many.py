"""Many objects at once: each is looked at before it is written; that all are gone, together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from orch_kubernetes.api.kinds import Kind
from orch_kubernetes.backend import KubernetesBackend
from orch_kubernetes.change.absence import FEW, Absence

if TYPE_CHECKING:
    from orch.testing.conformance import Trial
    from tests.kubernetes_api.server import Api

MANY = 40


def many(trial: Trial) -> dict[str, Any]:
    return {"services": {f"s{n}": trial.web_service() for n in range(MANY)}}


def gets(api: Api, plural: str) -> int:
    """How often single objects of a kind were read."""
    return sum(method == "GET" and f"/{plural}/s" in path for method, path in api.calls)


def test_what_appears_before_its_step_is_never_written_over(
    trial: Trial, kubernetes_api: Api
) -> None:
    plan = trial.plan(many(trial)).plan
    key = ("apps", "deployments", "shop", f"s{MANY - 1}")
    container = {"name": "theirs", "image": "busybox:1"}
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [container]}}
    theirs = {"selector": {"matchLabels": {"app": "x"}}, "template": template}
    platform = kubernetes_api.platform

    def appear() -> None:
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": key[3]}}
        platform.create(key, {**body, "spec": theirs}, "kubectl")

    kubernetes_api.when("PATCH", "/deployments/s0[?]", appear)
    outcome = trial.run(plan, wait=False, rollback=False)
    assert "has appeared meanwhile" in outcome.failed[f"service/s{MANY - 1}"], outcome
    assert platform.objects[key]["spec"]["selector"] == theirs["selector"]


@pytest.mark.parametrize("many_ask", [False, True])
def test_an_object_is_gone_once_another_has_its_name(
    trial: Trial, kubernetes_api: Api, *, many_ask: bool
) -> None:
    trial.session().apply(trial.plan(trial.web()).plan, wait=False)
    platform, key = kubernetes_api.platform, ("apps", "deployments", "shop", "web")
    assert isinstance(trial.backend, KubernetesBackend)
    kind, absence = Kind("Deployment", "apps/v1", "deployments"), Absence(trial.backend.client)
    body, uid = platform.objects[key], platform.objects[key]["metadata"]["uid"]

    def gone() -> bool:
        for _ in range(FEW if many_ask else 0):
            absence.is_gone(kind, "shop", "web", uid, time.monotonic())
        return absence.is_gone(kind, "shop", "web", uid, time.monotonic())

    assert not gone()
    with platform.lock:
        platform.forget(key)
    assert gone()
    with platform.lock:
        platform.create(key, {**body, "metadata": {"name": "web"}}, "kubectl")
    assert gone()
    listed = [path for _, path in kubernetes_api.calls if path.endswith("/deployments?limit=500")]
    assert bool(listed) is many_ask


def test_objects_that_are_removed_are_waited_for_together(
    trial: Trial, kubernetes_api: Api
) -> None:
    trial.session().apply(trial.plan(many(trial)).plan, wait=False)
    kubernetes_api.calls.clear()
    trial.down()
    assert not kubernetes_api.platform.listed("apps", "deployments", "shop", "")
    assert gets(kubernetes_api, "deployments") <= 2 * MANY + FEW
