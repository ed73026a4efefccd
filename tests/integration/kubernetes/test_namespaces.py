"""The namespace of an application, from its making to its end; and a cluster without a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.compile.compile import compile_app
from orch.spec.application import Application
from orch.testing.conformance import Trial
from orch.testing.workloads import Containers
from orch_kubernetes.backend import KubernetesBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.kubernetes_api.server import Api

SPACE = ("", "namespaces", "", "shop")


def warned(trial: Trial) -> bool:
    plan = trial.session().down_plan()
    return any("which orch made, goes too" in one.fault for one in plan.warnings)


def test_what_orch_made_goes_when_it_is_empty(trial: Trial, kubernetes_api: Api) -> None:
    trial.deployed(trial.web())
    assert warned(trial)
    trial.down()
    assert SPACE not in kubernetes_api.platform.objects
    trial.deployed(trial.web())
    assert SPACE in kubernetes_api.platform.objects


def test_what_was_there_before_stays(trial: Trial, kubernetes_api: Api) -> None:
    with kubernetes_api.platform.lock:
        kubernetes_api.platform.make_namespace("shop")
    trial.deployed(trial.web())
    assert not warned(trial)
    trial.down()
    assert SPACE in kubernetes_api.platform.objects


def test_what_others_may_use_stays(trial_of: Callable[..., Trial], kubernetes_api: Api) -> None:
    trial = trial_of("shop", "shared")
    trial.deployed(trial.web())
    assert not warned(trial)
    trial.down()
    assert ("", "namespaces", "", "shared") in kubernetes_api.platform.objects


@pytest.mark.parametrize(
    ("path", "code"),
    [("", 0), ("/shop/widgets", 403), ("/apis/example.com/v1$", 403), ("/example.com/v1$", 503)],
)
def test_what_holds_something_or_may_hold_it_stays(
    trial: Trial, kubernetes_api: Api, path: str, code: int
) -> None:
    trial.deployed(trial.web())
    if path:
        kubernetes_api.answer("GET", path, code, "not for you", times=99)
    else:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}}
        with kubernetes_api.platform.lock:
            kubernetes_api.platform.create(("", "configmaps", "shop", "mine"), body, "kubectl")
    trial.down()
    assert SPACE in kubernetes_api.platform.objects


def test_data_that_is_kept_keeps_the_namespace(trial: Trial, kubernetes_api: Api) -> None:
    document = trial.web()
    mount = {"type": "volume", "source": "data", "target": "/data"}
    document["services"]["web"]["volumes"] = [mount]
    document["volumes"] = {"data": {"access": "shared"}}
    trial.deployed(document)
    trial.down(volumes=False)
    assert ("", "persistentvolumeclaims", "shop", "data") in kubernetes_api.platform.objects


# -- a cluster that the target does not name ------------------------------------------------------


@pytest.fixture
def unnamed(
    kubernetes_api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Trial]]:
    """Makes a deployment by a target that names no cluster: kubectl's own is meant."""
    usual = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
    monkeypatch.setattr(usual, str(kubernetes_api.kubeconfig(tmp_path)))
    made: list[Any] = []

    def trial(**options: str) -> Trial:
        made.append(KubernetesBackend(options))
        return Trial(made[-1], Containers("busybox:1"), "default", "shop")

    yield trial
    for backend in made:
        backend.close()


def test_a_cluster_that_is_not_named_is_asked_all_the_same(
    unnamed: Callable[..., Trial], kubernetes_api: Api
) -> None:
    kubernetes_api.version = "v1.22.3+k3s1"
    trial = unnamed()
    document = trial.web()
    metrics = [{"type": "cpu", "target": 70}]
    document["services"]["web"]["autoscale"] = {"min": 1, "max": 3, "metrics": metrics}
    plan = trial.plan(document).plan
    assert "compiled for K3s 1.22" in plan.notes
    made = {(action.body or {})["apiVersion"]: action.kind for action in plan.actions}
    assert made["autoscaling/v2beta2"] == "HorizontalPodAutoscaler"


def test_what_the_target_says_wins_over_what_the_cluster_says(
    unnamed: Callable[..., Trial], kubernetes_api: Api
) -> None:
    kubernetes_api.version = "v1.29.3+k3s1"
    trial = unnamed(version="1.30", flavour="eks")
    (note,) = [n for n in trial.plan(trial.web()).plan.notes if "compiled for" in n]
    assert note.endswith("1.30")
    assert "EKS" in note


def test_compile_alone_asks_no_cluster(unnamed: Callable[..., Trial], kubernetes_api: Api) -> None:
    kubernetes_api.version = "v1.29.3+k3s1"
    trial = unnamed()
    app = Application.model_validate({**trial.web(), "name": "shop"})
    (note,) = compile_app(trial.backend, app).notes
    assert note.endswith("1.36")
