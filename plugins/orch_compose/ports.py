"""Ports, and what is merely exposed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.types import Consequence, Fidelity
from orch_compose.short import port_range

if TYPE_CHECKING:
    from orch.load.item import Item
    from orch_compose.part import Part

_OPEN = ("", "0")


def write_ports(part: Part) -> None:
    """Write published ports, then exposed ones that are not among them."""
    if part.is_job:
        for key in ("ports", "expose"):
            reason, mend = "a job has no ports", "make it a service that nobody waits for"
            part.writer.lose(part.get(key), reason, mend, Consequence.NETWORK)
        return
    for port in part.get("ports") or ():
        _port(part, port)
    for item in part.get("expose") or ():
        _expose(part, item)


def _ports(part: Part) -> list[dict[str, Any]]:
    return part.writer.get(part.at("ports")) or []


def _port(part: Part, port: Item) -> None:
    writer, path = part.writer, part.at("ports", len(_ports(part)))
    writer.say(path, port)
    writer.put((*path, "target"), port.get("target"))
    _published(part, port, path)
    protocol = port.get("protocol")
    if protocol is not None:
        writer.put((*path, "protocol"), protocol, str(protocol.value).lower())
    for key in ("name", "app_protocol", "host_ip", "mode"):
        writer.put((*path, key), port.get(key))


def _published(part: Part, port: Item, path: tuple[Any, ...]) -> None:
    published = port.get("published")
    if published is None or published.value in _OPEN:
        reason = "no host port is chosen at random: it is reached inside the application only"
        mend = "write the host port too, as in 8080:80"
        target = (*path, "target")
        what = published or port.get("target")
        if what is not None and port.get("mode") is None:
            part.writer.note(target, what, Fidelity.DEGRADED, f"{reason}; {mend}")
        return
    first, last = port_range(published.value)
    if first == last:
        part.writer.put((*path, "published"), published, first)
        return
    reason = f"no free port is sought in {published.value}: its first one is taken"
    part.writer.put(
        (*path, "published"), published, first, outcome=Fidelity.DEGRADED, reason=reason
    )


def _expose(part: Part, item: Item) -> None:
    text, _, protocol = str(item.value).partition("/")
    try:
        first, last = port_range(text)
    except ValueError as wrong:
        part.writer.lose(item, str(wrong), "", Consequence.NETWORK)
        return
    for number in range(first, last + 1):
        _expose_one(part, item, number, protocol or "tcp")


def _expose_one(part: Part, item: Item, number: int, protocol: str) -> None:
    for index, port in enumerate(_ports(part)):
        if port["target"] == number and port.get("protocol", "tcp") == protocol:
            part.writer.note(part.at("ports", index, "target"), item)
            return
    path = part.at("ports", len(_ports(part)))
    part.writer.put((*path, "target"), item, number)
    if protocol != "tcp":
        part.writer.set((*path, "protocol"), protocol, item)
