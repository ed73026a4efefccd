"""Where pods may and should run: affinity to nodes and pods, spreading, tolerations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.compile.view import ListView
from orch.spec.constraint import Constraint, ConstraintFault, parse_constraint
from orch.types import Consequence, Fidelity
from orch_kubernetes import names
from orch_kubernetes.compile.objects import count

if TYPE_CHECKING:
    from orch.compile.view import View
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope
    from orch_kubernetes.compile.pod import Pod

HOST = "kubernetes.io/hostname"
APART = "replicas refuse a node that has one"
SKEW = "no node gets that many more than the emptiest one: an even spread, no bound"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_EFFECTS = {
    "no_schedule": "NoSchedule",
    "prefer_no_schedule": "PreferNoSchedule",
    "no_execute": "NoExecute",
}


class Unsayable(ValueError):
    """A constraint that Kubernetes has no words for."""


def requirement(rule: Constraint) -> tuple[str, dict[str, Any]]:
    """A constraint as a node selector's term: `matchExpressions` or `matchFields`, and the term.

    Raises Unsayable.
    """
    if rule.operator == "=~":
        raise Unsayable("labels are compared as whole values: ==, !=, in and not in")
    inside = rule.operator in ("==", "in")
    operator, values = "In" if inside else "NotIn", list(rule.values)
    if rule.attribute == "node.id":
        if len(values) > 1:
            raise Unsayable("a node's own name is compared with one value")
        return "matchFields", {"key": "metadata.name", "operator": operator, "values": values}
    if rule.attribute == "node.role":
        managers = inside == (values == ["manager"])
        return "matchExpressions", {
            "key": CONTROL_PLANE,
            "operator": "Exists" if managers else "DoesNotExist",
        }
    if rule.attribute == "node.ip" or rule.attribute.startswith(("node.attributes.", "engine.")):
        raise Unsayable("nodes are chosen by their labels alone")
    key = names.node_label(rule.attribute)
    if not names.is_key(key) or not all(names.is_label_value(value) for value in values):
        raise Unsayable("it is no legal label of a node")
    return "matchExpressions", {"key": key, "operator": operator, "values": values}


class PlacementCompiler:
    """Writes the placement of one service or job into its pods."""

    def __init__(self, scope: Scope, pod: Pod, name: str) -> None:
        self._scope, self._pod, self._name = scope, pod, name
        self._make, self._resource = scope.make, pod.resource
        self._affinity = (*pod.base, "affinity")

    def compile(self, placement: View) -> None:
        """Everything under `placement`."""
        if placement.value.constraints or placement.constraints.authored:
            self._constraints(placement)
        for preference in _each(placement.preferences):
            path = self._spread("ScheduleAnyway", 1)
            key = names.node_label(preference.value.spread)
            self._resource.put((*path, "topologyKey"), preference.spread, value=key)
        for kind, key in (("affinity", "podAffinity"), ("anti_affinity", "podAntiAffinity")):
            for wish in _each(placement.field(kind)):
                self._near((*self._affinity, key), wish)
        for toleration in _each(placement.tolerations):
            self._tolerate(toleration)
        if placement.value.max_replicas_per_node is not None:
            self._most(placement)

    def _constraints(self, placement: View) -> None:
        path = (*self._affinity, "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution",
                "nodeSelectorTerms", 0)  # fmt: skip
        for text in placement.value.constraints:
            try:
                key, term = requirement(parse_constraint(text))
            except (ConstraintFault, Unsayable) as fault:
                self._make.reject(
                    placement.constraints,
                    f"{text!r}: {fault}",
                    "give the nodes that are meant one label, and ask for it",
                )
                return
            place = (*path, key)
            place = (*place, count(self._resource, place) if self._pod.standing(place) else 0)
            self._resource.set(place, term)
            for part in term:
                self._resource.rate((*place, part), placement.constraints, Fidelity.NATIVE, "")

    def _spread(self, unless: str, skew: int) -> FieldPath:
        base = (*self._pod.base, "topologySpreadConstraints")
        path = (*base, count(self._resource, base))
        self._resource.set((*path, "maxSkew"), skew)
        self._resource.set((*path, "whenUnsatisfiable"), unless)
        match = names.selector(self._scope.app.name, self._name)
        self._resource.set((*path, "labelSelector", "matchLabels"), match)
        return path

    def _near(self, base: FieldPath, wish: View) -> None:
        value, put = wish.value, self._resource.put
        when = "required" if value.required else "preferred"
        base = (*base, f"{when}DuringSchedulingIgnoredDuringExecution")
        entry = (*base, count(self._resource, base))
        term = entry
        if value.required:
            said = "a rule has no weight"
            self._make.lose(wish.weight, said, "", Consequence.COSMETIC)
        else:
            put((*entry, "weight"), wish.weight)
            term = (*entry, "podAffinityTerm")
        self._resource.set((*term, "topologyKey"), HOST)
        match = names.selector(self._scope.app.name, value.service)
        put((*term, "labelSelector", "matchLabels"), wish.service, value=match)
        put((*term, "topologyKey"), wish.topology, value=names.node_label(value.topology))
        self._resource.rate((*term, "topologyKey"), wish.required, Fidelity.NATIVE, "")

    def _tolerate(self, toleration: View) -> None:
        value, put = toleration.value, self._resource.put
        base = (*self._pod.base, "tolerations")
        path = (*base, count(self._resource, base))
        self._resource.set((*path, "operator"), "Exists" if value.value is None else "Equal")
        put((*path, "key"), toleration.field("key"))
        put((*path, "value"), toleration.field("value"))
        if value.effect is not None:
            put((*path, "effect"), toleration.effect, value=_EFFECTS[value.effect])
        if value.seconds is None:
            return
        if value.effect == "no_execute":
            put((*path, "tolerationSeconds"), toleration.seconds)
        else:
            self._make.lose(toleration.seconds, "only a no_execute taint drives pods away")

    def _most(self, placement: View) -> None:
        read = placement.max_replicas_per_node
        if read.value > 1:
            path = self._spread("DoNotSchedule", read.value)
            self._resource.set((*path, "topologyKey"), HOST)
            how: dict[str, Any] = {"outcome": Fidelity.DEGRADED, "reason": SKEW}
            self._resource.put((*path, "maxSkew"), read, **how)
            return
        base = (*self._affinity, "podAntiAffinity",
                "requiredDuringSchedulingIgnoredDuringExecution")  # fmt: skip
        path = (*base, count(self._resource, base))
        match = names.selector(self._scope.app.name, self._name)
        self._resource.set((*path, "labelSelector", "matchLabels"), match)
        how = {"outcome": Fidelity.EMULATED, "reason": APART}
        self._resource.put((*path, "topologyKey"), read, value=HOST, **how)


def _each(views: Any) -> ListView | tuple[()]:
    return views if isinstance(views, ListView) else ()
