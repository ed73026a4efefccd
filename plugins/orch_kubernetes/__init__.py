"""The Kubernetes backend, and the reader of its manifests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orch.backend.contract import BackendFactory
from orch.backend.hooks import hook
from orch.frozen import FrozenDict
from orch_kubernetes.flavours import FLAVOURS
from orch_kubernetes.reader import KubernetesReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.backend.contract import SecretProvider
    from orch_kubernetes.backend import KubernetesBackend

OPTIONS = FrozenDict(
    {
        "kubeconfig": "File with clusters and logins; by default what kubectl itself would use.",
        "context": "Context of the kubeconfig; the cluster is asked for its version and flavour.",
        "flavour": f"{', '.join([*FLAVOURS][:-1])} or {[*FLAVOURS][-1]}.",
        "version": "Version of the cluster, from 1.20 to 1.37.",
        "routes": "gateway, ingress or route: how ways in from outside are made.",
        "ingress_class": "Class of Ingresses; by default the flavour's own.",
        "gateway_class": "Class of the Gateway that is made for routes.",
        "gateway": "Gateway that is there and is used, as NAME or NAMESPACE/NAME.",
        "issuer": "Cluster issuer of cert-manager for ACME certificates, letsencrypt by default.",
        "storage_class": "Storage class of volumes that name no driver.",
        "load_balancer": "yes or no: whether Services of that type get an address; by default "
        "what is usual for the flavour, or what the API of the cluster shows.",
        "pod_security": "restricted, baseline or privileged: the standard that namespaces enforce.",
        "enforces_policies": "yes or no: whether rules between pods hold; found out likewise.",
        "take_over": "yes takes fields from other tools that set them again and again.",
        "shared_storage_class": "The same for volumes that several may mount.",
    }
)


def create(options: Mapping[str, str]) -> KubernetesBackend:
    """A Kubernetes backend."""
    from orch_kubernetes.backend import KubernetesBackend

    return KubernetesBackend(options)


@hook
def orch_register_backend() -> BackendFactory:
    """Kubernetes and its flavours."""
    return BackendFactory(
        "kubernetes",
        "Kubernetes and its flavours: objects of the API, by version and by what a cluster has",
        create,
        extra="kubernetes",
        options=OPTIONS,
        flavours=FrozenDict({name: flavour.title for name, flavour in FLAVOURS.items()}),
        prices=Path(__file__).parent / "prices.yaml",
    )


@hook
def orch_register_reader() -> KubernetesReader:
    """Manifests of Kubernetes and OpenShift."""
    return KubernetesReader()


@hook
def orch_register_secret_provider() -> SecretProvider:
    """Values that stay in the manifests they stand in."""
    from orch_kubernetes.reader.provider import ManifestSecrets

    return ManifestSecrets()
