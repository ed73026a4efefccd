"""How a service is reached, and what it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.types import Consequence, Fidelity
from orch_compose.part import COMPLETED

if TYPE_CHECKING:
    from orch.load.item import Item
    from orch_compose.part import Part

DEFAULT = "default"
_MODES = frozenset(("host", "none"))
_HEALTHY = "service_healthy"
_SHARING = ("network_mode", "ipc", "pid")


def write_network(part: Part) -> None:
    """Write networks, host names and dependencies."""
    _mode(part)
    _networks(part)
    _extra_hosts(part)
    _depends_on(part)
    _implied(part)
    _links(part)


def joins_networks(service: Item) -> bool:
    """Whether a service takes part in networks at all."""
    mode = service.get("network_mode")
    return mode is None or mode.value not in _MODES


def _mode(part: Part) -> None:
    item = part.get("network_mode")
    if item is None:
        return
    if item.value in _MODES:
        part.writer.put(part.at("network_mode"), item)
    elif item.value in ("bridge", "default"):
        reason = "it joins the application's own network instead of the engine's bridge"
        part.writer.note(part.path, item, Fidelity.DEGRADED, reason, Consequence.NETWORK)
    elif item.value.startswith("service:"):
        other = item.value.partition(":")[2]
        reason = f"it would share the network of {other}, and a service has its own here"
        mend = f"make {part.name} a sidecar of {other}; until then reach it by its name"
        part.writer.lose(item, reason, mend, Consequence.NETWORK)
    else:
        reason = f"{item.value!r} is of one engine only"
        part.writer.lose(item, reason, "join a network of the application", Consequence.NETWORK)


def _networks(part: Part) -> None:
    networks = part.get("networks")
    if not joins_networks(part.item):
        reason = "it shares the host's network, or has none"
        part.writer.lose(networks, reason, "remove network_mode or networks", Consequence.NETWORK)
        return
    for name, attachment in networks.items() if networks is not None else ():
        _attachment(part, name, attachment)
    if networks is None or not networks.value:
        if networks is not None:
            part.writer.note(part.path, networks, reason="none means the default one")
        if part.around.names_default_network:
            part.writer.set(part.at("networks", DEFAULT), {}, networks or part.item)
    _container_alias(part)


def _attachment(part: Part, name: str, attachment: Item) -> None:
    writer, path = part.writer, part.at("networks", name)
    writer.set(path, {}, attachment)
    if not attachment.value:
        writer.note(path, attachment)
        return
    for key in ("ipv4_address", "ipv6_address"):
        writer.put((*path, key), attachment.get(key))
    writer.put_each((*path, "aliases"), attachment.get("aliases"))
    writer.put_each((*path, "driver_opts"), attachment.get("driver_opts"))
    priority = attachment.get("priority")
    if priority is not None and priority.value >= 0:
        writer.put((*path, "priority"), priority, int(priority.value))


def needs_alias(name: str, service: Item) -> bool:
    """Whether a container's name differs from its service's, and is a name on networks."""
    container = service.get("container_name")
    return container is not None and container.value != name and service.get("network_mode") is None


def _container_alias(part: Part) -> None:
    if not needs_alias(part.name, part.item):
        return
    container = part.get("container_name")
    networks = part.writer.get(part.at("networks")) or {}
    for name in networks:
        path = part.at("networks", name, "aliases")
        aliases = part.writer.get(path) or []
        if container is not None and container.value not in aliases:
            part.writer.put(
                (*path, len(aliases)),
                container,
                outcome=Fidelity.EMULATED,
                reason="the platform names containers; the name is an alias on the network",
                consequence=Consequence.NETWORK,
            )


def _extra_hosts(part: Part) -> None:
    hosts = part.get("extra_hosts")
    for host, addresses in hosts.items() if hosts is not None else ():
        for index, address in enumerate(addresses):
            if index == 0:
                part.writer.put(part.at("extra_hosts", host), address)
            else:
                reason = "a host name has one address here"
                part.writer.lose(address, reason, "keep the one that counts", Consequence.NETWORK)


def _depends_on(part: Part) -> None:
    links = part.get("depends_on")
    for name, link in links.items() if links is not None else ():
        _dependency(part, name, link)


def _dependency(part: Part, name: str, link: Item) -> None:
    if name in part.around.dropped:
        reason = f"{name} is not run by this application"
        part.writer.lose(link, reason, "see that it is up before", Consequence.AVAILABILITY)
        return
    writer, path = part.writer, part.at("depends_on", name)
    condition = link.get("condition")
    writer.set(path, {}, link)
    if not link.value:
        writer.note(path, link)
    if condition is not None and name in part.around.jobs and condition.value == _HEALTHY:
        reason = f"{name} is a job and has no health, so its end is awaited"
        how = {"outcome": Fidelity.DEGRADED, "reason": reason}
        writer.put((*path, "condition"), condition, COMPLETED, **how)  # type: ignore[arg-type]
    else:
        writer.put((*path, "condition"), condition)
    for key in ("restart", "required"):
        writer.put((*path, key), link.get(key))


def _implied(part: Part) -> None:
    """What shares a namespace or files of another service waits for it."""
    shares = [item for key in _SHARING if (item := part.get(key)) is not None]
    for item in (*shares, *(part.get("volumes_from") or ())):
        text = str(item.value)
        name = text.removeprefix("service:").partition(":")[0]
        if text.startswith("service:") or item not in shares:
            _wait(part, name, item)


def _wait(part: Part, name: str, item: Item) -> None:
    path = part.at("depends_on", name)
    known = part.around.service(name) is not None and name not in part.around.dropped
    if known and not part.writer.has(path):
        part.writer.set(path, {}, item)


def _links(part: Part) -> None:
    """A link waits for the service; its alias becomes one that all on the networks see."""
    for item in part.get("links") or ():
        name, _, alias = item.value.partition(":")
        if part.around.service(name) is None or name in part.around.dropped:
            reason = f"there is no service {name!r} in this application"
            part.writer.lose(item, reason, "name a service", Consequence.NETWORK)
            continue
        _wait(part, name, item)
        path = part.at("depends_on", name)
        if alias in ("", name):
            part.writer.note(path, item)
        else:
            reason = f"{name} answers to {alias} for everything on its networks"
            part.writer.note(path, item, Fidelity.EMULATED, reason, Consequence.NETWORK)


def link_aliases(name: str, service: Item) -> list[tuple[str, str, Item]]:
    """Other names that a service gives to those it links to: service, alias and the link."""
    found = []
    for item in service.get("links") or ():
        target, _, alias = str(item.value).partition(":")
        if alias not in ("", target) and target != name:
            found.append((target, alias, item))
    return found
