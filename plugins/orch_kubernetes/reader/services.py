"""Services: the names of parts inside the application, and their ports to the outside."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orch.load.item import Item
from orch.types import Consequence, Fidelity
from orch_kubernetes.compile.network import HEADLESS, POD_NAME
from orch_kubernetes.reader.container import has_port_name, ports_of, standing_port
from orch_kubernetes.reader.objects import Pods
from orch_kubernetes.reader.part import DEFAULT, IMPLIED, note_identity
from orch_kubernetes.reader.probes import part_port
from orch_kubernetes.reader.values import number_of, spec_name, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch.types import FieldPath
    from orch_kubernetes.reader.objects import Objects, Thing
    from orch_kubernetes.reader.part import Around, Part

_GENERATED = re.compile(r"(tcp|udp|sctp)-\d+|\d+(-(tcp|udp|sctp))?|port-?\d*")
_OUTSIDE = ("LoadBalancer", "NodePort")
_DEFAULTS: Mapping[str, Sequence[Any]] = {
    "sessionAffinity": ("None",),
    "externalTrafficPolicy": ("Cluster", "Local"),
    "internalTrafficPolicy": ("Cluster",),
    "ipFamilyPolicy": ("SingleStack",),
    "allocateLoadBalancerNodePorts": (True,),
}
ITS_NAME = "inside the application it answers on the container's port, and not on this one"
SELF_CHOSEN = "the cluster would choose the port; here it is this one"
OWN_NAME = "the port is open to the outside; inside, the service's own name is used"
PRIVATE = "it keeps the port inside a private network, and a published one is open to all"
GUARD = "remove `published`, or guard the port with a firewall"
PUBLISHED = "its address is the platform's"


class ServiceReader:
    """Writes what the Services of an application say of its parts."""

    def __init__(self, around: Around) -> None:
        self._around, self._writer = around, around.writer
        self._parts = around.parts
        self._published = around.published
        self.ports: dict[tuple[str, str, int | str], tuple[Part, int]] = {}
        """Part and port behind a port of a Service: by its namespace and name, number or name."""
        self.behind: dict[tuple[str, str], list[Part]] = {}
        self._things = list(around.objects.of_kind("Service"))

    def write(self) -> None:
        """All of them: those inside first, so that they give ports their names."""
        for thing in sorted(self._things, key=_is_outside):
            self._one(thing)

    def _one(self, thing: Thing) -> None:
        parts = self._around.pods.with_labels(thing.namespace, thing.texts("spec", "selector"))
        if not parts:
            pod = thing.texts("spec", "selector").get(POD_NAME, "")
            owner = next((p for p in self._parts if pod.startswith(f"{p.thing.name}-")), None)
            if owner is not None:
                reason = "replicas with storage or an order of their own have these names anyway"
                self._writer.note(owner.path, thing.item, Fidelity.NATIVE, reason)
                note_identity(self._writer, thing, owner.path)
            return
        self.behind[thing.namespace, thing.name] = parts
        note_identity(self._writer, thing, parts[0].path)
        self._writer.note(parts[0].path, thing.at("spec", "selector"), Fidelity.NATIVE, IMPLIED)
        for key, item in (thing.at("metadata", "labels") or Item({})).items():
            if not item.ways and parts[0].labels.get(key) == item.value:
                path = (*parts[0].path, "labels")
                self._writer.note(path, item, Fidelity.NATIVE, "its pods have it")
        self._settings(thing, parts)
        for part in parts:
            self._called(thing, part)
            for port in thing.at("spec", "ports") or ():
                self._port(thing, part, port, alone=len(parts) == 1)

    def _settings(self, thing: Thing, parts: Sequence[Part]) -> None:
        spec, part = thing.item.get("spec") or Item({}), parts[0]
        self._endpoints(thing, spec, parts)
        for key, said in (thing.at("metadata", "annotations") or Item({})).items():
            if _is_outside(thing) and "internal" in f"{key} {said.value}".lower():
                self._writer.lose(said, PRIVATE, GUARD, Consequence.SECURITY)
        for key in ("clusterIPs", "ipFamilies", "healthCheckNodePort", "loadBalancerClass"):
            part.note(spec.get(key), PUBLISHED)
        for key, usual in _DEFAULTS.items():
            item = spec.get(key)
            if item is not None and item.value in usual:
                part.note(item, DEFAULT)
        early = spec.get("publishNotReadyAddresses")
        if early is not None and (not early.value or _is_headless(thing)):
            part.note(early, DEFAULT)
        for leaf in spec.leaves():
            if not leaf.ways and leaf.value in (None, {}, [], ""):
                part.note(leaf, DEFAULT)

    def _endpoints(self, thing: Thing, spec: Item, parts: Sequence[Part]) -> None:
        """One address for all replicas, or the replicas' own."""
        part, address, kind = parts[0], spec.get("clusterIP"), spec.get("type")
        main = part.name == thing.name and not part.is_job
        if _is_headless(thing):
            ports = spec.get("ports")
            for one in parts if main and ports is not None and ports.value else ():
                one.put(("deploy", "endpoint_mode"), address, "dnsrr")
            part.note(address, "replicas are found by its name")
        else:
            part.note(address, PUBLISHED)
        said = self._writer.get(part.at("deploy", "endpoint_mode"))
        if text_of(kind) == "ClusterIP" and main and not said:
            part.put(("deploy", "endpoint_mode"), kind, "vip")
        part.note(kind, DEFAULT)

    def _called(self, thing: Thing, part: Part) -> None:
        """The Service's name, as a further name of a part that has another one."""
        name = thing.at("metadata", "name")
        if thing.name == part.name or name is None:
            return
        if _is_outside(thing):
            self._writer.note(part.path, name, Fidelity.EMULATED, OWN_NAME, Consequence.NETWORK)
            return
        if part.writer.get(part.at("network_mode")) is not None:
            reason = "a part in the network of its host has no further names"
            self._writer.note(part.path, name, Fidelity.DEGRADED, reason, Consequence.NETWORK)
            return
        networks = self._writer.get(part.at("networks")) or {}
        network = next(iter(networks), "default")
        if network == "default":
            self._writer.set(("networks", "default"), {}, name)
        path = part.at("networks", network, "aliases")
        if thing.name not in (self._writer.get(path) or ()):
            self._writer.set((*path, self._writer.size(path)), thing.name, name)

    # -- ports -----------------------------------------------------------------------------------

    def _port(self, thing: Thing, part: Part, port: Item, *, alone: bool) -> None:
        number = number_of(port.get("port"))
        target = _target(part, port.get("targetPort"), number)
        if number is None or target is None or part.is_job:
            return
        protocol = text_of(port.get("protocol")).lower() or "tcp"
        here = standing_port(part, target, protocol)
        if here is None:
            here = part.at("ports", self._writer.size(part.at("ports")))
            aim = port.get("targetPort")
            self._writer.put(
                (*here, "target"), aim if aim is not None else port.get("port"), target
            )
            if protocol != "tcp":
                self._writer.set((*here, "protocol"), protocol, port)
        for key in ("protocol", "targetPort"):
            self._writer.note(here, port.get(key), Fidelity.NATIVE, IMPLIED)
        self._name(part, here, port)
        known: tuple[int | str, ...] = (number, text_of(port.get("name")))
        for said in known:
            self.ports.setdefault((thing.namespace, thing.name, said), (part, target))
        spoken = port.get("appProtocol")
        if spoken is not None and (
            self._writer.get((*here, "app_protocol")) in (None, spoken.value)
        ):
            self._writer.put((*here, "app_protocol"), spoken)
        outside = _is_outside(thing)
        if outside:
            self._publish(thing, part, port, here, alone=alone)
        moved = number != target and not _is_headless(thing)
        if moved and not (outside and thing.name != part.name):
            reason = f"{ITS_NAME}: {part.name}:{target}"
            path = (*here, "target")
            self._writer.note(
                path, port.get("port"), Fidelity.DEGRADED, reason, Consequence.NETWORK
            )
        elif not outside:
            self._writer.note((*here, "target"), port.get("port"), Fidelity.NATIVE, IMPLIED)

    def _name(self, part: Part, here: FieldPath, port: Item) -> None:
        name, standing = port.get("name"), self._writer.get((*here, "name"))
        said = text_of(name)
        fits = said and not _GENERATED.fullmatch(said) and not has_port_name(part, said)
        if standing is None and fits:
            self._writer.put((*here, "name"), name)
        elif name is not None:
            reason = "the container's own name of the port counts"
            self._writer.note(here, name, Fidelity.NATIVE, reason if standing else IMPLIED)

    def _publish(
        self, thing: Thing, part: Part, port: Item, here: FieldPath, *, alone: bool
    ) -> None:
        writer, chosen = self._writer, port.get("nodePort")
        by_node = text_of(thing.at("spec", "type")) == "NodePort"
        item = chosen if by_node and number_of(chosen) else port.get("port")
        if item is None:
            return
        number = number_of(item) or 0
        protocol = str(writer.get((*here, "protocol")) or "tcp")
        taken = self._published.setdefault((number, protocol), part.name)
        if taken != part.name or (not alone and writer.get((*here, "published")) is not None):
            reason = f"{taken} is published on this port already, and both would share an address"
            mend = "use a route, or another port"
            writer.lose(port.get("port"), reason, mend, Consequence.NETWORK)
            writer.note(here, chosen, Fidelity.NATIVE, IMPLIED)
            return
        standing = writer.get((*here, "published"))
        if standing is not None and standing != number:
            here = self._again(part, here)
        free = by_node and item is not chosen
        outcome = Fidelity.DEGRADED if free else Fidelity.NATIVE
        reason = SELF_CHOSEN if free else ""
        writer.put((*here, "published"), item, outcome=outcome, reason=reason,
            consequence=Consequence.NETWORK)  # fmt: skip
        for key in ("port", "nodePort"):
            writer.note((*here, "published"), port.get(key), Fidelity.NATIVE, IMPLIED)

    def _again(self, part: Part, here: FieldPath) -> FieldPath:
        """A second way in to a port that is published already."""
        standing = self._writer.get(here)
        fresh = (*here[:-1], self._writer.size(here[:-1]))
        place = part.thing.item
        self._writer.set((*fresh, "target"), standing["target"], place)
        if "protocol" in standing:
            self._writer.set((*fresh, "protocol"), standing["protocol"], place)
        return fresh


def _is_headless(thing: Thing) -> bool:
    return text_of(thing.at("spec", "clusterIP")) == HEADLESS


def _is_outside(thing: Thing) -> bool:
    return text_of(thing.at("spec", "type")) in _OUTSIDE


def _target(part: Part, aim: Item | None, number: int | None) -> int | None:
    """The container's port that is meant."""
    if aim is None or aim.value in ("", 0):
        return number
    if isinstance(aim.value, str):
        return int(aim.value) if aim.value.isdigit() else part_port(part, aim.value)
    return number_of(aim)


def has_port(part: Part, port: int) -> bool:
    """Whether a route may lead to a port of a part."""
    return any(said["target"] == port for _, said in ports_of(part))


# -- names -------------------------------------------------------------------------------------


def names_of(
    things: Sequence[Thing], objects: Objects, labels: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """What each workload is called in the spec.

    Others find it by the name of its Service, so that one counts; where several Services lead to
    it, or one leads to several, its own name does.
    """
    own = {(thing.namespace, thing.name) for thing in things}
    leading = _leading(things, objects, labels)
    found: dict[str, str] = {}
    taken: set[str] = set()
    for thing in things:
        wishes = [thing.name, f"{thing.namespace}-{thing.name}", f"{thing.name}-{thing.kind}"]
        first = next(iter(leading.get(key_of(thing), ())), thing.name)
        if thing.name not in leading.get(key_of(thing), ()) and (thing.namespace, first) not in own:
            wishes.insert(0, first)
        names = (spec_name(wish.strip("-").lower()) for wish in [*wishes, key_of(thing)])
        name = found[key_of(thing)] = next(name for name in names if name not in taken)
        taken.add(name)
    return found


def _leading(
    things: Sequence[Thing], objects: Objects, labels: Mapping[str, Mapping[str, str]]
) -> dict[str, list[str]]:
    """By workload, the Services that lead to it and to no other one."""
    pods = Pods((thing, thing.namespace, labels[key_of(thing)]) for thing in things)
    found: dict[str, list[str]] = {}
    for service in objects.of_kind("Service"):
        behind = pods.with_labels(service.namespace, service.texts("spec", "selector"))
        if len(behind) == 1:
            found.setdefault(key_of(behind[0]), []).append(service.name)
    return found


def key_of(thing: Thing) -> str:
    """What tells an object from all others."""
    return f"{thing.kind}.{thing.namespace}.{thing.name}"
