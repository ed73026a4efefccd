"""Which node a replica goes to, and why not: filters over facts, each refusal with its figures.

Pure. Of the nodes that pass every filter the one with the most room left is chosen.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY
from orch.spec.constraint import ConstraintFault, parse_constraint
from orch.spec.units import Bytes, Cpus
from orch_native.server.policy import ports_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orch_native.messages import NodeFacts

GPU = "gpu"
_ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  (compared with, not bound)


@dataclass(frozen=True, slots=True)
class HostPort:
    """A port of the node that one replica takes for itself."""

    port: int
    protocol: str = "tcp"
    address: str = ""

    def collides(self, other: HostPort) -> bool:
        """Whether both can't be open at once."""
        same = self.port == other.port and self.protocol == other.protocol
        anywhere = self.address in _ANY_ADDRESS or other.address in _ANY_ADDRESS
        return same and (anywhere or self.address == other.address)

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Demand:
    """What one replica asks of a node: `cpus` in thousandths, `memory` and `disk` in bytes."""

    unit: str
    driver: str
    cpus: int = 0
    memory: int = 0
    disk: int = 0
    devices: Mapping[str, int] = EMPTY
    ports: tuple[HostPort, ...] = ()
    constraints: tuple[str, ...] = ()
    platform: str = ""
    most_per_node: int | None = None


@dataclass(slots=True)
class NodeUse:
    """A node and what is taken of it. `ports` says who holds each port."""

    facts: NodeFacts
    cpus: int = 0
    memory: int = 0
    disk: int = 0
    devices: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    ports: list[tuple[HostPort, str]] = field(default_factory=list)
    units: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def take(self, demand: Demand, holder: str) -> None:
        """Count one replica."""
        self.cpus += demand.cpus
        self.memory += demand.memory
        self.disk += demand.disk
        self.units[demand.unit] += 1
        self.ports += [(port, holder) for port in demand.ports]
        for kind, count in demand.devices.items():
            self.devices[kind] += count


@dataclass(frozen=True, slots=True)
class Placement:
    """The chosen node, empty when none fits; `reasons` tells for each filter whom it ruled out."""

    node: str
    reasons: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """Why there is no node, in one line."""
        return "; ".join(self.reasons)


def demand_of(unit: str, body: Mapping[str, Any]) -> Demand:
    """What a service's or job's body asks of a node."""
    deploy = body.get("deploy", {})
    resources = deploy.get("resources") or body.get("resources") or {}
    asked = resources.get("reservations", {})
    placement = deploy.get("placement") or body.get("placement") or {}
    return Demand(
        unit=unit,
        driver=driver_of(body),
        cpus=int(Cpus.parse(asked.get("cpus", 0))),
        memory=int(Bytes.parse(asked.get("memory", 0))),
        disk=int(Bytes.parse(asked.get("ephemeral_storage", 0))),
        devices=_devices(asked),
        ports=_host_ports(body),
        constraints=tuple(placement.get("constraints", ())),
        platform=body.get("platform", ""),
        most_per_node=placement.get("max_replicas_per_node"),
    )


def driver_of(body: Mapping[str, Any]) -> str:
    """The driver that runs it: docker for an image, process for a plain command."""
    return "docker" if body.get("image") else "process"


def _devices(asked: Mapping[str, Any]) -> dict[str, int]:
    """What can be counted: GPUs, and what the node advertises. The engine judges the rest."""
    counts: dict[str, int] = {**asked.get("generic", {})}
    for device in asked.get("devices", ()):
        if "gpu" in device.get("capabilities", (GPU,)) and device.get("driver") != "cdi":
            count = len(device.get("device_ids", ())) or device.get("count", 1)
            counts[GPU] = counts.get(GPU, 0) + (1 if count == "all" else count)
    return counts


def _host_ports(body: Mapping[str, Any]) -> tuple[HostPort, ...]:
    """Ports of mode host; on the host's own network every port is one."""
    on_host = body.get("network_mode") == "host"
    found = []
    for _, port in ports_of(body):
        protocol, address = port.get("protocol", "tcp"), port.get("host_ip", "")
        taken = {port["target"]} if on_host else set()
        if port.get("mode") == "host" and port.get("published"):
            taken.add(port["published"])
        found += [HostPort(number, protocol, address) for number in sorted(taken)]
    return tuple(found)


def place(demand: Demand, nodes: Sequence[NodeUse], *, only: str = "") -> Placement:
    """Choose a node. With `only` no other one will do."""
    left = [node for node in nodes if not only or node.facts.name == only]
    reasons: list[str] = [] if left else [f"there is no node {only!r}" if only else "no node"]
    for name, check in _FILTERS:
        faults = [(node, check(demand, node)) for node in left]
        ruled_out = [f"{node.facts.name}: {fault}" for node, fault in faults if fault]
        if ruled_out:
            count = f"{len(ruled_out)} of {len(left)} nodes"
            reasons.append(f"{name} ruled out {count} ({ruled_out[0]})")
        left = [node for node, fault in faults if not fault]
    if not left:
        return Placement("", tuple(reasons))
    best = max(left, key=lambda node: (_room(demand, node), node.facts.name))
    return Placement(best.facts.name, tuple(reasons))


def _room(demand: Demand, node: NodeUse) -> float:
    """The share of the scarcer of cpu and memory that stays free; ties go to fewer replicas."""
    cpus = 1 - (node.cpus + demand.cpus) / max(node.facts.cpus, 1)
    memory = 1 - (node.memory + demand.memory) / max(node.facts.memory, 1)
    return min(cpus, memory) - node.units[demand.unit]


def _driver(demand: Demand, node: NodeUse) -> str:
    facts = node.facts.drivers.get(demand.driver)
    if facts is None:
        return f"it has no driver {demand.driver!r}"
    return "" if facts.available else f"driver {demand.driver}: {facts.reason}"


def _platform(demand: Demand, node: NodeUse) -> str:
    wanted = demand.platform.split("/")
    has = [node_attribute(node.facts, "node.os"), node_attribute(node.facts, "node.arch")]
    pairs = zip(wanted, has, strict=False)
    if all(not want or not found or want == found for want, found in pairs):
        return ""
    return f"it is {'/'.join(has)}, wanted {demand.platform}"


def _constraints(demand: Demand, node: NodeUse) -> str:
    faults = (constraint_fault(text, node.facts) for text in demand.constraints)
    return next((fault for fault in faults if fault), "")


def _most_per_node(demand: Demand, node: NodeUse) -> str:
    most, has = demand.most_per_node, node.units[demand.unit]
    if most is None or has < most:
        return ""
    return f"it has {has} of them and max_replicas_per_node is {most}"


def _cpus(demand: Demand, node: NodeUse) -> str:
    free = node.facts.cpus - node.cpus
    return "" if demand.cpus <= free else _short(Cpus, demand.cpus, free, node.facts.cpus)


def _memory(demand: Demand, node: NodeUse) -> str:
    free = node.facts.memory - node.memory
    return "" if demand.memory <= free else _short(Bytes, demand.memory, free, node.facts.memory)


def _disk(demand: Demand, node: NodeUse) -> str:
    free = node.facts.disk - node.disk
    return "" if demand.disk <= free else _short(Bytes, demand.disk, free, node.facts.disk)


def _short(unit: type[Cpus | Bytes], wanted: int, free: int, whole: int) -> str:
    def show(amount: int) -> str:
        if unit is Cpus:
            return f"{amount / 1000:g}"
        return f"{amount / (1 << 20):.0f}Mi" if amount % (1 << 20) else str(Bytes(amount))

    lack = wanted - max(free, 0)
    return f"{show(wanted)} wanted, {show(max(free, 0))} free of {show(whole)}: {show(lack)} short"


def _ports(demand: Demand, node: NodeUse) -> str:
    for wanted in demand.ports:
        for taken, holder in node.ports:
            if wanted.collides(taken):
                return f"port {wanted} is held by {holder}"
    return ""


def _devices_free(demand: Demand, node: NodeUse) -> str:
    for kind, count in demand.devices.items():
        has = node.facts.devices.get(kind, 0)
        if count > has - node.devices[kind]:
            return f"{count} {kind} wanted, {max(has - node.devices[kind], 0)} free of {has}"
    return ""


_FILTERS: tuple[tuple[str, Callable[[Demand, NodeUse], str]], ...] = (
    ("driver", _driver),
    ("platform", _platform),
    ("constraints", _constraints),
    ("max_replicas_per_node", _most_per_node),
    ("cpus", _cpus),
    ("memory", _memory),
    ("ephemeral_storage", _disk),
    ("ports", _ports),
    ("devices", _devices_free),
)


# -- constraints ---------------------------------------------------------------------------


def constraint_fault(text: str, facts: NodeFacts) -> str:
    """Why a node does not meet a constraint, empty when it does; a bad one is never met."""
    try:
        constraint = parse_constraint(text)
    except ConstraintFault as fault:
        return str(fault)
    found = node_attribute(facts, constraint.attribute)
    if constraint.holds(found):
        return ""
    return f"{constraint.attribute} is {found!r}, wanted {constraint.wanted}"


def node_attribute(facts: NodeFacts, name: str) -> str:
    """What a node has under a name such as `node.labels.tier`, empty for nothing."""
    docker = facts.drivers.get("docker")
    families = {"node.labels.": facts.labels, "engine.labels.": docker.labels if docker else EMPTY}
    for family, labels in families.items():
        if name.startswith(family):
            return labels.get(name.removeprefix(family), "")
    short = name.removeprefix("node.").removeprefix("platform.").removeprefix("attributes.")
    if short in {"hostname", "id"}:
        return facts.name
    if short == "ip":
        return next(iter(facts.addresses), "")
    return "manager" if short == "role" else facts.attributes.get(short, "")
