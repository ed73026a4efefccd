"""Which nodes can take a task, and why others can't."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Row = dict[str, Any]
_CONSTRAINT = re.compile(r"([\w.\-/]+)\s*(==|!=)\s*(.+)")


def host_name(node: Row) -> str:
    """What a node calls itself."""
    return str((node.get("Description") or {}).get("Hostname") or node["ID"])


def refusals(node: Row, task: Row) -> Iterator[str]:
    """Why a node can't take tasks of a template, with figures; nothing when it can."""
    host = host_name(node)
    if node["Status"]["State"] != "ready":
        yield f"{host} is {node['Status']['State']}"
    if node["Spec"].get("Availability", "active") != "active":
        yield f"{host} is set to {node['Spec']['Availability']}"
    for text in (task.get("Placement") or {}).get("Constraints") or ():
        match = _CONSTRAINT.fullmatch(text)
        if match is None:
            continue
        found = attribute(node, match[1])
        if (found == match[3].strip()) is not (match[2] == "=="):
            yield f"{host} does not meet {match[1]} {match[2]} {match[3]}: it has {found!r}"
    yield from _shortages(host, node, task)


def _shortages(host: str, node: Row, task: Row) -> Iterator[str]:
    asked = (task.get("Resources") or {}).get("Reservations") or {}
    has = (node.get("Description") or {}).get("Resources") or {}
    for key, unit, noun in (("NanoCPUs", 1e9, "cpus"), ("MemoryBytes", 2**20, "MiB of memory")):
        if asked.get(key, 0) > has.get(key, 0):
            wanted, there = asked[key] / unit, has.get(key, 0) / unit
            yield f"{host} has {there:g} {noun}, and {wanted:g} are reserved"


def attribute(node: Row, name: str) -> str:
    """What a node has under the name that a constraint gives."""
    described = node.get("Description") or {}
    if name.startswith("node.labels."):
        return str((node["Spec"].get("Labels") or {}).get(name.removeprefix("node.labels."), ""))
    if name.startswith("engine.labels."):
        labels = (described.get("Engine") or {}).get("Labels") or {}
        return str(labels.get(name.removeprefix("engine.labels."), ""))
    platform = described.get("Platform") or {}
    known = {
        "node.id": node["ID"],
        "node.hostname": described.get("Hostname", ""),
        "node.role": node["Spec"].get("Role", ""),
        "node.platform.arch": platform.get("Architecture", ""),
        "node.platform.os": platform.get("OS", ""),
    }
    return str(known.get(name, ""))
