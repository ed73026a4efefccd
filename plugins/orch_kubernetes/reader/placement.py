"""Where pods may and should run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.types import Consequence, Fidelity
from orch_kubernetes.compile.placement import CONTROL_PLANE, HOST
from orch_kubernetes.compile.workload import EVICTED_AFTER, UNREACHABLE
from orch_kubernetes.reader.objects import selects, texts
from orch_kubernetes.reader.part import IMPLIED
from orch_kubernetes.reader.values import number_of, text_of

if TYPE_CHECKING:
    from orch.load.item import Item
    from orch.types import FieldPath
    from orch_kubernetes.reader.part import Part

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
BOUND = "how uneven they may stand is kept as a bound of replicas a node"
WISH = "a bound on how uneven they may stand is kept as a wish for an even spread"
_ATTRIBUTES = {
    "kubernetes.io/hostname": "node.hostname",
    "kubernetes.io/arch": "node.arch",
    "beta.kubernetes.io/arch": "node.arch",
    "kubernetes.io/os": "node.os",
    "beta.kubernetes.io/os": "node.os",
    "topology.kubernetes.io/zone": "node.labels.zone",
    "failure-domain.beta.kubernetes.io/zone": "node.labels.zone",
    "topology.kubernetes.io/region": "node.labels.region",
    "failure-domain.beta.kubernetes.io/region": "node.labels.region",
}
_EFFECTS = {
    "NoSchedule": "no_schedule",
    "PreferNoSchedule": "prefer_no_schedule",
    "NoExecute": "no_execute",
}


def attribute(label: str) -> str:
    """The attribute of the spec that a label of nodes means."""
    return _ATTRIBUTES.get(label, f"node.labels.{label}")


def _topology(key: str) -> str:
    return "node" if key == HOST else attribute(key).removeprefix("node.labels.")


class PlacementReader:
    """Writes the placement of one part."""

    def __init__(self, part: Part) -> None:
        self._part, self._writer, self._pod = part, part.writer, part.pod
        self._path = part.placement

    def write(self) -> None:
        """All that the pod says of nodes and of other pods."""
        self._node_selector()
        for toleration in self._tolerations():
            self._tolerate(toleration)
        affinity = self._pod.get("affinity")
        if affinity is not None:
            self._nodes(affinity)
            for key, field in (("podAffinity", "affinity"), ("podAntiAffinity", "anti_affinity")):
                pods = affinity.get(key)
                if pods is not None:
                    self._pods(pods, key, field)
        for spread in self._pod.get("topologySpreadConstraints") or ():
            self._spread(spread)

    def _add(self, key: str, item: Item, value: Any, **how: Any) -> None:
        path = (*self._path, key)
        self._writer.put((*path, self._writer.size(path)), item, value, **how)

    # -- nodes -----------------------------------------------------------------------------------

    def _node_selector(self) -> None:
        selector = self._pod.get("nodeSelector")
        found = texts(selector)
        system = next((k for k in found if attribute(k) == "node.os"), "")
        machine = next((k for k in found if attribute(k) == "node.arch"), "")
        if system and machine and selector is not None:
            said = f"{found[system]}/{found[machine]}"
            self._part.put(("platform",), selector.get(system), said)
            self._part.note(selector.get(machine), "", "platform")
        for key, item in selector.items() if selector is not None else ():
            if not item.ways and item.value:
                self._add("constraints", item, f"{attribute(key)} == {item.value}")

    def _nodes(self, affinity: Item) -> None:
        nodes = affinity.get("nodeAffinity")
        required = nodes.get(REQUIRED) if nodes is not None else None
        terms = list((required.get("nodeSelectorTerms") if required is not None else None) or ())
        base = ("affinity", "nodeAffinity")
        if len(terms) == 1 and (rules := _rules(terms[0])) is not None:
            for item, text in rules:
                self._add("constraints", item, text)
        elif required is not None:
            whole = required.get("nodeSelectorTerms")
            self._part.override((*base, REQUIRED, "nodeSelectorTerms"), whole)
        if nodes is not None:
            self._part.override((*base, PREFERRED), nodes.get(PREFERRED))

    # -- other pods ------------------------------------------------------------------------------

    def _pods(self, pods: Item, key: str, field: str) -> None:
        for when in (REQUIRED, PREFERRED):
            listed = pods.get(when)
            terms = [
                (wish, wish.get("podAffinityTerm") if when == PREFERRED else wish)
                for wish in listed or ()
            ]
            if not all(term is not None and self._named(term) for _, term in terms):
                self._part.override(("affinity", key, when), listed)
                continue
            for wish, term in terms:
                if term is not None:
                    self._near(field, wish, term, required=when == REQUIRED)

    def _named(self, term: Item) -> list[str]:
        """The parts that a term means; none when it means pods of elsewhere, too."""
        if term.get("namespaceSelector") is not None or term.get("namespaces") is not None:
            return []
        space = self._part.thing.namespace
        return [
            part.name for part in self._part.around.pods.meant(space, term.get("labelSelector"))
        ]

    def _near(self, field: str, wish: Item, term: Item, *, required: bool) -> None:
        topology = text_of(term.get("topologyKey"))
        for name in self._named(term):
            own = name == self._part.name and field == "anti_affinity"
            if required and own and topology == HOST:
                self._writer.put((*self._path, "max_replicas_per_node"), wish, 1)
                continue
            said: dict[str, Any] = {"service": name}
            if topology and topology != HOST:
                said["topology"] = _topology(topology)
            weight = number_of(wish.get("weight"))
            said |= {"required": True} if required else {"weight": weight or 1}
            self._add(field, wish, said)

    def _spread(self, spread: Item) -> None:
        key, when = text_of(spread.get("topologyKey")), text_of(spread.get("whenUnsatisfiable"))
        skew = number_of(spread.get("maxSkew")) or 1
        if when == "DoNotSchedule" and key == HOST and skew > 1:
            how: dict[str, Any] = {"outcome": Fidelity.DEGRADED, "reason": BOUND}
            self._writer.put((*self._path, "max_replicas_per_node"), spread, skew, **how)
            return
        said = {"spread": attribute(key)}
        firm = when == "DoNotSchedule" or skew > 1
        firm = firm or not selects(spread.get("labelSelector"), self._part.labels)
        outcome, reason = (Fidelity.DEGRADED, WISH) if firm else (Fidelity.NATIVE, IMPLIED)
        self._add("preferences", spread, said, outcome=outcome, reason=reason)

    # -- tolerations -----------------------------------------------------------------------------

    def _tolerations(self) -> list[Item]:
        """All but the pair that says what becomes of replicas on a silent node."""
        listed = list(self._pod.get("tolerations") or ())
        silent = [one for one in listed if _is_silent(one)]
        seconds = {number_of(one.get("tolerationSeconds")) for one in silent}
        pair = {text_of(one.get("key")) for one in silent} == set(UNREACHABLE)
        if self._part.is_job or not pair or seconds not in ({None}, {EVICTED_AFTER}):
            return listed
        said = "wait" if seconds == {None} else "replace"
        for one in silent:
            self._part.put(("deploy", "on_partition"), one, said, reason=IMPLIED)
        return [one for one in listed if one not in silent]

    def _tolerate(self, toleration: Item) -> None:
        path: FieldPath = (*self._path, "tolerations")
        here = (*path, self._writer.size(path))
        self._writer.set(here, {}, toleration)
        effect = toleration.get("effect")
        for key in ("key", "value"):
            if text_of(toleration.get(key)):
                self._writer.put((*here, key), toleration.get(key))
        if effect is not None and text_of(effect) in _EFFECTS:
            self._writer.put((*here, "effect"), effect, _EFFECTS[text_of(effect)])
        self._writer.put((*here, "seconds"), toleration.get("tolerationSeconds"))
        self._writer.note(here, toleration.get("operator"), Fidelity.NATIVE, IMPLIED)
        if not text_of(toleration.get("value")) and text_of(toleration.get("operator")) != "Exists":
            reason = "a taint of any value is accepted"
            self._writer.note(here, toleration, Fidelity.DEGRADED, reason, Consequence.COSMETIC)


def _is_silent(toleration: Item) -> bool:
    return (
        text_of(toleration.get("key")) in UNREACHABLE
        and text_of(toleration.get("effect")) == "NoExecute"
    )


def _rules(term: Item) -> list[tuple[Item, str]] | None:
    """Constraints for a term of a node selector, None when one can't be said."""
    found: list[tuple[Item, str]] = []
    for rule in term.get("matchFields") or ():
        text = _field(rule)
        if text is None:
            return None
        found.append((rule, text))
    for rule in term.get("matchExpressions") or ():
        text = _rule(rule)
        if text is None:
            return None
        found.append((rule, text))
    return found or None


def _field(rule: Item) -> str | None:
    values = [str(value.value) for value in rule.get("values") or ()]
    if text_of(rule.get("key")) != "metadata.name" or len(values) != 1:
        return None
    return f"node.id {'==' if text_of(rule.get('operator')) == 'In' else '!='} {values[0]}"


def _rule(rule: Item) -> str | None:
    key, operator = text_of(rule.get("key")), text_of(rule.get("operator"))
    values = [str(value.value) for value in rule.get("values") or ()]
    if operator in ("In", "NotIn") and values and all(values):
        if len(values) == 1:
            return f"{attribute(key)} {'==' if operator == 'In' else '!='} {values[0]}"
        joined = ", ".join(values)
        return f"{attribute(key)} {'in' if operator == 'In' else 'not in'} ({joined})"
    if key == CONTROL_PLANE and operator in ("Exists", "DoesNotExist"):
        return f"node.role {'==' if operator == 'Exists' else '!='} manager"
    return None
