"""A deployment on a double of the Kubernetes API, to let go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orch.testing.conformance import Trial
from orch.testing.workloads import Containers
from orch_kubernetes.backend import KubernetesBackend
from tests.kubernetes_api.conftest import kubernetes_api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.kubernetes_api.server import Api

__all__ = ["kubernetes_api"]


@pytest.fixture
def trial_of(kubernetes_api: Api, tmp_path: Path) -> Iterator[Callable[..., Trial]]:
    """Makes a deployment `shop` by a target with these options."""
    made: list[KubernetesBackend] = []
    kubeconfig = str(kubernetes_api.kubeconfig(tmp_path))

    def trial(name: str = "shop", namespace: str = "default", **options: str) -> Trial:
        backend = KubernetesBackend({"kubeconfig": kubeconfig, **options})
        made.append(backend)
        return Trial(backend, Containers("busybox:1"), namespace, name)

    yield trial
    for backend in made:
        backend.close()


@pytest.fixture
def trial(trial_of: Callable[..., Trial]) -> Trial:
    return trial_of()
