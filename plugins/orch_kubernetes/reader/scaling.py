"""Autoscalers, disruption budgets and priorities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.load.item import Item
from orch.types import Consequence, Fidelity
from orch_kubernetes.compile.scaling import PRIORITY_STEP, REQUESTS
from orch_kubernetes.reader.part import DEFAULT, IMPLIED, note_identity
from orch_kubernetes.reader.values import number_of, quantity, seconds, share, text_of

if TYPE_CHECKING:
    from orch.types import FieldPath
    from orch_kubernetes.reader.objects import Thing
    from orch_kubernetes.reader.part import Around, Part

USUAL_CPU = 80
HIGHEST = 100
ABSOLUTE = "use is measured in per cent of the reservation, or by a metric for each pod"
DECIDES = "the autoscaler decides how many there are"
USUAL_PACE = {
    "scaleUp": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
    "scaleDown": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}
_DELAYS = (("scaleUp", "scale_up_delay"), ("scaleDown", "scale_down_delay"))


def write_scaling(around: Around) -> None:
    """All of them."""
    for thing in around.objects.of_kind("HorizontalPodAutoscaler"):
        _autoscale(around, thing)
    for thing in around.objects.of_kind("PodDisruptionBudget"):
        _disruption(around, thing)
    for part in around.parts:
        _priority(part)


def _target(around: Around, thing: Thing) -> Part | None:
    aim = thing.at("spec", "scaleTargetRef")
    kind, name = (text_of(aim.get(key)) if aim is not None else "" for key in ("kind", "name"))
    found = around.objects.find(kind, name, thing.namespace)
    part = around.part_of(found) if found is not None else None
    return part if part is not None and not part.is_global and not part.is_job else None


def _autoscale(around: Around, thing: Thing) -> None:
    part, spec = _target(around, thing), thing.item.get("spec") or Item({})
    most = number_of(spec.get("maxReplicas"))
    if part is None or most is None:
        return
    path = part.at("autoscale")
    note_identity(part.writer, thing, path)
    part.note(spec.get("scaleTargetRef"), IMPLIED, "autoscale")
    least = number_of(spec.get("minReplicas"))
    if least is not None:
        part.put(("autoscale", "min"), spec.get("minReplicas"), least)
    part.put(("autoscale", "max"), spec.get("maxReplicas"))
    for metric in spec.get("metrics") or ():
        _metric(part, metric)
    cpu = spec.get("targetCPUUtilizationPercentage")
    if cpu is not None:
        _add(part, cpu, {"type": "cpu", "target": cpu.value})
    _by_annotation(part, thing)
    if not part.writer.get((*path, "metrics")):
        _add(part, spec.derive({}), {"type": "cpu", "target": USUAL_CPU})
    for key, field in _DELAYS:
        window = spec.at("behavior", key, "stabilizationWindowSeconds")
        if number_of(window) is not None:
            part.put(("autoscale", field), window, seconds(number_of(window) or 0))
        _pace(part, spec.at("behavior", key), key)
    _size(part, least or 1, most)


def _pace(part: Part, behavior: Item | None, key: str) -> None:
    """The usual pace, which a cluster writes out beside whatever else is said of it."""
    if behavior is None or behavior.get("policies") is None:
        return
    said = {name: item.plain() for name, item in behavior.items()}
    if said.get("selectPolicy", "Max") == "Max" and said["policies"] == USUAL_PACE[key]:
        part.note(behavior.get("policies"), DEFAULT)
        part.note(behavior.get("selectPolicy"), DEFAULT)


def _size(part: Part, least: int, most: int) -> None:
    """A first size outside the autoscaler's bounds would be refused."""
    said = part.thing.at("spec", "replicas")
    if said is not None and not least <= part.replicas <= most:
        part.writer.get(part.at("deploy")).pop("replicas", None)
        part.writer.note(part.at("autoscale"), said, Fidelity.DEGRADED, DECIDES,
            Consequence.COSMETIC)  # fmt: skip


def _by_annotation(part: Part, thing: Thing) -> None:
    """Before version 2, conditions and behaviour stood in annotations."""
    for key, item in (thing.at("metadata", "annotations") or Item({})).items():
        if key.startswith("autoscaling.alpha.kubernetes.io/") and not item.ways:
            part.note(item, "the cluster writes it")


def _add(part: Part, item: Item, said: dict[str, Any], **how: Any) -> None:
    path = part.at("autoscale", "metrics")
    index = part.writer.size(path)
    part.writer.put((*path, index), item, said, **how)


def _metric(part: Part, metric: Item) -> None:
    kind = text_of(metric.get("type"))
    resource, pods = metric.get("resource"), metric.get("pods")
    if kind == "Resource" and resource is not None:
        name = text_of(resource.get("name"))
        old = resource.get("targetAverageUtilization")
        share_ = number_of(resource.at("target", "averageUtilization") or old)
        if name in ("cpu", "memory") and share_:
            _add(part, metric, {"type": name, "target": share_}, reason=IMPLIED)
            return
    if kind == "Pods" and pods is not None:
        name = text_of(pods.at("metric", "name") or pods.get("metricName"))
        said = pods.at("target", "averageValue") or pods.get("targetAverageValue")
        amount = quantity(said.value) if said is not None else None
        if name and amount:
            target = int(amount) if amount == int(amount) else float(amount)
            known = {"type": "requests"} if name == REQUESTS else {"type": "custom", "name": name}
            _add(part, metric, {**known, "target": target}, reason=IMPLIED)
            return
    mend = "measure it for each pod, or in per cent"
    part.writer.lose(metric, ABSOLUTE, mend, Consequence.AVAILABILITY)


def _disruption(around: Around, thing: Thing) -> None:
    spec = thing.item.get("spec") or Item({})
    meant = around.pods.meant(thing.namespace, spec.get("selector"))
    parts = [part for part in meant if not part.is_job]
    for part in parts:
        path: FieldPath = part.at("deploy", "disruption")
        note_identity(part.writer, thing, path)
        part.note(spec.get("selector"), "", "deploy", "disruption")
        for key, field, up in (
            ("maxUnavailable", "max_unavailable", False),
            ("minAvailable", "min_available", True),
        ):
            item = spec.get(key)
            number = share(item.value, part.replicas, up=up) if item is not None else None
            if number is None or part.writer.get(path):
                continue
            whole = not isinstance(item and item.value, str)
            outcome = Fidelity.NATIVE if whole else Fidelity.DEGRADED
            reason = "" if whole else f"a share of the {part.replicas} replicas that there are now"
            part.writer.put((*path, field), item, number, outcome=outcome, reason=reason)


def _priority(part: Part) -> None:
    item = part.pod.get("priorityClassName")
    number = part.pod.get("priority")
    part.note(number, "its class says it")
    if item is None or not item.value:
        part.note(item, DEFAULT)
        return
    thing = part.around.objects.find("PriorityClass", text_of(item), "")
    value = number_of(thing.at("value")) if thing is not None else None
    if thing is None or value is None:
        part.override(("priorityClassName",), item)
        return
    rank = max(0, min(HIGHEST, round(value / PRIORITY_STEP)))
    keys = ("priority",) if part.is_job else ("deploy", "priority")
    exact = rank * PRIORITY_STEP == value
    outcome = Fidelity.NATIVE if exact else Fidelity.DEGRADED
    reason = "" if exact else f"a priority is a number from 0 to {HIGHEST}"
    part.put(keys, item, rank, outcome=outcome, reason=reason)
    note_identity(part.writer, thing, part.at(*keys))
    part.writer.note(part.at(*keys), thing.at("value"), outcome, reason)
    part.note(thing.at("description"), "its number counts")
