"""Fields that others own, and objects that are taken over, replaced or gone."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import Refused
from orch.types import Operation, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch.testing.conformance import Trial
    from tests.kubernetes_api.platform import Row
    from tests.kubernetes_api.server import Api

WEB = ("apps", "deployments", "shop", "web")
SCALER = ("autoscaling", "horizontalpodautoscalers", "shop", "web")


def deployment(api: Api) -> Row:
    return api.platform.objects[WEB]


def env_of(api: Api) -> dict[str, Any]:
    (container,) = deployment(api)["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value") for one in container["env"]}


def with_env(document: dict[str, Any], **more: str) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    changed["services"]["web"]["environment"] |= more
    return changed


# -- two managers ----------------------------------------------------------------------------------


def applied_by_another(api: Api, value: str) -> None:
    container = {"name": "web", "env": [{"name": "TEXT", "value": value}]}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    with api.platform.lock:
        api.platform.apply(WEB, body, "argocd", force=True, dry=False)


def test_what_another_applies_is_not_fought_over(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    trial = trial_of()
    trial.deployed(trial.web("one"))
    applied_by_another(kubernetes_api, "theirs")
    with pytest.raises(Refused) as fault:
        trial.plan(trial.web("two"))
    assert "argocd owns" in str(fault.value)
    assert "TEXT" in str(fault.value)
    assert "take_over=yes" in str(fault.value)
    (told,) = fault.value.diagnostics
    assert told.path == ("services", "web", "environment", "TEXT")
    taking = trial_of(take_over="yes")
    taking.deployed(taking.web("two"))
    assert env_of(kubernetes_api)["TEXT"] == "two"


def test_a_conflict_that_arises_after_the_plan_stops_the_step(
    trial: Trial, kubernetes_api: Api
) -> None:
    trial.deployed(trial.web("one"))
    plan = trial.plan(trial.web("two")).plan
    kubernetes_api.when(
        "PATCH", "/deployments/web", lambda: applied_by_another(kubernetes_api, "theirs"), dry=False
    )
    with pytest.raises(Exception, match="argocd owns"):
        trial.run(plan)
    assert env_of(kubernetes_api)["TEXT"] == "theirs"


# -- autoscalers -----------------------------------------------------------------------------------


def scaled_to(api: Api, size: int) -> None:
    with api.platform.lock:
        api.platform.merge(WEB, {"spec": {"replicas": size}}, "kube-controller-manager")


def autoscaled(trial: Trial, text: str) -> dict[str, Any]:
    document = trial.web(text, replicas=2)
    metric = {"type": "cpu", "target": 70}
    document["services"]["web"]["autoscale"] = {"min": 2, "max": 6, "metrics": [metric]}
    return document


def sizes_seen(api: Api) -> list[int]:
    return [one.row["spec"]["replicas"] for one in api.platform.happened if one.key == WEB]


def test_an_autoscaler_is_given_the_size_and_gives_it_back(
    trial: Trial, kubernetes_api: Api
) -> None:
    trial.deployed(trial.web("one", replicas=3))
    trial.deployed(autoscaled(trial, "one"))
    assert deployment(kubernetes_api)["spec"]["replicas"] == 3, "its size of then is kept"
    scaled_to(kubernetes_api, 5)
    assert trial.pending(autoscaled(trial, "one")) == []
    trial.deployed(autoscaled(trial, "two"))
    assert deployment(kubernetes_api)["spec"]["replicas"] == 5
    trial.deployed(trial.web("two", replicas=4))
    assert deployment(kubernetes_api)["spec"]["replicas"] == 4
    assert SCALER not in kubernetes_api.platform.objects
    assert 1 not in sizes_seen(kubernetes_api)


def test_a_size_that_changes_while_we_write_is_the_autoscalers(
    trial: Trial, kubernetes_api: Api
) -> None:
    trial.deployed(autoscaled(trial, "one"))
    plan = trial.plan(autoscaled(trial, "two")).plan
    kubernetes_api.when(
        "PATCH", "/deployments/web", lambda: scaled_to(kubernetes_api, 6), dry=False
    )
    assert trial.run(plan).verdict is Verdict.DONE
    assert deployment(kubernetes_api)["spec"]["replicas"] == 6


def test_drift_beside_a_size_by_hand_is_not_taken_for_it(trial: Trial, kubernetes_api: Api) -> None:
    document = trial.web("one", replicas=2)
    trial.deployed(document)
    trial.run(trial.session().scale_plan({"web": 3}))
    with kubernetes_api.platform.lock:
        spec = copy.deepcopy(deployment(kubernetes_api)["spec"])
        spec["template"]["spec"]["containers"][0]["env"][0]["value"] = "theirs"
        kubernetes_api.platform.merge(WEB, {"spec": spec}, "kubectl-set")
    plan = trial.plan(document).plan
    (note,) = [note for note in plan.notes if "scaled by hand" in note]
    assert note.endswith("this takes back: spec.replicas")
    (action,) = plan.pending
    assert len(action.changes) > 1


# -- made by hand ----------------------------------------------------------------------------------


def by_hand(trial: Trial, document: dict[str, Any]) -> Row:
    resources = trial.backend.compile(trial.app(document)).resources
    body = next(dict(r.body) for r in resources if r.id == "service/web")
    return copy.deepcopy(body)


def test_what_kubectl_made_is_adopted_and_lets_go_of_its_fields(
    trial: Trial, kubernetes_api: Api
) -> None:
    full = with_env(trial.web("one"), EXTRA="yes")
    body = by_hand(trial, full)
    with kubernetes_api.platform.lock:
        kubernetes_api.platform.make_namespace("shop")
        kubernetes_api.platform.create(WEB, body, "kubectl-client-side-apply")
    operations = {action.id: action.operation for action in trial.plan(full).plan.pending}
    assert operations["service/web"] is Operation.ADOPT
    trial.deployed(full)
    assert trial.pending(full) == []
    trial.deployed(trial.web("one"))
    assert "EXTRA" not in env_of(kubernetes_api)


# -- what can't be changed -------------------------------------------------------------------------


def test_what_can_not_be_changed_is_replaced_and_keeps_its_data(
    trial: Trial, kubernetes_api: Api
) -> None:
    def document(**deploy: Any) -> dict[str, Any]:
        made = trial.web("one", **deploy)
        made["services"]["web"]["volumes"] = [
            {"type": "volume", "source": "data", "target": "/data"}
        ]
        return {**made, "volumes": {"data": {"access": "shared"}}}

    trial.deployed(document())
    claim = ("", "persistentvolumeclaims", "shop", "data")
    before = kubernetes_api.platform.objects[claim]["metadata"]["uid"]
    pending = trial.plan(document(ordered=True)).plan.pending
    operations = {action.id: action.operation for action in pending}
    assert operations["service/web"] is Operation.REPLACE
    trial.deployed(document(ordered=True))
    assert WEB not in kubernetes_api.platform.objects
    assert ("apps", "statefulsets", "shop", "web") in kubernetes_api.platform.objects
    assert kubernetes_api.platform.objects[claim]["metadata"]["uid"] == before


def test_claims_that_a_new_statefulset_finds_keep_their_size_and_it_is_said(
    trial: Trial,
) -> None:
    def document(size: str) -> dict[str, Any]:
        made = trial.web("one")
        mount = {"type": "volume", "source": "data", "target": "/data"}
        made["services"]["web"]["volumes"] = [mount]
        return {**made, "volumes": {"data": {"per_replica": True, "size": size}}}

    trial.deployed(document("5M"))
    plan = trial.plan(document("9M")).plan
    (action,) = [a for a in plan.pending if a.id == "service/web"]
    assert action.operation is Operation.REPLACE
    (warning,) = [w for w in plan.warnings if "keep their size" in w.fault]
    assert "data (5Mi)" in warning.fault


# -- jobs that go ----------------------------------------------------------------------------------


def test_a_job_that_the_cluster_removed_after_its_time_counts_as_there(
    trial: Trial, kubernetes_api: Api
) -> None:
    document = {"jobs": {"prepare": trial.shell("echo done", ttl="1m")}}
    trial.deployed(document)
    with kubernetes_api.platform.lock:
        kubernetes_api.platform.forget(("batch", "jobs", "shop", "prepare"))
    assert trial.pending(document) == []
    assert trial.session().drift() == ()
    changed = {"jobs": {"prepare": trial.shell("echo more", ttl="1m")}}
    assert [id_ for _, id_ in trial.pending(changed)] == ["job/prepare"]
    trial.deployed(changed)
    trial.down()
    assert list(trial.backend.store(trial.instance).names()) == []
