"""Kubernetes as a backend; compile needs no cluster."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from orch_kubernetes import names
from orch_kubernetes.capabilities import capabilities
from orch_kubernetes.client import KubernetesClient
from orch_kubernetes.compile import compile_kubernetes
from orch_kubernetes.facts import facts_of, sighted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.backend.capabilities import Capabilities
    from orch.spec.application import Application
    from orch.types import Manifest
    from orch_kubernetes.facts import ClusterFacts


class KubernetesBackend:
    """One cluster, or one flavour of them."""

    name = names.BACKEND

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = dict(options)
        self.client = KubernetesClient(self._options)
        facts_of(self._options)

    @cached_property
    def facts(self) -> ClusterFacts:
        """A target that names a cluster is asked once what it is; else its options tell."""
        if self._options.get("kubeconfig") or self._options.get("context"):
            return sighted(self._options, self.client.sighting())
        return facts_of(self._options)

    def capabilities(self) -> Capabilities:
        """What this version and flavour hold."""
        return capabilities(self.facts)

    def compile(self, app: Application) -> Manifest:
        """The application in objects of the API."""
        return compile_kubernetes(app, self.facts)

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()
