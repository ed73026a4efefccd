"""NetworkPolicies: as networks that parts join, or as rules on who may reach whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from orch.load.item import Item
from orch.types import Consequence, Fidelity
from orch_kubernetes.reader.part import IMPLIED, is_ours, note_identity
from orch_kubernetes.reader.probes import part_port
from orch_kubernetes.reader.values import number_of, spec_name, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch.types import FieldPath
    from orch_kubernetes.reader.objects import Thing
    from orch_kubernetes.reader.part import Around, Part

TOGETHER = "those who reach each other, and are reached by no others, join a network"
STAYS_OPEN = "routed and published ports stay open to all"
OUTSIDE = "who is outside the application can't be named"
INSIDE = "it is reached from all of the application, and not from outside"
OPEN_ANYWAY = "another rule leaves it open"
NO_RULE = "it leaves everything open"


class _Entry(NamedTuple):
    """Who may reach a part, and which item says so."""

    item: Item
    part: Part
    number: int | None
    peers: Sequence[Part]
    told: str


class PolicyReader:
    """Writes all of them: networks first, since Services need them, rules once ports are known."""

    def __init__(self, around: Around) -> None:
        self._around, self._writer = around, around.writer
        self._rules: list[Thing] = []
        self._mates: dict[str, dict[str, Item]] = {}
        self._entries: list[_Entry] = []
        self._unguarded: set[str] = set()

    def write_networks(self) -> None:
        """Those that say that a group of parts reach each other."""
        for thing in self._around.objects.of_kind("NetworkPolicy"):
            if is_ours(thing) and self._own(thing):
                continue
            members = self._members(thing, thing.at("spec", "podSelector"))
            peers = self._only_peers(thing)
            if members and peers is not None and set(map(id, members)) == set(map(id, peers)):
                self._join(thing, thing.name, members)
                for part in members:
                    known = self._mates.setdefault(part.name, {})
                    known |= {mate.name: thing.item for mate in members}
            else:
                self._rules.append(thing)

    def write_rules(self) -> None:
        """The others. Rules add up: who is admitted by one of them is admitted."""
        for thing in self._rules:
            rules = thing.at("spec", "ingress") or ()
            if any(not rule.get("from") and not rule.get("ports") for rule in rules):
                members = self._members(thing, thing.at("spec", "podSelector"))
                self._unguarded |= {part.name for part in members}
        for thing in self._rules:
            self._rule(thing)
        for name in dict.fromkeys(entry.part.name for entry in self._entries):
            self._admit_mates(name)
        open_ = {entry.part.name for entry in self._entries if entry.peers}
        for entry in self._entries:
            if entry.peers or entry.part.name not in open_:
                self._write(entry)
            else:
                self._writer.note(("policies",), entry.item, Fidelity.NATIVE, IMPLIED)

    def _admit_mates(self, name: str) -> None:
        mates = self._mates.get(name, {})
        part = next(part for part in self._around.parts if part.name == name)
        peers = [one for one in self._around.parts if one.name in mates and one is not part]
        if peers:
            self._entries.append(_Entry(mates[peers[0].name], part, None, peers, ""))

    # -- networks --------------------------------------------------------------------------------

    def _members(self, thing: Thing, selector: Item | None) -> list[Part]:
        return self._around.pods.meant(thing.namespace, selector or Item({}))

    def _only_peers(self, thing: Thing) -> list[Part] | None:
        """Who may reach what it selects, when it says that by one selector of pods alone."""
        spec = thing.item.get("spec") or Item({})
        rules = list(spec.get("ingress") or ())
        peers = list(rules[0].get("from") or ()) if len(rules) == 1 else []
        if len(peers) != 1 or rules[0].get("ports") or spec.get("egress") is not None:
            return None
        selector = peers[0].value.get("podSelector")
        if selector is None or set(peers[0].value) != {"podSelector"} or not selector.value:
            return None
        return self._members(thing, selector)

    def _join(self, thing: Thing, called: str, members: Sequence[Part]) -> None:
        network = spec_name(called)
        path: FieldPath = ("networks", network)
        self._writer.set(path, {}, thing.item)
        note_identity(self._writer, thing, path)
        outcome = Fidelity.NATIVE if is_ours(thing) else Fidelity.EMULATED
        for leaf in (thing.item.get("spec") or Item({})).leaves():
            self._writer.note(path, leaf, outcome, TOGETHER, Consequence.COSMETIC)
        for key, item in (thing.at("metadata", "labels") or Item({})).items():
            if not item.ways:
                self._writer.put((*path, "labels", key), item)
        for part in members:
            if self._writer.get(part.at("network_mode")) is None:
                self._writer.set(part.at("networks", network), {}, thing.item)

    def _own(self, thing: Thing) -> bool:
        """What orch itself writes for networks; its rules for policies are read as any are."""
        kind, _, name = thing.name.partition("-")
        spec = thing.item.get("spec") or Item({})
        if kind == "policy":
            return False
        if kind == "isolated":
            for part in self._members(thing, spec.get("podSelector")):
                part.put(("network_mode",), spec.get("policyTypes"), "none")
        elif kind == "egress":
            if all(rule.value for rule in spec.get("egress") or ()):
                self._writer.put(("networks", name, "internal"), spec.get("egress"), value=True)
        elif kind != "open" and name != "default":
            peers = self._only_peers(thing)
            if peers is None:
                return False
            self._join(thing, name if kind == "network" else thing.name, peers)
        where: FieldPath = ("networks",)
        note_identity(self._writer, thing, where)
        self._writer.note(where, thing.item, Fidelity.NATIVE, STAYS_OPEN if kind == "open" else "")
        return True

    # -- rules -----------------------------------------------------------------------------------

    def _rule(self, thing: Thing) -> None:
        spec = thing.item.get("spec") or Item({})
        members = self._members(thing, spec.get("podSelector"))
        if not members:
            return
        note_identity(self._writer, thing, ("policies",))
        self._writer.note(("policies",), spec.get("podSelector"), Fidelity.NATIVE, IMPLIED)
        kinds = spec.get("policyTypes")
        for kind in kinds or ():
            if kind.value == "Ingress" or spec.get("egress") is not None:
                self._writer.note(("policies",), kind, Fidelity.NATIVE, IMPLIED)
        if kinds is None or any(kind.value == "Ingress" for kind in kinds):
            self._ways_in(thing, spec, members)
        for rule in spec.get("egress") or ():
            if not rule.value:
                self._writer.note(("policies",), rule, Fidelity.NATIVE, NO_RULE)

    def _ways_in(self, thing: Thing, spec: Item, members: Sequence[Part]) -> None:
        ingress = spec.value.get("ingress") if isinstance(spec.value, dict) else None
        rules = list(ingress or ())
        if not rules:
            for part in members:
                self._add(ingress if ingress is not None else spec.derive({}), part, None, [])
            return
        for rule in rules:
            if not rule.get("from") and not rule.get("ports"):
                self._writer.note(("policies",), rule, Fidelity.NATIVE, NO_RULE)
                continue
            for part in members:
                self._admit(thing, rule, part)

    def _admit(self, thing: Thing, rule: Item, part: Part) -> None:
        peers, told = self._sources(thing, rule, part)
        ports: list[Item | None] = [*(rule.get("ports") or ())] or [None]
        for port in ports:
            number = self._number(part, port)
            if not rule.get("from") and number is not None and self._is_open(part, number):
                self._writer.note(("policies",), port, Fidelity.NATIVE, STAYS_OPEN)
                continue
            if peers is None:
                continue
            self._add(port or rule.get("from") or rule, part, number, peers, told)
        if peers is not None:
            outcome = Fidelity.DEGRADED if told else Fidelity.NATIVE
            for source in rule.get("from") or ():
                if not source.ways:
                    self._writer.note(("policies",), source, outcome, told)

    def _sources(self, thing: Thing, rule: Item, part: Part) -> tuple[list[Part] | None, str]:
        """Who is admitted, and what is to be told of it; None when it is nobody of ours."""
        everyone = [one for one in self._around.parts if one is not part]
        if not rule.get("from"):
            return everyone, INSIDE
        found: list[Part] = []
        told, outside = "", 0
        sources = list(rule.get("from") or ())
        for source in sources:
            if set(source.value) == {"podSelector"}:
                found += self._members(thing, source.value["podSelector"])
            elif self._means_all(source):
                found += everyone
                told = INSIDE
            else:
                outside += 1
                mend = "publish the port, or make a route"
                self._writer.lose(source, OUTSIDE, mend, Consequence.NETWORK)
        kept = list(dict.fromkeys(found))
        return (None if outside == len(sources) else kept), told

    def _means_all(self, source: Item) -> bool:
        space = source.value.get("namespaceSelector")
        everywhere = space is not None and not space.value and len(source.value) == 1
        return everywhere or text_of(source.at("ipBlock", "cidr")) in ("0.0.0.0/0", "::/0")

    def _number(self, part: Part, port: Item | None) -> int | None:
        said = port.get("port") if port is not None else None
        if said is None:
            return None
        return number_of(said) or part_port(part, text_of(said))

    def _is_open(self, part: Part, number: int) -> bool:
        routes = self._writer.document.get("routes") or ()
        routed = any((r["service"], r["port"]) == (part.name, number) for r in routes)
        ports: list[dict[str, Any]] = self._writer.get(part.at("ports")) or []
        return routed or any(p["target"] == number and "published" in p for p in ports)

    def _add(
        self, item: Item, part: Part, number: int | None, peers: Sequence[Part], told: str = ""
    ) -> None:
        if part.name in self._unguarded:
            self._writer.note(("policies",), item, Fidelity.NATIVE, OPEN_ANYWAY)
        else:
            self._entries.append(_Entry(item, part, number, peers, told))

    def _write(self, entry: _Entry) -> None:
        to: dict[str, Any] = {"service": entry.part.name}
        if entry.number is not None:
            to["port"] = entry.number
        said: dict[str, Any] = {"to": to}
        if entry.peers:
            said["from"] = [{"service": peer.name} for peer in entry.peers]
        if any(said == standing for standing in self._writer.document.get("policies") or ()):
            self._writer.note(("policies",), entry.item, Fidelity.NATIVE, IMPLIED)
            return
        here: FieldPath = ("policies", self._writer.size(("policies",)))
        if entry.item.path == (entry.item.path[0],):
            self._writer.set(here, said, entry.item)
            return
        outcome = Fidelity.DEGRADED if entry.told else Fidelity.NATIVE
        self._writer.put(here, entry.item, said, outcome=outcome, reason=entry.told)
