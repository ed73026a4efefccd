"""What goes wrong between us and a cluster: told in our words, and lived with where that helps."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import Denied, Refused, Transient, Unreachable
from orch.types import EventKind, Operation, Verdict
from orch_kubernetes.api import client as client_module
from orch_kubernetes.watch import hopes

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch.testing.conformance import Trial
    from tests.kubernetes_api.platform import Row
    from tests.kubernetes_api.server import Api

WEB = ("apps", "deployments", "shop", "web")
WEBHOOK = 'admission webhook "rules.example.com"'


def deployment(api: Api) -> Row:
    return api.platform.objects[WEB]


def text_of(api: Api) -> Any:
    (container,) = deployment(api)["spec"]["template"]["spec"]["containers"]
    return next(one["value"] for one in container["env"] if one["name"] == "TEXT")


# -- calls that are refused ------------------------------------------------------------------------


def test_a_throttled_call_is_made_again_when_the_api_says(
    trial: Trial, kubernetes_api: Api
) -> None:
    kubernetes_api.answer("PATCH", "/deployments/", 429, times=2, headers={"Retry-After": "1"})
    trial.deployed(trial.web())


def test_a_server_that_fails_for_a_moment_is_asked_again(trial: Trial, kubernetes_api: Api) -> None:
    kubernetes_api.answer("PATCH", "/deployments/", 500, times=1)
    kubernetes_api.answer("GET", "/services", 503, times=1)
    trial.deployed(trial.web())


def test_a_server_that_goes_on_failing_is_told(trial: Trial, kubernetes_api: Api) -> None:
    kubernetes_api.answer("GET", "/version", 503, "etcd is away", times=99)
    with pytest.raises(Transient, match="etcd is away"):
        trial.plan(trial.web())


def test_a_write_whose_answer_got_lost_is_not_done_twice(trial: Trial, kubernetes_api: Api) -> None:
    kubernetes_api.answer("PATCH", "/deployments/web", 504, times=1, after=True)
    trial.deployed(trial.web())
    assert deployment(kubernetes_api)["metadata"]["generation"] == 1
    assert trial.pending(trial.web()) == []


def test_a_connection_that_is_cut_while_it_writes_is_told(
    trial: Trial, kubernetes_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "OUTLASTED", 1.0)
    trial.deployed(trial.web("one"))
    kubernetes_api.cut("PATCH", "/deployments/web\\?(?!.*dryRun)", times=99)
    plan = trial.plan(trial.web("two")).plan
    with pytest.raises(Unreachable, match=r"does not answer: [A-Z]") as fault:
        trial.run(plan)
    assert "(" not in fault.value.fault.partition(";")[0], "no value of Python's is shown"
    kubernetes_api.faults.clear()
    trial.deployed(trial.web("two"))
    assert text_of(kubernetes_api) == "two"


@pytest.mark.parametrize("method", ["GET", "PATCH", "POST"])
def test_an_api_that_is_started_anew_is_outlasted(
    trial: Trial, kubernetes_api: Api, method: str
) -> None:
    trial.plan(trial.web())
    kubernetes_api.cut(method, "/namespaces/shop/(deployments|secrets)", times=2)
    kubernetes_api.cut(method, "/namespaces/shop/(services|leases)", times=1, after=True)
    trial.deployed(trial.web())
    assert trial.pending(trial.web()) == []


def test_an_api_that_never_answered_is_not_waited_for(trial: Trial, kubernetes_api: Api) -> None:
    kubernetes_api.cut("GET", ".", times=99)
    began = time.monotonic()
    with pytest.raises(Unreachable, match="does not answer"):
        trial.plan(trial.web())
    assert time.monotonic() - began < client_module.OUTLASTED / 2


def test_a_right_that_is_missing_is_named(trial: Trial, kubernetes_api: Api) -> None:
    said = (
        'deployments.apps "web" is forbidden: User "me" cannot patch resource "deployments" in '
        'API group "apps" in the namespace "shop"'
    )
    trial.deployed(trial.web("one"))
    kubernetes_api.answer("PATCH", "/deployments/", 403, said, times=99)
    with pytest.raises(Denied) as fault:
        trial.plan(trial.web("two"))
    assert "can-i patch deployments.apps -n shop" in fault.value.mend


def test_kinds_that_may_not_be_seen_are_not_needed(trial: Trial, kubernetes_api: Api) -> None:
    kubernetes_api.answer("GET", "/networkpolicies", 403, "forbidden", times=999)
    trial.deployed(trial.web())
    assert trial.pending(trial.web()) == []


def test_a_namespace_that_may_not_be_made_says_how_to_go_on(
    trial: Trial, kubernetes_api: Api
) -> None:
    kubernetes_api.answer("POST", "/namespaces$", 403, "namespaces is forbidden", times=99)
    with pytest.raises(Denied, match="shop") as fault:
        trial.deploy(trial.web())
    assert "kubectl create namespace shop" in fault.value.mend


def test_an_admission_that_refuses_is_told_by_the_plan(trial: Trial, kubernetes_api: Api) -> None:
    trial.deployed(trial.web("one"))
    said = f"{WEBHOOK} denied the request: no owner is named"
    kubernetes_api.answer("PATCH", "/deployments/", 403, said, times=99)
    with pytest.raises(Refused, match="no owner is named"):
        trial.plan(trial.web("two"))


def test_a_value_that_is_refused_is_told_with_its_field(trial: Trial, kubernetes_api: Api) -> None:
    trial.deployed(trial.web("one"))
    cause = {"field": "spec.template.spec.containers[0].image", "message": "Required value"}
    kubernetes_api.answer("PATCH", "/deployments/", 422, "invalid", causes=[cause], times=99)
    with pytest.raises(Refused, match=r"containers\[0\]\.image: Required value") as fault:
        trial.plan(trial.web("two"))
    (told,) = fault.value.diagnostics
    assert told.path == ("services", "web", "image")


def test_a_claim_that_can_not_grow_is_told_at_its_size(trial: Trial, kubernetes_api: Api) -> None:
    def sized(size: str) -> Row:
        made = trial.web("one")
        mount = {"type": "volume", "source": "data", "target": "/data"}
        made["services"]["web"]["volumes"] = [mount]
        return {**made, "volumes": {"data": {"access": "shared", "size": size}}}

    trial.deployed(sized("10M"))
    said = (
        'persistentvolumeclaims "data" is forbidden: only dynamically provisioned pvc can be '
        "resized and the storageclass that provisions the pvc must support resize"
    )
    kubernetes_api.answer("PATCH", "/persistentvolumeclaims/", 403, said, times=99)
    with pytest.raises(Refused) as fault:
        trial.plan(sized("20M"))
    (told,) = fault.value.diagnostics
    assert told.path == ("volumes", "data", "size")
    assert "allowVolumeExpansion" in told.mend
    assert "log in" not in str(fault.value)


def test_a_job_that_was_deleted_and_not_made_anew_is_made_by_the_next_deploy(
    trial: Trial, kubernetes_api: Api
) -> None:
    def jobs() -> list[Row]:
        return [row for key, row in kubernetes_api.platform.objects.items() if key[1] == "jobs"]

    trial.deployed({"jobs": {"prepare": trial.shell("echo one")}})
    (first,) = jobs()
    changed = {"jobs": {"prepare": trial.shell("echo two")}}
    there: list[list[Row]] = []
    kubernetes_api.when("PATCH", "/jobs/prepare", lambda: there.append(jobs()), dry=False)
    kubernetes_api.answer("PATCH", "/jobs/prepare", 403, "no right to", times=1, dry=False)
    plan = trial.plan(changed).plan
    assert [action.operation for action in plan.pending] == [Operation.REPLACE]
    with pytest.raises(Denied, match="no right to"):
        trial.run(plan, rollback=False)
    assert there == [[]], "no two versions of a job run side by side"
    assert jobs() == []
    assert trial.pending(changed) == [(Operation.CREATE, "job/prepare")]
    trial.deployed(changed)
    (second,) = jobs()
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert trial.pending(changed) == []


# -- watches ---------------------------------------------------------------------------------------


def test_watches_that_are_cut_are_begun_again(trial: Trial, kubernetes_api: Api) -> None:
    kubernetes_api.cut("GET", "watch=true", times=4)
    trial.deployed(trial.web())


def test_a_watch_that_comes_too_late_lists_again(trial: Trial, kubernetes_api: Api) -> None:
    kubernetes_api.answer("GET", "watch=true", 410, "too old resource version", times=3)
    trial.deployed(trial.web())


def test_what_the_controller_has_not_seen_is_not_ready(trial: Trial, kubernetes_api: Api) -> None:
    trial.deployed(trial.web("one"))
    kubernetes_api.controllers.asleep.set()
    ready = deployment(kubernetes_api)["status"]
    plan, looked = trial.plan(trial.web("two")).plan, threading.Event()
    seen: list[EventKind] = []

    def hear(event: Any) -> None:
        if event.id == "service/web":
            seen.append(event.kind)
            if event.kind is EventKind.PROGRESS:
                looked.set()

    outcome: list[Any] = []
    session = trial.session()
    deploy = threading.Thread(target=lambda: outcome.append(session.apply(plan, on_event=hear)))
    deploy.start()
    assert looked.wait(30)
    assert deployment(kubernetes_api)["status"] == ready, "all of one are ready, as before"
    assert not trial.status().healthy
    assert EventKind.HEALTHY not in seen
    kubernetes_api.controllers.asleep.clear()
    deploy.join(60)
    assert outcome[0].verdict is Verdict.DONE
    assert trial.status().healthy


# -- what will never run -------------------------------------------------------------------------


def of_image(document: Row, image: str, deadline: str) -> Row:
    service = document["services"]["web"] | {"image": image}
    service["deploy"] = {"update_config": {"progress_deadline": deadline}}
    return {**document, "services": {"web": service}}


@pytest.mark.parametrize("image", ["bad/name", "gone/image"])
def test_an_image_that_no_waiting_brings_fails_before_the_deadline(
    trial: Trial, monkeypatch: pytest.MonkeyPatch, image: str
) -> None:
    monkeypatch.setattr(hopes, "PULL_SECONDS", 2.0)
    trial.deployed(trial.web("one"))
    outcome = trial.deploy(of_image(trial.web("two"), image, "10m"))
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert "waiting would not help" in trial.told()
    assert f"web: {'Invalid' if image == 'bad/name' else ''}Image" in trial.told()


def test_a_registry_that_does_not_answer_is_waited_for(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hopes, "PULL_SECONDS", 0.0)
    trial.deployed(trial.web("one"))
    outcome = trial.deploy(of_image(trial.web("two"), "slow/image", "2s"))
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert "waiting would not help" not in trial.told()
    assert "timed out progressing" in trial.told()


# -- dry runs --------------------------------------------------------------------------------------


def test_a_plan_without_a_namespace_says_that_it_is_not_verified(trial: Trial) -> None:
    (warning,) = trial.plan(trial.web()).plan.warnings
    assert "the namespace shop is made by the deploy" in warning.fault


def test_a_kind_that_is_not_installed_is_told_by_the_plan(trial_of: Callable[..., Trial]) -> None:
    trial = trial_of(routes="gateway")
    document = trial.web("one")
    document["routes"] = [{"host": "shop.example.com", "service": "web", "port": "http"}]
    with pytest.raises(Refused, match="the cluster has no HTTPRoute") as fault:
        trial.plan(document)
    assert "install what brings it" in str(fault.value)


def test_a_webhook_that_refuses_dry_runs_leaves_the_plan_to_us(
    trial: Trial, kubernetes_api: Api
) -> None:
    trial.deployed(trial.web("one"))
    said = f"{WEBHOOK} does not support dry run"
    kubernetes_api.answer("PATCH", "/deployments/", 400, said, times=99, dry=True)
    plan = trial.plan(trial.web("two")).plan
    (action,) = plan.pending
    assert [(c.old, c.new) for c in action.changes] == [("one", "two")]
    assert any("does not support dry run" in one.fault for one in plan.warnings)
    assert trial.run(plan).verdict is Verdict.DONE


def test_an_unchanged_application_needs_no_dry_run(trial: Trial, kubernetes_api: Api) -> None:
    document = trial.web("one", resources={"limits": {"cpus": 0.5}})
    trial.deployed(document)
    kubernetes_api.calls.clear()
    assert trial.pending(document) == []
    assert [path for method, path in kubernetes_api.calls if method != "GET"] == []


# -- those who share a namespace -------------------------------------------------------------------


def test_a_name_that_another_has_taken_is_refused(trial_of: Callable[..., Trial]) -> None:
    first, second = trial_of("one", "shared"), trial_of("two", "shared")
    first.deployed(first.web())
    with pytest.raises(Refused, match="belongs to kubernetes/shared/one"):
        second.plan(second.web())
