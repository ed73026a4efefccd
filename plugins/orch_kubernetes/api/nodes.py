"""Whether any node bears the labels that pods ask for; the scheduler judges all else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.errors import Denied
from orch.types import Diagnostic, Severity
from orch_kubernetes.api.kinds import TEMPLATES, part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orch.types import Resource
    from orch_kubernetes.api.client import KubernetesClient
    from orch_kubernetes.facts import ClusterFacts

Row = dict[str, Any]
Labels = dict[str, str]
FIXED = ("plain", "k3s", "openshift", "tanzu")
"""Flavours whose nodes are what they are; others add nodes for pods that wait."""
_REQUIRED = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")


def homeless(
    client: KubernetesClient, facts: ClusterFacts, resources: Iterable[Resource]
) -> Iterator[Diagnostic]:
    """What no node can take, with what each lacks. Nodes that may not be seen are not judged."""
    asking = [(resource, pod) for resource in resources if _asks(pod := pod_of(resource.body))]
    if not asking:
        return
    try:
        nodes = client.listed("/api/v1/nodes", metadata=True)
    except Denied:
        return
    severity = Severity.ERROR if facts.flavour.name in FIXED else Severity.WARNING
    for resource, pod in asking:
        lacking = [why for node in nodes if (why := refusal(node, pod))]
        if len(lacking) == len(nodes):
            noun, _, name = resource.id.partition("/")
            where = ("placement",) if noun == "job" else ("deploy", "placement")
            told = "; ".join(dict.fromkeys(lacking)) or "the cluster has none"
            yield Diagnostic(
                f"no node can take it: {told}",
                (f"{noun}s", name, *where),
                mend="change the placement, or label a node",
                severity=severity,
            )


def pod_of(body: Mapping[str, Any]) -> Row:
    """The spec of a workload's pods, empty for what has none."""
    path = TEMPLATES.get(str(body.get("kind")))
    found: Row = part(body, (*path, "spec")) if path else {}
    return found


def _asks(pod: Row) -> bool:
    return bool(pod.get("nodeSelector") or part(pod, _REQUIRED))


def refusal(node: Row, pod: Row) -> str:
    """What a node lacks, empty when it has all the labels that are asked for."""
    name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
    for key, value in (pod.get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            return f"{name} has not {key}={value}"
    terms = part(pod, _REQUIRED).get("nodeSelectorTerms") or ()
    missing = [_unmet(term, labels, name) for term in terms]
    return missing[0] if missing and all(missing) else ""


def _unmet(term: Row, labels: Labels, name: str) -> str:
    for rule in (*term.get("matchExpressions", ()), *_fields(term)):
        held = {**labels, "metadata.name": name}.get(rule["key"])
        if not _MEETS[rule["operator"]](held, rule.get("values") or []):
            values = ", ".join(map(str, rule.get("values") or ()))
            return f"{name} has not {rule['key']} {rule['operator']} {values}".rstrip()
    return ""


def _fields(term: Row) -> tuple[Row, ...]:
    return tuple(term.get("matchFields", ()))


_MEETS: Mapping[str, Any] = {
    "In": lambda held, values: held in values,
    "NotIn": lambda held, values: held not in values,
    "Exists": lambda held, _values: held is not None,
    "DoesNotExist": lambda held, _values: held is None,
    "Gt": lambda held, values: held is not None and held.isdigit() and int(held) > int(values[0]),
    "Lt": lambda held, values: held is not None and held.isdigit() and int(held) < int(values[0]),
}
