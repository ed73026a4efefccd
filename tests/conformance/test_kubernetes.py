"""The conformance suite on a double of the API, and on a real cluster.

The cluster is the one that tests/control_plane raises, or that of ORCH_TEST_KUBECONFIG with the
image of ORCH_TEST_IMAGE; ORCH_TEST_LOAD_BALANCER=yes says that it balances published ports.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from orch.testing.conformance import BackendConformance, Trial
from orch.testing.workloads import Containers
from orch_kubernetes.backend import KubernetesBackend
from orch_kubernetes.capabilities import FEATURES
from orch_kubernetes.marks import space_of
from tests.control_plane.conftest import kubernetes_cluster, tool_archive
from tests.kubernetes_api.conftest import kubernetes_api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orch.backend.capabilities import Capabilities
    from orch.backend.contract import Backend
    from orch.testing.workloads import Workload
    from tests.control_plane.conftest import KubernetesCluster
    from tests.kubernetes_api.server import Api

__all__ = ["kubernetes_api", "kubernetes_cluster", "tool_archive"]
GIVEN = os.environ.get("ORCH_TEST_KUBECONFIG", "")
BALANCED = not GIVEN or os.environ.get("ORCH_TEST_LOAD_BALANCER") == "yes"
"""Clusters that are raised for the tests have a load balancer; of others it has to be said."""


RUNS_NOTHING = {"exec", "logs", "per-replica-volumes", "placement", "published-ports", "volumes"}
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


class OnACluster(KubernetesBackend):
    """Promises what the cluster under test has beyond its flavour: a load balancer."""

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        return replace(said, features=FEATURES) if BALANCED else said


class TestKubernetes(OfKubernetes):
    __test__ = True

    @pytest.fixture
    def backend(self, kubernetes_cluster: KubernetesCluster) -> Iterator[KubernetesBackend]:
        made = OnACluster({"kubeconfig": str(kubernetes_cluster.kubeconfig)})
        self.address = urlsplit(made.client.host()).hostname
        yield made
        made.close()

    @pytest.fixture
    def workload(self, kubernetes_cluster: KubernetesCluster) -> Containers:
        return Containers(kubernetes_cluster.image)

    @pytest.fixture(autouse=True)
    def _leave_no_namespace(self, backend: KubernetesBackend) -> Iterator[None]:
        self.names: set[str] = set()
        yield
        for name in self.names:
            backend.client.delete(f"/api/v1/namespaces/{name}")

    @pytest.fixture
    def trial(
        self, _leave_no_namespace: None, backend: Backend, workload: Workload
    ) -> Iterator[Trial]:
        for trial in super().trial.__wrapped__(self, backend, workload):  # type: ignore[attr-defined]
            name = trial.instance.name
            self.names |= {name, f"{name}-next", f"{self.namespace}-staging"}
            yield trial

    def url(self, port: int) -> str:
        return f"http://{self.address}:{port}"
