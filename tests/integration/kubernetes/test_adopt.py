"""What kubectl and Helm made and orch takes over: in place, with its own selector, and told."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import Refused
from orch.types import Op, Operation, render_path
from tests.kubernetes_api.controllers import is_ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch.testing.conformance import Trial
    from tests.kubernetes_api.platform import Row
    from tests.kubernetes_api.server import Api

WEB = ("apps", "deployments", "shop", "web")
SERVICE = ("", "services", "shop", "web")
RECORD = ("", "secrets", "shop", "sh.helm.release.v1.store.v1")
THEIRS = {"app.kubernetes.io/name": "web", "app.kubernetes.io/instance": "store"}


def labelled(trial: Trial, text: str = "one") -> Row:
    document = trial.web(text)
    document["services"]["web"]["labels"] = THEIRS
    return document


def chart(trial: Trial, api: Api, manager: str = "helm", *, kept: bool = True) -> None:
    """A Deployment as a chart makes it: with selectors and marks of its own."""
    resources = trial.backend.compile(trial.app(labelled(trial))).resources
    body = copy.deepcopy(next(dict(r.body) for r in resources if r.id == "service/web"))
    body["spec"]["selector"] = {"matchLabels": THEIRS}
    body["spec"]["template"]["metadata"]["labels"] = dict(THEIRS)
    body["spec"]["revisionHistoryLimit"] = 5
    body["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "Helm"}
    marks = {"meta.helm.sh/release-name": "store", "meta.helm.sh/release-namespace": "shop"}
    body["metadata"]["annotations"] = marks
    with api.platform.lock:
        api.platform.make_namespace("shop")
        if manager == "helm":
            api.platform.create(WEB, body, "helm")
            port = {"name": "http", "port": 8080}
            service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
            service["spec"] = {"selector": THEIRS, "ports": [port]}
            api.platform.create(SERVICE, service, "helm")
        else:
            api.platform.apply(WEB, body, "helm", force=False, dry=False)
        if kept:
            labels = {"owner": "helm", "name": "store", "status": "deployed"}
            record = {"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1"}
            record["metadata"] = {"name": RECORD[3], "labels": labels}  # type: ignore[assignment]
            api.platform.create(RECORD, record, "helm")


def told(plan: Any) -> list[Any]:
    return [warning for warning in plan.warnings if "Helm" in warning.fault]


def test_a_release_of_helm_is_taken_over_in_place(trial: Trial, kubernetes_api: Api) -> None:
    chart(trial, kubernetes_api)
    uid = kubernetes_api.platform.objects[WEB]["metadata"]["uid"]
    plan = trial.plan(labelled(trial, "two")).plan
    operations = {action.id: action.operation for action in plan.pending}
    assert operations["service/web"] is Operation.ADOPT
    (warning,) = told(plan)
    assert "release 'store' of Helm" in warning.fault
    assert "kubectl delete secret -n shop -l owner=helm,name=store" in warning.mend
    trial.deployed(labelled(trial, "two"))
    row = kubernetes_api.platform.objects[WEB]
    assert row["metadata"]["uid"] == uid
    assert row["spec"]["selector"] == {"matchLabels": THEIRS}
    assert trial.pending(labelled(trial, "two")) == []
    trial.deployed(labelled(trial, "three"))
    assert trial.pending(labelled(trial, "three")) == []


def test_what_the_spec_does_not_have_goes_and_the_plan_shows_it(
    trial: Trial, kubernetes_api: Api
) -> None:
    chart(trial, kubernetes_api)
    extra = {"name": "extra", "image": "busybox:1"}
    with kubernetes_api.platform.lock:
        spec = copy.deepcopy(kubernetes_api.platform.objects[WEB]["spec"])
        spec["template"]["spec"]["containers"].append(extra)
        spec["template"]["spec"]["containers"][0]["env"].append({"name": "MORE", "value": "1"})
        kubernetes_api.platform.merge(WEB, {"spec": spec}, "kubectl-edit")
    plan = trial.plan(labelled(trial, "two")).plan
    (action,) = [a for a in plan.pending if a.id == "service/web"]
    gone = {render_path(c.path) for c in action.changes if c.op is Op.REMOVE}
    assert {
        "spec.template.spec.containers.extra",
        "spec.template.spec.containers.web.env.MORE",
    } <= gone
    trial.deployed(labelled(trial, "two"))
    (container,) = kubernetes_api.platform.objects[WEB]["spec"]["template"]["spec"]["containers"]
    assert "MORE" not in {one["name"] for one in container["env"]}
    assert trial.pending(labelled(trial, "two")) == []


def test_once_helm_forgot_the_release_nothing_is_told(trial: Trial, kubernetes_api: Api) -> None:
    chart(trial, kubernetes_api, kept=False)
    assert told(trial.plan(labelled(trial)).plan) == []


def test_a_record_that_may_not_be_seen_is_taken_for_granted(
    trial: Trial, kubernetes_api: Api
) -> None:
    chart(trial, kubernetes_api, kept=False)
    said = 'secrets is forbidden: User "me" cannot list resource "secrets"'
    kubernetes_api.answer("GET", "/secrets.*owner", 403, said, times=99)
    assert len(told(trial.plan(labelled(trial)).plan)) == 1


def test_what_helm_applies_by_itself_is_a_conflict_until_it_is_taken(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    trial = trial_of()
    chart(trial, kubernetes_api, "helm apply")
    with pytest.raises(Refused, match="helm owns") as fault:
        trial.plan(labelled(trial, "two"))
    assert "take_over=yes" in str(fault.value)
    assert "owner=helm,name=RELEASE" in str(fault.value)
    bold = trial_of(take_over="yes")
    bold.deployed(labelled(trial, "two"))
    assert bold.pending(labelled(trial, "two")) == []


def test_labels_that_are_missing_for_it_are_named(trial: Trial, kubernetes_api: Api) -> None:
    chart(trial, kubernetes_api)
    with pytest.raises(Refused) as fault:
        trial.plan(trial.web("two"))
    assert "app.kubernetes.io/name: web" in str(fault.value)
    assert "was made by hand" in str(fault.value)


def test_what_was_imported_is_adopted(trial: Trial, kubernetes_api: Api) -> None:
    chart(trial, kubernetes_api)
    reading = trial.read_live("store", "shop")
    document = {**reading.document, "name": "shop"}
    operations = {action.id: action.operation for action in trial.plan(document).plan.pending}
    assert operations["service/web"] is Operation.ADOPT
    trial.deployed(document)
    assert trial.pending(document) == []


def test_a_service_leads_to_the_old_pods_until_new_ones_are_healthy(
    trial: Trial, kubernetes_api: Api
) -> None:
    chart(trial, kubernetes_api)
    trial.deployed(labelled(trial, "two"))
    selectors = [
        (one.row["spec"]["selector"], ready_pods(kubernetes_api, one.version))
        for one in kubernetes_api.platform.happened
        if one.key == SERVICE
    ]
    ours = {"orch/app": "shop", "orch/service": "web"}
    assert selectors[-1][0] == ours
    for selector, pods in selectors:
        if pods:
            assert any(selector.items() <= labels.items() for labels in pods), selector


def ready_pods(api: Api, version: int) -> list[dict[str, str]]:
    """The labels of all pods that were ready at a moment."""
    seen: dict[str, Row] = {}
    for one in api.platform.happened:
        if one.key[1] == "pods" and one.version <= version:
            seen[one.key[3]] = {} if one.type == "DELETED" else one.row
    return [row["metadata"]["labels"] for row in seen.values() if row and is_ready(row)]
