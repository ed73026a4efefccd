"""The conformance suite on a double of the API; tests/control_plane has it on the real one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orch.testing.conformance import BackendConformance, Trial
from orch.testing.workloads import Containers
from orch_kubernetes.api.marks import space_of
from orch_kubernetes.backend import KubernetesBackend
from orch_kubernetes.capabilities import FEATURES
from tests.kubernetes_api.conftest import kubernetes_api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orch.backend.capabilities import Capabilities
    from tests.kubernetes_api.server import Api

__all__ = ["kubernetes_api"]

RUNS_NOTHING = {
    "exec",
    "forward",
    "logs",
    "per-replica-volumes",
    "placement",
    "published-ports",
    "volumes",
}
"""What a double that runs no containers can't show."""


class OfKubernetes(BackendConformance):
    """What both have in common: an instance has a namespace of its own."""

    __test__ = False
    namespace = "default"

    @pytest.fixture
    def unreachable(self, tmp_path: Path) -> KubernetesBackend:
        nowhere = tmp_path / "config"
        nowhere.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\n"
            "contexts: [{name: here, context: {cluster: here, user: me}}]\n"
            "clusters: [{name: here, cluster: {server: 'http://127.0.0.2:1'}}]\n"
            "users: [{name: me, user: {token: t}}]\n"
        )
        return KubernetesBackend({"kubeconfig": str(nowhere), "flavour": "plain"})

    def tamper(self, trial: Trial) -> None:
        client, space = trial.backend.client, space_of(trial.instance)  # type: ignore[attr-defined]
        path = f"/apis/apps/v1/namespaces/{space}/deployments/web"
        row = client.get(path)
        (container,) = row["spec"]["template"]["spec"]["containers"]
        for variable in container["env"]:
            if variable["name"] == "TEXT":
                variable["value"] = "tampered"
        client.request("PUT", path, row, query={"fieldManager": "kubectl-edit"})


class OnTheDouble(KubernetesBackend):
    """Promises what a double can show."""

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), features=FEATURES - RUNS_NOTHING)


class TestKubernetesDouble(OfKubernetes):
    __test__ = True

    @pytest.fixture
    def backend(self, kubernetes_api: Api, tmp_path: Path) -> Iterator[KubernetesBackend]:
        made = OnTheDouble({"kubeconfig": str(kubernetes_api.kubeconfig(tmp_path))})
        yield made
        made.close()

    @pytest.fixture
    def workload(self) -> Containers:
        return Containers("busybox:1")
