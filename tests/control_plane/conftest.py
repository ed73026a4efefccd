"""A real Kubernetes to test on: one that is given, or one of our own from programs built before."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orch.testing.conformance import Trial
from orch.testing.workloads import Containers
from orch_kubernetes.backend import KubernetesBackend
from tests.control_plane import settings
from tests.control_plane.cluster import raised
from tests.integration.conftest import tool_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.control_plane.cluster import Cluster

__all__ = ["tool_archive"]
GIVEN_IMAGE = "docker.io/library/busybox:1.36"
NEEDED = ("unshare", "nsenter", "ip", "iptables")


@dataclass(frozen=True)
class KubernetesCluster:
    """A cluster to test on: an administrator's kubeconfig, and an image with busybox's tools.

    `node` is there when the cluster is ours, to do as we like with.
    """

    kubeconfig: Path
    image: str
    node: Cluster | None = None


@pytest.fixture(scope="session")
def kubernetes_cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KubernetesCluster]:
    """The cluster of ORCH_TEST_KUBECONFIG, or one raised here and stopped at the end.

    ORCH_TEST_IMAGE names an image with a shell that the given cluster can pull. Ours is raised
    from the programs in ORCH_TEST_KUBERNETES, or from those that tests/control_plane/build left.
    """
    given = os.environ.get("ORCH_TEST_KUBECONFIG")
    if given:
        yield KubernetesCluster(Path(given), os.environ.get("ORCH_TEST_IMAGE", GIVEN_IMAGE))
        return
    programs = built_programs()
    root: Path = request.getfixturevalue("tool_archive")
    folder = tmp_path_factory.mktemp("kubernetes") / "cluster"
    with raised(folder, programs, root) as cluster:
        yield KubernetesCluster(cluster.kubeconfig, settings.TOOL_IMAGE, cluster)


@pytest.fixture
def backend(kubernetes_cluster: KubernetesCluster) -> Iterator[KubernetesBackend]:
    """The backend on that cluster, closed afterwards."""
    made = KubernetesBackend({"kubeconfig": str(kubernetes_cluster.kubeconfig)})
    yield made
    made.close()


@pytest.fixture
def space(backend: KubernetesBackend) -> Iterator[str]:
    """A namespace that is there already, removed afterwards."""
    name = f"t{uuid.uuid4().hex[:8]}"
    backend.client.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    backend.client.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def trial(
    kubernetes_cluster: KubernetesCluster, backend: KubernetesBackend, space: str
) -> Iterator[Trial]:
    """An instance of its own in that namespace."""
    made = Trial(backend, Containers(kubernetes_cluster.image), "default", space)
    yield made
    made.session().unlock()
    made.down()


def built_programs() -> Path:
    """The folder of a built Kubernetes; skips the test where there is none, or no way to run it."""
    if os.geteuid() != 0:
        pytest.skip("a Kubernetes of its own needs root; ORCH_TEST_KUBECONFIG can name another")
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        pytest.skip(f"a Kubernetes of its own needs {', '.join(missing)} on this host")
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "orch"
    cache = Path(os.environ.get("ORCH_CACHE", home))
    chosen = os.environ.get("ORCH_TEST_KUBERNETES")
    found = (
        [Path(chosen)] if chosen else [mark.parent for mark in cache.glob("kubernetes-*/complete")]
    )
    if not found:
        pytest.skip(f"no Kubernetes is built in {cache}; tests/control_plane/build makes one")
    return max(found)
