"""The conformance suite on a real cluster.

Ours has a load balancer. ORCH_TEST_LOAD_BALANCER=yes says that a given cluster has one, too: the
cases of published ports run there then.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from orch.testing.workloads import Containers
from orch_kubernetes.backend import KubernetesBackend
from tests.conformance.test_kubernetes import OfKubernetes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.backend.contract import Backend
    from orch.testing.conformance import Trial
    from orch.testing.conformance.trial import Document
    from orch.testing.workloads import Workload
    from tests.control_plane.conftest import KubernetesCluster

pytestmark = [pytest.mark.optional, pytest.mark.slow, pytest.mark.timeout(300)]


class TestKubernetes(OfKubernetes):
    __test__ = True

    @pytest.fixture
    def backend(self, kubernetes_cluster: KubernetesCluster) -> Iterator[KubernetesBackend]:
        balanced = os.environ.get("ORCH_TEST_LOAD_BALANCER", "no")
        if kubernetes_cluster.node is not None:
            balanced = "yes"
        options = {"kubeconfig": str(kubernetes_cluster.kubeconfig), "load_balancer": balanced}
        made = KubernetesBackend(options)
        self.address = urlsplit(made.client.host()).hostname
        self.pauses = made.facts.has("sleep_hook")
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

    def published(self, document: Document, port: int) -> Document:
        """With the pause that the ledger asks for where the cluster itself has none."""
        made = super().published(document, port)
        if not self.pauses:
            web = made["services"]["web"]
            web |= {"pre_stop": [{"command": ["sleep", "5"]}], "stop_grace_period": "8s"}
        return made

    def url(self, port: int) -> str:
        return f"http://{self.address}:{port}"
