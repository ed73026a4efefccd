"""What runs on a cluster read back into a spec: whose it is, what it uses, and what is hidden."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import Denied, UsageFault
from orch.types import Fidelity
from orch_kubernetes.adopt.live import SHOWN_NAMES
from orch_kubernetes.api import client as client_module
from tests.integration.journey.conftest import call_in
from tests.integration.kubernetes.readings import applied, lost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orch.testing.conformance import Trial
    from tests.kubernetes_api.platform import Row
    from tests.kubernetes_api.server import Api

HIDDEN = "hidden-value"
PLURALS = {
    "Deployment": ("apps", "apps/v1", "deployments"),
    "StatefulSet": ("apps", "apps/v1", "statefulsets"),
    "Pod": ("", "v1", "pods"),
    "Service": ("", "v1", "services"),
    "Secret": ("", "v1", "secrets"),
    "ConfigMap": ("", "v1", "configmaps"),
    "PersistentVolumeClaim": ("", "v1", "persistentvolumeclaims"),
    "Widget": ("example.com", "example.com/v1", "widgets"),
}


def put(api: Api, space: str, kind: str, name: str, body: Row, **metadata: Any) -> None:
    """What somebody made with kubectl."""
    group, version, plural = PLURALS[kind]
    full = {"apiVersion": version, "kind": kind, "metadata": {"name": name, **metadata}, **body}
    with api.platform.lock:
        if ("", "namespaces", "", space) not in api.platform.objects:
            api.platform.make_namespace(space)
        api.platform.create((group, plural, space, name), full, "kubectl-create")


def made_by_hand(api: Api, space: str, labels: Row, annotations: Row | None = None) -> None:
    """A web server that uses a ConfigMap and a Secret which bear no labels at all."""
    marks = {"labels": labels, **({"annotations": annotations} if annotations else {})}
    container = {
        "name": "web",
        "image": "nginx:1.27",
        "ports": [{"name": "http", "containerPort": 80}],
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}}],
        "volumeMounts": [{"name": "conf", "mountPath": "/etc/web"}],
    }
    volumes = [{"name": "conf", "configMap": {"name": "web-conf"}}]
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [container], "volumes": volumes},
    }
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    put(api, space, "Deployment", "web", {"spec": spec}, **marks)
    port = {"port": 80, "targetPort": "http"}
    put(api, space, "Service", "web", {"spec": {"selector": {"app": "web"}, "ports": [port]}})
    put(api, space, "ConfigMap", "web-conf", {"data": {"a.conf": "a = 1\n"}})
    data = {"token": base64.b64encode(HIDDEN.encode()).decode()}
    put(api, space, "Secret", "api", {"type": "Opaque", "data": data})
    put(api, space, "ConfigMap", "others", {"data": {"b.conf": "b = 1\n"}}, labels={"app": "b"})


# -- whose it is -----------------------------------------------------------------------------------


def test_what_orch_deployed_comes_back_as_it_was(trial: Trial) -> None:
    document = trial.web("one", replicas=2)
    document["services"]["web"]["configs"] = [{"source": "conf", "target": "/etc/conf"}]
    document["configs"] = {"conf": {"content": "a = 1\n"}}
    trial.deployed(document)
    document["configs"] = {"conf": {"content": "a = 2\n"}}
    trial.deployed(document)
    reading = trial.read_live("shop")
    assert lost(reading) == []
    assert trial.pending(dict(reading.document)) == []
    assert reading.document["configs"] == {"conf": {"content": "a = 2\n"}}


@pytest.mark.parametrize(
    ("selector", "labels", "annotations"),
    [
        ("app=web", {"app": "web"}, {}),
        ("app.kubernetes.io/name in (web, api),!old", {"app.kubernetes.io/name": "web"}, {}),
        ("store", {"app.kubernetes.io/instance": "store"}, {}),
        ("store", {"app.kubernetes.io/part-of": "store"}, {}),
        ("web", {"app": "web"}, {}),
        ("web", {}, {}),
        (
            "store",
            {"app.kubernetes.io/managed-by": "Helm"},
            {"meta.helm.sh/release-name": "store", "meta.helm.sh/release-namespace": "prod"},
        ),
    ],
)
def test_what_others_made_is_found_by_its_marks_with_all_that_it_uses(
    trial_of: Callable[..., Trial], kubernetes_api: Api, selector: str, labels: Row,
    annotations: Row,
) -> None:  # fmt: skip
    made_by_hand(kubernetes_api, "prod", labels, annotations)
    reading = trial_of().read_live(selector)
    app = applied(reading)
    web = app.services["web"]
    assert (str(web.image.reference), web.deploy.replicas) == ("nginx:1.27", 2)
    assert [port.name for port in web.ports] == ["http"]
    assert {config.content for config in app.configs.values()} == {"a = 1\n"}
    (secret,) = app.secrets.values()
    assert (secret.external, secret.name, secret.key) == (True, "api", "token")
    assert HIDDEN not in json.dumps(dict(reading.document))
    by_namespace = " in " in selector
    assert app.name == ("prod" if by_namespace else "store" if selector == "store" else "web")


def test_a_namespace_of_that_name_is_read_whole(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    made_by_hand(kubernetes_api, "store", {"tier": "front"})
    put(kubernetes_api, "store", "Widget", "extra", {"spec": {}})
    reading = trial_of().read_live("store")
    assert list(applied(reading).services) == ["web"]
    assert {"Widget/extra", "ConfigMap/others"} <= set(lost(reading))


def test_what_runs_in_several_namespaces_has_to_be_named(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    for space in ("prod", "test"):
        made_by_hand(kubernetes_api, space, {"app": "web"})
    backend: Any = trial_of().backend
    with pytest.raises(UsageFault, match="several namespaces: prod, test") as fault:
        backend.read_live("app=web")
    assert fault.value.mend == "name one: --namespace prod"
    assert list(applied(backend.read_live("app=web", "test")).services) == ["web"]


def test_what_is_meant_has_to_run(trial_of: Callable[..., Trial], kubernetes_api: Api) -> None:
    pod = {"spec": {"containers": [{"name": "x", "image": "busybox:1"}]}}
    for number in range(SHOWN_NAMES):
        put(kubernetes_api, "prod", "Pod", f"a{number}", pod, labels={"app": f"a{number}"})
    put(kubernetes_api, "prod", "ConfigMap", "lonely", {}, labels={"app": "lonely"})
    with pytest.raises(UsageFault, match="nothing runs in the namespace prod") as fault:
        trial_of().read_live("app=lonely", "prod")
    every = ", ".join(f"a{number}" for number in range(SHOWN_NAMES))
    assert fault.value.mend == f"there run {every}"
    put(kubernetes_api, "prod", "Pod", "more", pod, labels={"app": "b"})
    with pytest.raises(UsageFault) as fault:
        trial_of().read_live("lonely", "prod")
    assert str(fault.value.mend).endswith(", …")


def test_pages_are_read_to_the_end(
    trial_of: Callable[..., Trial], kubernetes_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE", 1)
    made_by_hand(kubernetes_api, "prod", {"app": "web"})
    reading = trial_of().read_live("app=web", "prod")
    assert {config.content for config in applied(reading).configs.values()} == {"a = 1\n"}
    asked = [path for _, path in kubernetes_api.calls if "/prod/configmaps" in path]
    assert len(asked) > 1


def test_claims_of_templates_are_no_volumes_of_their_own(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    labels = {"app": "db"}
    container = {"name": "db", "image": "postgres:17"}
    container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]  # type: ignore[assignment]
    spec = {
        "serviceName": "db",
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
    }
    put(kubernetes_api, "prod", "StatefulSet", "db", {"spec": spec}, labels=labels)
    for name in ("data-db-0", "data-db-extra"):
        put(kubernetes_api, "prod", "PersistentVolumeClaim", name, {"spec": claim}, labels=labels)
    reading = trial_of().read_live("db", "prod")
    assert sorted(applied(reading).volumes) == ["data", "data-db-extra"]


# -- what may not be seen --------------------------------------------------------------------------


def test_a_kind_that_may_not_be_seen_is_in_the_ledger(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    made_by_hand(kubernetes_api, "prod", {"app": "web"})
    said = (
        'networkpolicies.networking.k8s.io is forbidden: User "me" cannot list resource '
        '"networkpolicies" in API group "networking.k8s.io" in the namespace "prod"'
    )
    kubernetes_api.answer("GET", "/networkpolicies", 403, said, times=99)
    reading = trial_of().read_live("app=web", "prod")
    (row,) = [row for row in reading.ledger if row.path == ("NetworkPolicy",)]
    assert row.outcome is Fidelity.LOST
    assert "can-i list networkpolicies.networking.k8s.io -n prod" in row.mend
    assert list(applied(reading).services) == ["web"]


def test_workloads_that_may_not_be_seen_end_it(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    made_by_hand(kubernetes_api, "prod", {"app": "web"})
    said = 'deployments.apps is forbidden: User "me" cannot list resource "deployments"'
    kubernetes_api.answer("GET", "/deployments", 403, said, times=99)
    backend: Any = trial_of().backend
    with pytest.raises(Denied, match="cannot list"):
        backend.read_live("app=web", "prod")
    with pytest.raises(Denied) as fault:
        backend.read_live("app=web")
    assert "--namespace" in fault.value.mend


def test_an_api_that_is_away_is_passed_over(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    made_by_hand(kubernetes_api, "prod", {"app": "web"})
    kubernetes_api.answer("GET", "/apis/example.com/v1$", 503, "its server is away", times=99)
    reading = trial_of().read_live("app=web", "prod")
    assert list(applied(reading).services) == ["web"]


# -- the command -----------------------------------------------------------------------------------


def test_the_command_writes_the_spec_and_tells_what_it_did_not_find(
    kubernetes_api: Api, tmp_path: Path
) -> None:
    orch = call_in(tmp_path, f"unix://{tmp_path}/no-engine.sock")
    made_by_hand(kubernetes_api, "prod", {"app": "web"})
    option = f"kubeconfig={kubernetes_api.kubeconfig(tmp_path)}"
    there = ("--backend", "kubernetes", "--option", option)
    told = orch("import", "nothing", *there, code=2).stderr
    assert "nothing runs in any namespace that nothing means" in told
    assert "there run web" in told
    told = orch("import", "nothing", *there, "--namespace", "prod", code=2).stderr
    assert "nothing runs in the namespace prod that nothing means" in told
    told = orch("import", "a=(", *there, code=2).stderr
    assert "neither a name nor a selector of labels" in told
    orch("import", "app=web", *there, "--namespace", "prod", "-o", "web.yaml")
    assert HIDDEN not in (orch.folder / "web.yaml").read_text()
    orch("validate", "-f", "web.yaml")
