"""Who answers for what: endpoints from ready replicas, entries from published ports and routes."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeVar

from orch.errors import OrchError
from orch_native.messages import Endpoint, Entry, Routing, State
from orch_native.server.assignment import current_secret
from orch_native.server.faults import Work, report
from orch_native.server.model import Key
from orch_native.server.policy import ports_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orch_native.server.model import Alloc, ResourceRow
    from orch_native.server.vault import Vault
    from orch_native.server.world import World

T = TypeVar("T")

log = logging.getLogger("orch.native")
_PRIVILEGED = (80, 443)
_UNPRIVILEGED = (8080, 8443)
_LIVE = frozenset({State.RUNNING, State.STOPPING})


def entry_ports() -> tuple[int, int]:
    """Ports of HTTP and HTTPS routes: 80 and 443, or 8080 and 8443 without the right to these.

    ORCH_HTTP_PORT and ORCH_HTTPS_PORT override them.
    """
    http, https = _PRIVILEGED if os.geteuid() == 0 else _UNPRIVILEGED
    return int(os.environ.get("ORCH_HTTP_PORT", http)), int(
        os.environ.get("ORCH_HTTPS_PORT", https)
    )


def routing_of(world: World, vault: Vault, version: int, now: float) -> Routing:
    """The whole table as it is now; a resource that can't be read is left out and noted."""
    entries = [*_service_entries(world, now), *_routes(world, vault, now)]
    return Routing(version, _endpoints(world), tuple(entries))


def _endpoints(world: World) -> dict[str, tuple[Endpoint, ...]]:
    found: dict[str, list[Endpoint]] = defaultdict(list)
    for alloc in world.allocs.values():
        row = world.resources[alloc.uid]
        if row.key.kind == "service" and _answers(alloc):
            draining = not alloc.serving
            endpoint = Endpoint(alloc.id, alloc.address, alloc.ports, draining=draining)
            found[str(row.key)].append(endpoint)
    return {service: tuple(endpoints) for service, endpoints in sorted(found.items())}


def _answers(alloc: Alloc) -> bool:
    """Ready ones, and those on their way out that may have something to finish."""
    if not alloc.address or alloc.state not in _LIVE:
        return False
    return alloc.serving or alloc.leaving is not None


def _each(world: World, kind: str, read: Callable[[ResourceRow], T], now: float) -> Iterator[T]:
    """Read every resource of a kind that stays."""
    for row in world.resources.values():
        if row.key.kind == kind and not row.deleting:
            try:
                found = read(row)
            except Exception as fault:  # noqa: BLE001  (reported)
                if world.faults.held_until(row, Work.ROUTED) <= now:
                    report(log, f"{row.key} can't be routed", fault)
                    world.faults.note(row, Work.ROUTED, fault, now)
            else:
                world.faults.clear(row.uid, Work.ROUTED)
                yield found


def _service_entries(world: World, now: float) -> Iterator[Entry]:
    for entries in _each(world, "service", _entries_of, now):
        yield from entries


def _entries_of(row: ResourceRow) -> list[Entry]:
    return [entry for _, port in ports_of(row.body) for entry in _port_entries(row, port)]


def _port_entries(row: ResourceRow, port: Mapping[str, Any]) -> Iterator[Entry]:
    target, protocol = port["target"], port.get("protocol", "tcp")
    yield Entry(str(row.key), target, protocol)
    # On the host's own network it opens a port of that number itself.
    opened = row.body.get("network_mode") == "host" and port.get("published") == target
    if port.get("published") and port.get("mode", "ingress") == "ingress" and not opened:
        host_ip = port.get("host_ip", "")
        yield Entry(str(row.key), target, protocol, port["published"], host_ip)


def _routes(world: World, vault: Vault, now: float) -> Iterator[Entry]:
    """One entry for plain HTTP and one for TLS, each with all its routes."""
    plain: list[Mapping[str, Any]] = []
    encrypted: list[Mapping[str, Any]] = []
    found = _each(world, "route", lambda row: (row, _route(world, row)), now)
    for row, route in found:
        tls = row.body.get("tls")
        if route is None:
            continue
        if not tls:
            plain.append(route)
        elif pair := _certificate(world, vault, row, tls):
            encrypted.append({**route, **pair})
    http, https = entry_ports()
    if plain:
        yield Entry("", 0, "tcp", http, routes=tuple(plain))
    if encrypted:
        yield Entry("", 0, "tcp", https, routes=tuple(encrypted))


def _route(world: World, row: ResourceRow) -> dict[str, Any] | None:
    key = Key(row.key.app, "service", row.body["service"])
    service = world.find(key)
    target = _target(service, row.body["port"]) if service is not None else None
    if target is None:
        return None
    return {
        "host": row.body.get("host", ""),
        "path": row.body.get("path", "/"),
        "service": str(key),
        "target": target,
        "protocol": "tcp",
        "weight": row.body.get("weight", 1),
    }


def _target(service: ResourceRow, port: int | str) -> int | None:
    if isinstance(port, int):
        return port
    ports = ports_of(service.body)
    return next((int(p["target"]) for _, p in ports if p.get("name") == port), None)


def _certificate(
    world: World, vault: Vault, row: ResourceRow, tls: Mapping[str, Any]
) -> dict[str, bytes] | None:
    """The pair in PEM; None for a route whose certificate is not to be had here."""
    if not tls.get("cert"):
        return None
    try:
        return {
            part: current_secret(world, vault, row.key.app, tls[part]["secret"])
            for part in ("cert", "key")
        }
    except (OrchError, KeyError):
        return None
