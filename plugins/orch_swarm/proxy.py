"""The proxy's table, in Caddy's words."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HTTP, HTTPS, TABLE_PORT = 8080, 8443, 8080
"""Ports in the containers: none needs a right."""
FOLDER, TABLE = "/etc/orch", "routes.json"
_SECRETS = "/run/secrets"
_STEPS = 100
_USUAL_WEIGHT = 1
_H2 = frozenset(("grpc", "h2c", "http2", "http/2"))
NOT_FOUND = {"handle": [{"handler": "static_response", "status_code": 404}]}


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


def waiting(tables: str) -> dict[str, Any]:
    """The proxy before it has a table: it asks for one until it gets one."""
    source = {"module": "http", "url": f"http://{tables}:{TABLE_PORT}/{TABLE}", "timeout": "5s"}
    return {
        "admin": {
            "disabled": True,
            "config": {"persist": False, "load": source, "load_delay": "1s"},
        },
        "logging": {"logs": {"default": {"level": "WARN"}}},
    }


def table(tables: str, targets: Sequence[Target]) -> dict[str, Any]:
    """The proxy with its routes, which goes on to ask for newer ones."""
    servers = {}
    plain = [one for one in targets if not one.encrypted]
    encrypted = [one for one in targets if one.encrypted]
    asked = sorted({one.host for one in encrypted if one.pair is None and one.host})
    if plain or asked:
        servers["http"] = {**_server(HTTP, plain), "automatic_https": {"disable": True}}
    if encrypted:
        servers["https"] = {
            **_server(HTTPS, encrypted),
            "tls_connection_policies": [{}],
            "automatic_https": _automatic(encrypted, asked),
        }
    pairs = dict.fromkeys(one.pair for one in encrypted if one.pair is not None)
    files = [{"certificate": f"{_SECRETS}/{c}", "key": f"{_SECRETS}/{k}"} for c, k in pairs]
    http = {"http_port": HTTP, "https_port": HTTPS, "grace_period": "10s", "servers": servers}
    apps = {"http": http, **({"tls": {"certificates": {"load_files": files}}} if files else {})}
    return {**waiting(tables), "apps": apps}


def _automatic(encrypted: Sequence[Target], asked: Sequence[str]) -> dict[str, Any]:
    """Certificates are asked for where a route says so, and nowhere else."""
    if not asked:
        return {"disable": True}
    given = sorted({one.host for one in encrypted if one.host} - set(asked))
    return {"disable_redirects": True, **({"skip": given} if given else {})}


def _server(port: int, targets: Sequence[Target]) -> dict[str, Any]:
    return {
        "listen": [f":{port}"],
        "protocols": ["h1", "h2"],
        "routes": [*_routes(targets), NOT_FOUND],
    }


def _routes(targets: Iterable[Target]) -> list[dict[str, Any]]:
    """The longest path of a named host first, then those of every host."""
    places: dict[tuple[bool, str, str], list[Target]] = {}
    for target in targets:
        places.setdefault(target.place, []).append(target)
    order = sorted(places, key=lambda place: (not place[1], -len(place[2]), place))
    return [_route(places[place]) for place in order]


def _route(group: Sequence[Target]) -> dict[str, Any]:
    """All that answer for one place."""
    match: dict[str, Any] = {"host": [group[0].host]} if group[0].host else {}
    path = group[0].path.rstrip("/")
    if path:
        below = [f"{path}/*"]
        match["path"] = below if group[0].path.endswith("/") else [path, *below]
    weights = [_USUAL_WEIGHT if one.weight is None else one.weight for one in group]
    shares = ", ".join(f"{one.service}={w}" for one, w in zip(group, weights, strict=True))
    made: dict[str, Any] = {"@id": f"{group[0].host}{group[0].path}: {shares}"}
    made |= {"match": [match]} if match else {}
    if not any(weights):
        return {**made, **NOT_FOUND, "terminal": True}
    return {**made, "handle": [_handler(group, weights)], "terminal": True}


def _handler(group: Sequence[Target], weights: Sequence[int]) -> dict[str, Any]:
    """A reverse proxy; a request that found no task is sent again, to the next one."""
    made: dict[str, Any] = {
        "handler": "reverse_proxy",
        "load_balancing": {
            "selection_policy": {"policy": "random" if len(group) > 1 else "least_conn"},
            "try_duration": "5s",
            "try_interval": "100ms",
        },
    }
    if any(one.speaks in _H2 for one in group):
        made["transport"] = {"protocol": "http", "versions": ["h2c", "2"]}
    if len(group) == 1:
        # The tasks themselves: a virtual address would hide which of them has gone.
        name, port = f"tasks.{group[0].service}", str(group[0].port)
        return made | {
            "dynamic_upstreams": {"source": "a", "name": name, "port": port, "refresh": "1s"}
        }
    dials = [f"tasks.{one.service}:{one.port}" for one in group]
    shares = zip(dials, _shares(weights), strict=True)
    return made | {"upstreams": [{"dial": dial} for dial, share in shares for _ in range(share)]}


def _shares(weights: Sequence[int]) -> list[int]:
    """Weights as small whole numbers of the same proportions, to a hundredth."""
    total = sum(weights)
    rounded = [max(1, round(w * _STEPS / total)) if w else 0 for w in weights]
    exact = list(weights) if total <= _STEPS else rounded
    divisor = gcd(*exact)
    return [share // divisor for share in exact]
