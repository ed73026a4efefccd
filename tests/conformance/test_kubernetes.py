"""The conformance suite on a double of the API, and on a real cluster.

ORCH_TEST_KUBECONFIG names the cluster, ORCH_TEST_IMAGE an image with busybox that its nodes have
or can pull.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from orch.testing.conformance import BackendConformance, Trial
from orch.testing.workloads import Containers
from orch_kubernetes.backend import KubernetesBackend
from orch_kubernetes.capabilities import FEATURES
from orch_kubernetes.marks import space_of
from tests.kubernetes_api.conftest import kubernetes_api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orch.backend.capabilities import Capabilities
    from orch.backend.contract import Backend
    from orch.testing.workloads import Workload
    from tests.kubernetes_api.server import Api

__all__ = ["kubernetes_api"]
KUBECONFIG = os.environ.get("ORCH_TEST_KUBECONFIG", "")
IMAGE = os.environ.get("ORCH_TEST_IMAGE", "local/tool:1")


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


@pytest.mark.skipif(not KUBECONFIG, reason="ORCH_TEST_KUBECONFIG names no cluster")
class TestKubernetes(OfKubernetes):
    __test__ = True

    @pytest.fixture
    def backend(self) -> Iterator[KubernetesBackend]:
        made = KubernetesBackend({"kubeconfig": KUBECONFIG})
        yield made
        made.close()

    @pytest.fixture
    def workload(self) -> Containers:
        return Containers(IMAGE)

    @pytest.fixture
    def trial(self, backend: Backend, workload: Workload) -> Iterator[Trial]:
        kept = self._namespaces(backend)
        yield from super().trial.__wrapped__(self, backend, workload)  # type: ignore[attr-defined]
        for name in self._namespaces(backend) - kept:
            backend.client.delete(f"/api/v1/namespaces/{name}")  # type: ignore[attr-defined]

    @staticmethod
    def _namespaces(backend: Backend) -> set[str]:
        rows = backend.client.listed("/api/v1/namespaces")  # type: ignore[attr-defined]
        return {row["metadata"]["name"] for row in rows}
