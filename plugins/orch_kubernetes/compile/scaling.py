"""Autoscalers, disruption budgets and priorities."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from orch.compile.view import ListView
from orch.types import Consequence, Fidelity
from orch_kubernetes import names

if TYPE_CHECKING:
    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import Read, View
    from orch.spec.application import Service
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope
    from orch_kubernetes.compile.pod import Pod

ADAPTER = "a metrics adapter must serve it, such as the one of Prometheus"
UNMEASURED = "it is a share of what is asked for, and {} asks for none: nothing is scaled"
ASK = "reserve or limit some {} for it"
REQUESTS = "requests_per_second"
PRIORITY_STEP = 1_000_000
"""Priorities of 0 to 100 lie between 0 and a tenth of the highest one that users may have."""
LONGEST_DELAY = 3600


def compile_autoscale(scope: Scope, name: str, view: View, workload: str) -> None:
    """The autoscaler of one service."""
    autoscale = view.autoscale
    if autoscale is None:
        return
    if workload == "DaemonSet":
        scope.make.lose(autoscale, "every node has one", "use mode: replicated")
        return
    called = names.object_name(name)
    facts = scope.facts
    resource = scope.begin(
        facts.autoscaling_api, "HorizontalPodAutoscaler", f"autoscale/{name}", called
    )
    resource.depend(f"service/{name}")
    target = {"apiVersion": "apps/v1", "kind": workload, "name": called}
    resource.set("spec.scaleTargetRef", target)
    _bounds(resource, autoscale)
    metrics = autoscale.metrics if isinstance(autoscale.metrics, ListView) else ()
    for index, metric in enumerate(metrics):
        _metric(scope, resource, ("spec", "metrics", index), metric, view.value)
    for field, key in (("scale_up_delay", "scaleUp"), ("scale_down_delay", "scaleDown")):
        read = autoscale.field(field)
        whole = min(ceil(read.value.seconds), LONGEST_DELAY)
        path = ("spec", "behavior", key, "stabilizationWindowSeconds")
        rounded = whole != read.value.seconds
        reason = "whole seconds, an hour at the most"
        outcome = Fidelity.DEGRADED if rounded else Fidelity.NATIVE
        resource.put(path, read, value=whole, outcome=outcome, reason=reason if rounded else "")


def _bounds(resource: ResourceBuilder, autoscale: View) -> None:
    least = autoscale.value.min
    how: dict[str, Any] = {}
    if least == 0:
        how = {"outcome": Fidelity.DEGRADED, "reason": "one replica is kept, to be measured"}
    resource.put("spec.minReplicas", autoscale.field("min"), value=max(least, 1), **how)
    resource.put("spec.maxReplicas", autoscale.field("max"))


def _metric(
    scope: Scope, resource: ResourceBuilder, path: FieldPath, metric: View, service: Service
) -> None:
    value, put = metric.value, resource.put
    if value.type in ("cpu", "memory"):
        how = _measured(scope, value.type, service)
        resource.set((*path, "type"), "Resource")
        put((*path, "resource", "name"), metric.type, **how)
        target = (*path, "resource", "target")
        resource.set((*target, "type"), "Utilization")
        put((*target, "averageUtilization"), metric.target, value=round(value.target), **how)
        return
    told: dict[str, Any] = {"outcome": Fidelity.DEGRADED, "reason": ADAPTER}
    resource.set((*path, "type"), "Pods")
    pods = (*path, "pods")
    put((*pods, "metric", "name"), metric.type, metric.name, value=value.name or REQUESTS, **told)
    resource.set((*pods, "target", "type"), "AverageValue")
    amount = f"{round(value.target * 1000)}m" if value.target % 1 else str(int(value.target))
    put((*pods, "target", "averageValue"), metric.target, value=amount, **told)


def _measured(scope: Scope, kind: str, service: Service) -> dict[str, Any]:
    """How well use can be measured: against requests of all containers, where none is given."""
    field = "cpus" if kind == "cpu" else kind
    if field in scope.facts.flavour.minimum:
        return {}
    parts = [("it", (service.deploy.resources, service.resources))]
    sides = service.sidecars.items()
    parts += [(f"its sidecar {name!r}", (side.resources, None)) for name, side in sides]
    for called, found in parts:
        bounds = (b for r in found if r is not None for b in (r.reservations, r.limits))
        if all(getattr(bound, field, None) is None for bound in bounds):
            return {
                "outcome": Fidelity.DEGRADED,
                "reason": UNMEASURED.format(called),
                "mend": ASK.format(kind),
                "consequence": Consequence.AVAILABILITY,
            }
    return {}


def compile_disruption(scope: Scope, name: str, view: View, workload: str) -> None:
    """The disruption budget of one service."""
    disruption = view.deploy.disruption
    if disruption is None:
        return
    if workload == "DaemonSet":
        told = "a node that is drained keeps what runs on every node"
        scope.make.lose(disruption, told, "", Consequence.COSMETIC)
        return
    resource = scope.begin(
        scope.facts.disruption_api,
        "PodDisruptionBudget",
        f"disruption/{name}",
        names.object_name(name),
    )
    resource.set("spec.selector.matchLabels", names.selector(scope.app.name, name))
    resource.put("spec.maxUnavailable", disruption.max_unavailable)
    resource.put("spec.minAvailable", disruption.min_available)
    said = disruption.value
    if said.max_unavailable is None and said.min_available is None:
        resource.set("spec.maxUnavailable", 1)
        resource.rate(("spec",), disruption.here, Fidelity.NATIVE, "")


# -- priorities --------------------------------------------------------------------------------


def compile_priorities(scope: Scope) -> None:
    """A class for each priority that is used; classes belong to no namespace."""
    used = {service.deploy.priority for service in scope.app.services.values()}
    used |= {job.priority for job in scope.app.jobs.values()}
    for priority in sorted(one for one in used if one is not None):
        resource = scope.begin(
            "scheduling.k8s.io/v1",
            "PriorityClass",
            f"priority/{priority}",
            _class_name(scope, priority),
        )
        resource.set("value", priority * PRIORITY_STEP)
        resource.set("description", f"Priority {priority} of {scope.app.name}")


def _class_name(scope: Scope, priority: int) -> str:
    return f"{names.object_name(scope.app.name)}-{priority}"


def use_priority(scope: Scope, pod: Pod, read: Read | None) -> None:
    """Let a pod have a priority."""
    if read is not None:
        pod.resource.depend(f"priority/{read.value}")
        value = _class_name(scope, read.value)
        pod.resource.put((*pod.base, "priorityClassName"), read, value=value)
