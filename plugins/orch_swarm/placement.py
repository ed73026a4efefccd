"""Placement: our constraint grammar in Swarm's words, preferences and the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orch.types import Fidelity

if TYPE_CHECKING:
    from orch.compile.builder import ManifestBuilder, ResourceBuilder
    from orch.compile.view import View

_CONSTRAINT = re.compile(r"\s*([\w.\-/]+)\s*(==|!=|=~|not\s+in|in)\s*(.+?)\s*")
_ATTRIBUTES = {
    "name": "hostname",
    "arch": "platform.arch",
    "os": "platform.os",
    "hostname": "hostname",
    "id": "id",
    "role": "role",
    "platform.arch": "platform.arch",
    "platform.os": "platform.os",
}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386", "arm": "armv7l"}
"""What nodes report for the processors that images name so."""


class Unsayable(ValueError):
    """A constraint that Swarm has no words for."""


def swarm_constraints(text: str) -> list[str]:
    """One of our constraints as those of Swarm, all of which must hold. Raises Unsayable."""
    match = _CONSTRAINT.fullmatch(text)
    if match is None:
        raise Unsayable(f"{text!r} is no constraint")
    attribute, operator = _attribute(match[1]), " ".join(match[2].split())
    values = (
        [v.strip() for v in match[3].strip("()").split(",")] if "in" in operator else [match[3]]
    )
    if attribute == "node.platform.arch":
        values = [_MACHINES.get(value, value) for value in values]
    if operator == "=~":
        raise Unsayable("Swarm compares whole values: it knows == and != alone")
    if operator == "in" and len(values) > 1:
        raise Unsayable("Swarm knows == and != alone, all of which must hold")
    sign = "==" if operator in ("==", "in") else "!="
    return [f"{attribute}{sign}{value}" for value in values]


def _attribute(name: str) -> str:
    short = name.removeprefix("node.")
    if short.startswith("engine.labels."):
        return short
    return f"node.{_ATTRIBUTES.get(short, short)}"


def platforms_of(text: str) -> list[dict[str, str]]:
    """`node.arch in (amd64, arm64)` as the platforms that a service may run on, else nothing."""
    match = _CONSTRAINT.fullmatch(text)
    if match is None or match[1].removeprefix("node.") not in ("arch", "platform.arch"):
        return []
    if match[2] != "in":
        return []
    values = [value.strip() for value in match[3].strip("()").split(",")]
    return [{"OS": "linux", "Architecture": value} for value in values]


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

    def _constraints(self, placement: View) -> None:
        found: list[str] = []
        platforms: list[dict[str, str]] = []
        for text in placement.value.constraints:
            several = platforms_of(text)
            if several and not platforms:
                platforms = several
                continue
            try:
                found += swarm_constraints(text)
            except Unsayable as fault:
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
