"""The proxy's command and its table, in Traefik's words."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

HTTP, HTTPS, TABLE_PORT = 8080, 8443, 8080
"""Ports in the containers: none needs a right."""
TABLE = "routes.json"
_SECRETS = "/run/secrets"
_USUAL_WEIGHT = 1
_H2 = frozenset(("grpc", "h2c", "http2", "http/2"))
_AUTHORITY = "authority"
_FRESH, _AGAIN = "fresh", "again"


@dataclass(frozen=True, slots=True)
class Target:
    """One route: where requests come in, and who answers. `pair` are secrets' names."""

    host: str
    path: str
    service: str
    port: int
    weight: int | None = None
    encrypted: bool = False
    pair: tuple[str, str] | None = None
    speaks: str = ""

    @property
    def place(self) -> tuple[bool, str, str]:
        """What requests are told apart by."""
        return self.encrypted, self.host, self.path

    @property
    def name(self) -> str:
        """Who answers, as the table calls it."""
        return f"{self.service}-{self.port}"


def command(tables: str, *, kept: str = "") -> list[str]:
    """The proxy that asks for its table each second; `kept` is the file of an authority's words."""
    asks = (
        [
            f"--certificatesresolvers.{_AUTHORITY}.acme.tlschallenge=true",
            f"--certificatesresolvers.{_AUTHORITY}.acme.storage={kept}",
        ]
        if kept
        else []
    )
    return [
        "traefik",
        f"--entrypoints.http.address=:{HTTP}",
        f"--entrypoints.https.address=:{HTTPS}",
        # A large upload may take as long as it takes.
        "--entrypoints.http.transport.respondingtimeouts.readtimeout=0",
        "--entrypoints.https.transport.respondingtimeouts.readtimeout=0",
        f"--providers.http.endpoint=http://{tables}:{TABLE_PORT}/{TABLE}",
        "--providers.http.pollinterval=1s",
        "--providers.providersthrottleduration=100ms",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=ERROR",
        *asks,
    ]


def table(targets: Sequence[Target]) -> dict[str, Any]:
    """Who answers for what."""
    places: dict[tuple[bool, str, str], list[Target]] = {}
    for target in targets:
        places.setdefault(target.place, []).append(target)
    order = sorted(places, key=_rank)
    routers = {
        _name(place): _router(places[place], priority)
        for priority, place in zip(range(len(order), 0, -1), order, strict=True)
    }
    services = {target.name: _service(target) for target in targets}
    services |= {_name(place): _shares(group) for place, group in places.items() if _shared(group)}
    made: dict[str, Any] = {
        "http": {
            "routers": routers,
            "services": services,
            # No request waits on a connection to a task that has gone, and one that found no
            # task is sent again, to the next one.
            "serversTransports": {_FRESH: {"maxIdleConnsPerHost": -1}},
            "middlewares": {_AGAIN: {"retry": {"attempts": 40, "initialInterval": "100ms"}}},
        }
    }
    pairs = dict.fromkeys(one.pair for one in targets if one.pair is not None)
    if any(one.encrypted for one in targets):
        files = [{"certFile": f"{_SECRETS}/{c}", "keyFile": f"{_SECRETS}/{k}"} for c, k in pairs]
        made["tls"] = {"options": {"default": {"sniStrict": True}}}
        made["tls"] |= {"certificates": files} if files else {}
    return made


def _rank(place: tuple[bool, str, str]) -> tuple[int, int, tuple[bool, str, str]]:
    """A named host before those below a name and before every host; then the longest path."""
    _encrypted, host, path = place
    return 2 if not host else int(host.startswith("*.")), -len(path), place


def _name(place: tuple[bool, str, str]) -> str:
    encrypted, host, path = place
    return f"{'https' if encrypted else 'http'}://{host or '*'}{path}"


def _router(group: Sequence[Target], priority: int) -> dict[str, Any]:
    """All that answer for one place."""
    first = group[0]
    made: dict[str, Any] = {
        "entryPoints": ["https" if first.encrypted else "http"],
        "rule": _rule(first.host, first.path),
        "priority": priority,
        "service": _name(first.place) if _shared(group) else first.name,
        "middlewares": [_AGAIN],
    }
    if first.encrypted:
        asked = any(one.pair is None for one in group)
        made["tls"] = {"certResolver": _AUTHORITY} if asked else {}
    return made


def _rule(host: str, path: str) -> str:
    """The proxy's own prefixes do not end at a slash, ours do."""
    parts = []
    if host.startswith("*."):
        parts.append(f"HostRegexp({json.dumps(f'^[^.]+{re.escape(host[1:])}$')})")
    elif host:
        parts.append(f"Host({json.dumps(host)})")
    bare = path.rstrip("/")
    below = f"PathPrefix({json.dumps(f'{bare}/')})"
    if not bare or path.endswith("/"):
        parts.append(below)
    else:
        parts.append(f"(Path({json.dumps(bare)}) || {below})")
    return " && ".join(parts)


def _service(target: Target) -> dict[str, Any]:
    """The tasks themselves: a virtual address would hide which of them has gone."""
    scheme = "h2c" if target.speaks in _H2 else "http"
    url = f"{scheme}://tasks.{target.service}:{target.port}"
    return {"loadBalancer": {"servers": [{"url": url}], "serversTransport": _FRESH}}


def _shared(group: Sequence[Target]) -> bool:
    return len(group) > 1 or group[0].weight is not None


def _shares(group: Sequence[Target]) -> dict[str, Any]:
    """Several that answer for one place, by their weights."""
    weights = [_USUAL_WEIGHT if one.weight is None else one.weight for one in group]
    shares = [{"name": o.name, "weight": w} for o, w in zip(group, weights, strict=True)]
    return {"weighted": {"services": shares}}
