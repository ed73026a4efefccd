"""What runs on a real cluster read back: with all that the API, its controllers and Helm add."""

from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import UsageFault
from orch.testing.conformance import Trial
from orch.testing.workloads import Containers
from orch.types import Operation, render_path
from orch_kubernetes.watch.ways_in import slices_path
from tests.integration.kubernetes.readings import applied, lost

if TYPE_CHECKING:
    from orch_kubernetes.backend import KubernetesBackend
    from tests.control_plane.conftest import KubernetesCluster

pytestmark = [pytest.mark.optional, pytest.mark.slow, pytest.mark.timeout(300)]
Row = dict[str, Any]
HIDDEN = "hidden-value"


def create(backend: KubernetesBackend, space: str, body: Row, manager: str) -> None:
    api = body["apiVersion"]
    root = f"/apis/{api}" if "/" in api else f"/api/{api}"
    path = f"{root}/namespaces/{space}/{body['kind'].lower()}s"
    backend.client.request("POST", path, body, query={"fieldManager": manager})


def manifests(image: str, autoscaling: str) -> list[Row]:
    """A web server, its Service, and a ConfigMap, a Secret and an autoscaler that go with it."""
    container = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 9999 & wait"],
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}}],
        "volumeMounts": [{"name": "conf", "mountPath": "/etc/web"}],
        "resources": {"requests": {"cpu": "10m"}},
    }
    pod = {
        "containers": [container],
        "volumes": [{"name": "conf", "configMap": {"name": "web-conf"}}],
        "terminationGracePeriodSeconds": 3,
    }
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    port = {"name": "http", "port": 80, "targetPort": "http"}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
    }
    scaling = {
        "scaleTargetRef": target,
        "minReplicas": 2,
        "maxReplicas": 4,
        "metrics": [metric],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
    }
    token = base64.b64encode(HIDDEN.encode()).decode()
    return [
        _object("v1", "ConfigMap", "web-conf", data={"a.conf": "a = 1\n"}),
        _object("v1", "Secret", "api", data={"token": token}),
        _object("apps/v1", "Deployment", "web", spec=spec),
        _object("v1", "Service", "web", spec={"selector": labels, "ports": [port]}),
        _object(autoscaling, "HorizontalPodAutoscaler", "web", spec=scaling),
    ]


def _object(api: str, kind: str, name: str, **body: Any) -> Row:
    metadata = {"name": name, "labels": {"app": "web"}}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}


def test_what_orch_deployed_is_the_same_when_it_is_read_back(trial: Trial) -> None:
    data = {"type": "volume", "source": "data", "target": "/data"}
    document = trial.web("one", replicas=2, disruption={"max_unavailable": 1})
    web = document["services"]["web"]
    web["configs"] = [{"source": "conf", "target": "/etc/conf"}]
    web["autoscale"] = {"min": 2, "max": 4, "metrics": [{"type": "cpu", "target": 70}]}
    web["deploy"]["resources"] = {"reservations": {"cpus": "0.01", "memory": "16M"}}
    document |= {"configs": {"conf": {"content": "a = 1\n"}}}
    kept = trial.web("two")["services"]["web"] | {"volumes": [data]}
    document["services"]["db"] = kept
    document["volumes"] = {"data": {"size": "10M", "per_replica": True}}
    tick = trial.shell("true", schedule="0 3 * * *", time_zone="Europe/Berlin")
    document["jobs"] = {"tick": tick, "once": trial.shell("true")}
    document["routes"] = [{"host": "shop.example.com", "service": "web", "port": "http"}]
    trial.deployed(document)
    reading = trial.read_live(trial.instance.name)
    assert lost(reading) == []
    before = {(r.id, r.kind, r.name) for r in trial.backend.compile(trial.app(document)).resources}
    after = {(r.id, r.kind, r.name) for r in trial.backend.compile(applied(reading)).resources}
    assert after == before
    planned = trial.plan(dict(reading.document)).plan
    changes = {
        (action.id, render_path(change.path))
        for action in planned.pending
        for change in action.changes
    }
    assert {path for _, path in changes if not path.startswith("metadata.annotations")} == set()


@pytest.mark.parametrize("selector", ["app=web", "web", ""])
def test_what_kubectl_made_is_read_without_what_the_cluster_added(
    kubernetes_cluster: KubernetesCluster, backend: KubernetesBackend, space: str, selector: str
) -> None:
    for body in manifests(kubernetes_cluster.image, backend.facts.autoscaling_api):
        create(backend, space, body, "kubectl-create")
    reading = backend.read_live(selector or space, space)
    assert lost(reading) == []
    app = applied(reading)
    web = app.services["web"]
    assert (list(app.services), list(app.jobs)) == (["web"], [])
    assert [config.content for config in app.configs.values()] == ["a = 1\n"]
    assert web.autoscale is not None
    assert (web.autoscale.min, web.autoscale.max) == (2, 4)
    (secret,) = app.secrets.values()
    assert (secret.external, secret.name, secret.key) == (True, "api", "token")
    assert HIDDEN not in json.dumps(dict(reading.document))
    told = "".join(f"{row.reason}{row.mend}{row.outputs}" for row in reading.ledger)
    assert HIDDEN not in told
    assert web.overrides == {}


def test_a_release_of_helm_is_read_without_its_own_record(
    kubernetes_cluster: KubernetesCluster, backend: KubernetesBackend, space: str
) -> None:
    for body in manifests(kubernetes_cluster.image, backend.facts.autoscaling_api):
        marks = {"meta.helm.sh/release-name": "store", "meta.helm.sh/release-namespace": space}
        body["metadata"]["annotations"] = marks
        body["metadata"]["labels"] = {
            "app.kubernetes.io/managed-by": "Helm",
            "helm.sh/chart": "store-1.0.0",
        }
        create(backend, space, body, "helm")
    record = _object("v1", "Secret", "sh.helm.release.v1.store.v1", type="helm.sh/release.v1")
    create(backend, space, record, "helm")
    reading = backend.read_live("store", space)
    assert lost(reading) == []
    app = applied(reading)
    assert (app.name, list(app.services), len(app.secrets)) == ("store", ["web"], 1)
    assert "helm" not in json.dumps(dict(reading.document)).lower()


def test_nothing_that_is_meant_is_told(backend: KubernetesBackend, space: str) -> None:
    with pytest.raises(UsageFault, match=f"nothing runs in the namespace {space}"):
        backend.read_live("nothing", space)
    with pytest.raises(UsageFault, match="nothing runs in any namespace"):
        backend.read_live(f"app={space}")


def test_what_helm_made_is_taken_over_in_place_without_a_gap(
    kubernetes_cluster: KubernetesCluster, backend: KubernetesBackend, space: str
) -> None:
    for body in manifests(kubernetes_cluster.image, backend.facts.autoscaling_api):
        marks = {"meta.helm.sh/release-name": "store", "meta.helm.sh/release-namespace": space}
        body["metadata"] |= {
            "annotations": marks,
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
        }
        create(backend, space, body, "helm")
    record = _object("v1", "Secret", "sh.helm.release.v1.store.v1", type="helm.sh/release.v1")
    record["metadata"]["labels"] = {"owner": "helm", "name": "store"}
    create(backend, space, record, "helm")
    root = f"/apis/apps/v1/namespaces/{space}/deployments/web"
    uid = backend.client.get(root)["metadata"]["uid"]
    trial = Trial(backend, Containers(kubernetes_cluster.image), space, "store")
    trial.eventually("the release runs", lambda: _ready(backend, space) == 2)
    document = dict(backend.read_live("store", space).document)
    planned = trial.plan(document).plan
    operations = {action.id: action.operation for action in planned.pending}
    assert operations["service/web"] is Operation.ADOPT
    (told,) = [warning for warning in planned.warnings if "Helm" in warning.fault]
    assert f"-n {space} -l owner=helm,name=store" in told.mend
    least, end = [2], threading.Event()

    def look() -> None:
        while not end.wait(0.05):
            least.append(_ready(backend, space))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        trial.deployed(document)
    finally:
        end.set()
        watcher.join()
    assert min(least) > 0, "its Service led to nobody for a while"
    row = backend.client.get(root)
    assert (row["metadata"]["uid"], row["spec"]["selector"]["matchLabels"]) == (uid, {"app": "web"})
    assert trial.pending(document) == []
    trial.down()


def _ready(backend: KubernetesBackend, space: str) -> int:
    """How many addresses the Service `web` leads to."""
    chosen = "kubernetes.io/service-name=web"
    path = slices_path(backend.facts, space)
    slices = backend.client.listed(path, labelSelector=chosen)
    return sum(
        bool(one["conditions"].get("ready")) for held in slices for one in held["endpoints"] or ()
    )
