"""The kinds of objects that are made: where the API keeps each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch.frozen import FrozenDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_kubernetes.facts import ClusterFacts


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of an API version."""

    name: str
    api: str
    plural: str
    namespaced: bool = True

    def collection(self, namespace: str = "") -> str:
        """The path of all objects of a namespace, or of the cluster."""
        root = f"/apis/{self.api}" if "/" in self.api else f"/api/{self.api}"
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{inside}/{self.plural}"

    def path(self, namespace: str, name: str) -> str:
        """The path of one object."""
        return f"{self.collection(namespace)}/{name}"


_PLURALS: Mapping[str, tuple[str, str]] = FrozenDict(
    {
        "ServiceAccount": ("v1", "serviceaccounts"),
        "ConfigMap": ("v1", "configmaps"),
        "Secret": ("v1", "secrets"),
        "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
        "PriorityClass": ("scheduling.k8s.io/v1", "priorityclasses"),
        "Service": ("v1", "services"),
        "Deployment": ("apps/v1", "deployments"),
        "StatefulSet": ("apps/v1", "statefulsets"),
        "DaemonSet": ("apps/v1", "daemonsets"),
        "Job": ("batch/v1", "jobs"),
        "CronJob": ("batch/v1", "cronjobs"),
        "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
        "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
        "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
        "Ingress": ("networking.k8s.io/v1", "ingresses"),
        "Gateway": ("gateway.networking.k8s.io/v1", "gateways"),
        "HTTPRoute": ("gateway.networking.k8s.io/v1", "httproutes"),
        "Route": ("route.openshift.io/v1", "routes"),
    }
)
CLUSTER_WIDE = frozenset({"PriorityClass"})
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
CONTENT_NAMED = frozenset({"ConfigMap", "Secret"})
CLAIM = "PersistentVolumeClaim"
TEMPLATES: Mapping[str, tuple[str, ...]] = FrozenDict(
    {
        **dict.fromkeys(WORKLOADS[:-1], ("spec", "template")),
        "CronJob": ("spec", "jobTemplate", "spec", "template"),
    }
)
"""Where the template of pods stands in a workload."""


class Kinds:
    """Every kind that is made on a cluster of which these facts are known."""

    def __init__(self, facts: ClusterFacts) -> None:
        newer = {
            "CronJob": facts.cron_api,
            "HorizontalPodAutoscaler": facts.autoscaling_api,
            "PodDisruptionBudget": facts.disruption_api,
        }
        self.all = {
            name: Kind(name, newer.get(name, api), plural, name not in CLUSTER_WIDE)
            for name, (api, plural) in _PLURALS.items()
        }

    def of(self, body: Mapping[str, Any], kind: str = "") -> Kind:
        """The kind of a body, in the API version that it names."""
        name = str(body.get("kind") or kind)
        known = self.all[name]
        api = str(body.get("apiVersion") or known.api)
        return known if api == known.api else Kind(name, api, known.plural, known.namespaced)


def part(body: Any, path: tuple[str, ...]) -> Any:
    """What stands at a path of a body, an empty mapping when nothing does."""
    for key in path:
        body = (body or {}).get(key)
    return body or {}
