"""Placement: our constraint grammar in Swarm's words, preferences and the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orch.spec.constraint import Constraint, ConstraintFault, parse_constraint
from orch.types import Fidelity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch.compile.builder import ManifestBuilder, ResourceBuilder
    from orch.compile.view import View

_OWN_WORDS = {"node.arch": "node.platform.arch", "node.os": "node.platform.os"}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386", "arm": "armv7l"}
"""What nodes report for the processors that images name so."""
_KEY = re.compile(r"[a-z_][a-z0-9\-_.]+", re.IGNORECASE)
_VALUE = re.compile(r"[a-z0-9:\-_\s.*()?+\[\]\\^$|/]+", re.IGNORECASE)
"""What the engine takes; it compares values as they are, whatever they look like."""


class Unsayable(ValueError):
    """A constraint that Swarm has no words for."""


def swarm_constraints(rule: Constraint) -> list[str]:
    """One of our constraints as those of Swarm, all of which must hold. Raises Unsayable."""
    attribute = _OWN_WORDS.get(rule.attribute, rule.attribute)
    values: Sequence[str] = rule.values
    if attribute == "node.platform.arch":
        values = [_MACHINES.get(value, value) for value in values]
    if rule.operator == "=~":
        raise Unsayable("Swarm compares whole values: it knows == and != alone")
    if rule.operator == "in" and len(values) > 1:
        raise Unsayable("Swarm knows == and != alone, all of which must hold")
    _check(attribute, values)
    sign = "==" if rule.operator in ("==", "in") else "!="
    return [f"{attribute}{sign}{value}" for value in values]


def _check(attribute: str, values: Sequence[str]) -> None:
    if attribute.startswith("node.attributes."):
        raise Unsayable("nodes of a swarm have labels, and no attributes of other names")
    if not _KEY.fullmatch(attribute):
        raise Unsayable(f"Swarm takes letters, digits, '-', '_' and '.' in {attribute}")
    for value in values:
        if not _VALUE.fullmatch(value):
            raise Unsayable(f"Swarm does not take the value {value!r}")


def platforms_of(rule: Constraint) -> list[dict[str, str]]:
    """`node.arch in (amd64, arm64)` as the platforms that a service may run on, else nothing."""
    if rule.operator != "in" or rule.attribute not in ("node.arch", "node.platform.arch"):
        return []
    return [{"OS": "linux", "Architecture": _MACHINES.get(value, value)} for value in rule.values]


class PlacementCompiler:
    """Writes the placement of one service or job into its body."""

    def __init__(self, make: ManifestBuilder, resource: ResourceBuilder) -> None:
        self._make, self._resource = make, resource

    def compile(self, placement: View) -> None:
        """Everything under `placement`; what Swarm does not know is lost, or refused."""
        if placement.value.constraints:
            self._constraints(placement)
        for index, preference in enumerate(
            placement.preferences if placement.value.preferences else ()
        ):
            path = ("Placement", "Preferences", index, "Spread", "SpreadDescriptor")
            self._resource.put(path, preference.spread)
        if placement.value.max_replicas_per_node is not None:
            self._resource.put(("Placement", "MaxReplicas"), placement.max_replicas_per_node)

    def _among(self, platforms: list[dict[str, str]]) -> list[dict[str, str]]:
        """Of these platforms the one that is asked for elsewhere, all when none is."""
        said: list[dict[str, str]] = self._resource.body.get("Placement", {}).get("Platforms", [])
        if not said or not platforms:
            return platforms
        machines = {_MACHINES.get(one["Architecture"], one["Architecture"]) for one in said}
        if machines.isdisjoint(one["Architecture"] for one in platforms):
            raise Unsayable("it excludes the platform that is asked for")
        return said

    def _constraints(self, placement: View) -> None:
        found: list[str] = []
        platforms: list[dict[str, str]] = []
        for text in placement.value.constraints:
            try:
                rule = parse_constraint(text)
                several = self._among(platforms_of(rule))
                if several and not platforms:
                    platforms = several
                else:
                    found += swarm_constraints(rule)
            except (ConstraintFault, Unsayable) as fault:
                self._make.reject(
                    placement.constraints,
                    f"{text!r}: {fault}",
                    "give the nodes that are meant one label, and ask for it",
                )
                return
        read = placement.constraints
        if platforms:
            self._resource.put(
                ("Placement", "Platforms"),
                read,
                value=platforms,
                outcome=Fidelity.EMULATED,
                reason="a choice of processors is said as the platforms of the service",
            )
        if found or not platforms:
            self._resource.put(("Placement", "Constraints"), read, value=found)
