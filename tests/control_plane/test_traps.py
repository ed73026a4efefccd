"""What only a real cluster shows: owners of fields, rights, quotas, controllers, a dying API."""

from __future__ import annotations

import copy
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import OrchError
from orch.testing.conformance import Trial
from orch.types import EventKind, Operation, Verdict
from orch_kubernetes.backend import KubernetesBackend

if TYPE_CHECKING:
    from pathlib import Path

    from orch.types import Event
    from tests.control_plane.conftest import KubernetesCluster

pytestmark = [pytest.mark.optional, pytest.mark.slow, pytest.mark.timeout(300)]
APPLY = "application/apply-patch+yaml"
Row = dict[str, Any]


class Place:
    """The namespace of a trial, as others who work in it see it."""

    def __init__(self, trial: Trial) -> None:
        self.name = trial.instance.name
        self.client = trial.backend.client  # type: ignore[attr-defined]

    def path(self, plural: str, name: str = "", group: str = "") -> str:
        root = f"/apis/{group}/v1" if group else "/api/v1"
        return f"{root}/namespaces/{self.name}/{plural}" + (f"/{name}" if name else "")

    def deployment(self, name: str = "web") -> Row:
        row: Row = self.client.get(self.path("deployments", name, "apps"))
        return row

    def create(self, plural: str, body: Row, group: str = "", manager: str = "kubectl") -> Row:
        made: Row = self.client.request(
            "POST", self.path(plural, group=group), body, query={"fieldManager": manager}
        )
        return made

    def apply_as(self, manager: str, spec: Row, name: str = "web") -> None:
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}}
        self.client.request(
            "PATCH",
            self.path("deployments", name, "apps"),
            {**body, "spec": spec},
            query={"fieldManager": manager, "force": "true"},
            kind=APPLY,
        )


@pytest.fixture
def place(trial: Trial) -> Place:
    return Place(trial)


def with_service(document: Row, **fields: Any) -> Row:
    changed = copy.deepcopy(document)
    changed["services"]["web"] |= fields
    return changed


def taking_over(trial: Trial, cluster: KubernetesCluster) -> Trial:
    options = {"kubeconfig": str(cluster.kubeconfig), "take_over": "yes"}
    return Trial(KubernetesBackend(options), trial.workload, "default", trial.instance.name)


def test_what_another_applies_is_refused_with_its_name_until_it_is_taken_over(
    trial: Trial, place: Place, kubernetes_cluster: KubernetesCluster
) -> None:
    trial.deployed(trial.web("one"))
    container = {"name": "web", "env": [{"name": "TEXT", "value": "theirs"}]}
    place.apply_as("argocd", {"template": {"spec": {"containers": [container]}}})
    with pytest.raises(OrchError) as fault:
        trial.plan(trial.web("one"))
    assert "argocd owns spec.template.spec.containers.web.env.TEXT.value" in str(fault.value)
    bold = taking_over(trial, kubernetes_cluster)
    bold.deployed(trial.web("one"))
    bold.backend.close()  # type: ignore[attr-defined]
    assert trial.pending(trial.web("one")) == []


def test_an_autoscaler_takes_and_gives_back_the_size_without_a_drop(
    trial: Trial, place: Place
) -> None:
    fixed = trial.web(replicas=3)
    scaled = with_service(
        trial.web(resources={"reservations": {"cpus": "0.01"}}),
        autoscale={"min": 3, "max": 5, "metrics": [{"type": "cpu", "target": 70}]},
    )
    trial.deployed(fixed)
    seen, end = set(), threading.Event()

    def look() -> None:
        while not end.wait(0.05):
            seen.add(place.deployment()["spec"]["replicas"])

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        trial.deployed(scaled)
        assert trial.pending(scaled) == []
        trial.deployed(fixed)
    finally:
        end.set()
        watcher.join()
    assert seen == {3}


def test_a_replica_that_keeps_its_name_and_is_stuck_is_rolled_back(trial: Trial) -> None:
    kept = {"type": "volume", "source": "data", "target": "/data"}
    document = {**trial.web("one"), "volumes": {"data": {"size": "1M"}}}
    document["services"]["web"]["volumes"] = [kept]
    trial.deployed(document)
    broken = with_service(document, **trial.workload.unstartable())
    broken["services"]["web"]["deploy"]["update_config"]["progress_deadline"] = "20s"
    assert trial.deploy(broken).verdict is Verdict.ROLLED_BACK
    assert trial.service().healthy
    assert trial.pending(document) == []


def test_a_quota_that_is_used_up_is_told_by_the_rollout(trial: Trial, place: Place) -> None:
    quota = {"metadata": {"name": "small"}, "spec": {"hard": {"pods": "1"}}}
    place.create("resourcequotas", {"apiVersion": "v1", "kind": "ResourceQuota", **quota})
    document = trial.web(replicas=2, update_config={"progress_deadline": "15s"})
    outcome = trial.deploy(document)
    assert outcome.verdict is Verdict.FAILED
    assert "exceeded quota: small" in trial.told()


def test_rights_that_are_lacking_are_named(
    trial: Trial, place: Place, tmp_path: Path, kubernetes_cluster: KubernetesCluster
) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "guest"}}
    place.create("serviceaccounts", account)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = place.path("serviceaccounts", "guest/token")
    token = place.client.request("POST", path, asked)["status"]["token"]
    config = as_user(kubernetes_cluster.kubeconfig, token)
    (tmp_path / "guest").write_text(json.dumps(config))
    guest = KubernetesBackend({"kubeconfig": str(tmp_path / "guest"), "flavour": "plain"})
    theirs = Trial(guest, trial.workload, "default", trial.instance.name)
    with pytest.raises(OrchError) as fault:
        theirs.plan(theirs.web())
    guest.close()
    said = str(fault.value)
    assert "guest" in said
    assert "cannot" in said
    assert token not in said


def as_user(kubeconfig: Path, token: str) -> Row:
    """The same cluster for who has a token."""
    import yaml

    config: Row = yaml.safe_load(kubeconfig.read_text())
    (context,) = [one for one in config["contexts"] if one["name"] == config["current-context"]]
    context["context"]["user"] = "guest"
    config["users"] = [{"name": "guest", "user": {"token": token}}]
    return config


def test_what_kubectl_made_is_adopted(trial: Trial, place: Place) -> None:
    trial.deployed(trial.web("one"))
    theirs = place.deployment()
    trial.down()
    metadata = {
        "name": "web",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
    }
    spec = {key: theirs["spec"][key] for key in ("replicas", "selector", "template")}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    made = place.create("deployments", body, "apps", "kubectl-client-side-apply")
    assert (Operation.ADOPT, "service/web") in trial.pending(trial.web("two"))
    trial.deployed(trial.web("two"))
    assert place.deployment()["metadata"]["uid"] == made["metadata"]["uid"]
    assert trial.pending(trial.web("two")) == []


def test_a_rollout_is_watched_on_when_the_api_comes_back(
    trial: Trial, kubernetes_cluster: KubernetesCluster
) -> None:
    if kubernetes_cluster.node is None:
        pytest.skip("the API of a given cluster is not ours to kill")
    trial.deployed(trial.web("one", replicas=2))
    plan = trial.plan(trial.web("two", replicas=2)).plan
    killed = []

    def kill_once(event: Event) -> None:
        if event.kind is EventKind.PROGRESS and not killed:
            killed.append(event)
            kubernetes_cluster.node.enter("pkill", "-9", "-x", "kube-apiserver")

    outcome = trial.session().apply(plan, on_event=kill_once, timeout=120)
    assert killed
    assert outcome.verdict is Verdict.DONE
    assert trial.pending(trial.web("two", replicas=2)) == []


TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"


def test_an_account_of_its_own_gives_its_pods_a_token_and_goes_again(
    trial: Trial, place: Place
) -> None:
    trial.deployed(trial.web("one"))
    assert trial.exec(f"test -e {TOKEN}") != 0
    role = {"metadata": {"annotations": {"example.com/role": "web"}}}
    account = {**role, "automountServiceAccountToken": True}
    overrides = {"kubernetes": {"serviceAccount": account}}
    trial.deployed(with_service(trial.web("one"), overrides=overrides))
    assert trial.exec(f"test -s {TOKEN}") == 0
    called = f"{trial.instance.name}-web"
    made = place.client.get(place.path("serviceaccounts", called))
    assert made["metadata"]["annotations"]["example.com/role"] == "web"
    trial.deployed(trial.web("one"))
    assert trial.exec(f"test -e {TOKEN}") != 0
    assert place.client.one(place.path("serviceaccounts", called)) is None
    assert trial.pending(trial.web("one")) == []


def test_a_class_of_storage_that_is_not_there_is_told(trial: Trial) -> None:
    mount = {"type": "volume", "source": "data", "target": "/data"}

    def told(**volume: Any) -> list[str]:
        document = with_service(trial.web("one"), volumes=[mount])
        judged = trial.plan({**document, "volumes": {"data": volume}}).judgement.reported
        return [row.reason for row in judged if "the cluster has no" in row.reason]

    assert told() == []
    assert ["'nowhere'" in reason for reason in told(driver="nowhere")] == [True]
