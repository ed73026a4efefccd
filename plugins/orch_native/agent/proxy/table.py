"""What the proxy listens on and where it sends what comes: the agent's table, read from JSON."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Key = tuple[str, int, str, bool]
DEFAULT_WEIGHT = 100


@dataclass(frozen=True, slots=True)
class Upstream:
    """A replica's port. A draining one keeps its connections and gets no new ones."""

    host: str
    port: int
    draining: bool = False

    @property
    def place(self) -> tuple[str, int]:
        """Where to connect."""
        return self.host, self.port


@dataclass(frozen=True, slots=True)
class Route:
    """Requests for a host (empty for every host) below a path."""

    host: str
    path: str
    weight: int | None
    upstreams: tuple[Upstream, ...]

    def fits(self, host: str, path: str) -> bool:
        """Whether a request belongs to it; `/a` holds `/a` and `/a/b` and not `/ab`."""
        below = path == self.path or path.startswith(self.path.rstrip("/") + "/")
        return below and self.host in ("", host)


@dataclass(frozen=True, slots=True)
class Listener:
    """A port that is listened on: a stream of bytes, datagrams, or HTTP with routes."""

    host: str
    port: int
    protocol: str
    upstreams: tuple[Upstream, ...] = ()
    routes: tuple[Route, ...] = ()
    certificates: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    optional: bool = False

    @property
    def key(self) -> Key:
        """What must be opened anew when it changes."""
        return self.host, self.port, self.protocol, bool(self.certificates)


def read_table(raw: Sequence[Mapping[str, Any]]) -> dict[Key, Listener]:
    """Listeners by key, from the agent's JSON."""
    found = (_listener(item) for item in raw)
    return {listener.key: listener for listener in found}


def _listener(raw: Mapping[str, Any]) -> Listener:
    return Listener(
        host=raw["host"],
        port=raw["port"],
        protocol=raw["protocol"],
        upstreams=_upstreams(raw.get("upstreams", ())),
        routes=tuple(
            Route(r["host"].lower(), r["path"], r.get("weight"), _upstreams(r["upstreams"]))
            for r in raw.get("routes", ())
        ),
        certificates=tuple((cert, key) for cert, key in raw.get("certificates", ())),
        optional=raw.get("optional", False),
    )


def _upstreams(raw: Sequence[Mapping[str, Any]]) -> tuple[Upstream, ...]:
    return tuple(Upstream(u["host"], u["port"], u.get("draining", False)) for u in raw)


class Balance:
    """Chooses the replica with the fewest connections; equal ones take turns."""

    def __init__(self) -> None:
        self._open: Counter[tuple[str, int]] = Counter()
        self._turn = itertools.count()

    def order(self, upstreams: Sequence[Upstream]) -> list[Upstream]:
        """All that may get a new connection, the best first."""
        usable = [upstream for upstream in upstreams if not upstream.draining]
        if not usable:
            return []
        start = next(self._turn) % len(usable)
        turned = usable[start:] + usable[:start]
        return sorted(turned, key=lambda upstream: self._open[upstream.place])

    def opened(self, upstream: Upstream) -> None:
        """Count a connection."""
        self._open[upstream.place] += 1

    def closed(self, upstream: Upstream) -> None:
        """Count its end."""
        self._open[upstream.place] -= 1
        if self._open[upstream.place] <= 0:
            del self._open[upstream.place]


def choose_route(routes: Sequence[Route], host: str, path: str) -> Route | None:
    """The route of the longest path, a named host before every host; by weight among equals."""
    fitting = [route for route in routes if route.fits(host, path)]
    if not fitting:
        return None
    best = max((bool(r.host), len(r.path)) for r in fitting)
    equal = [r for r in fitting if (bool(r.host), len(r.path)) == best]
    weights = [DEFAULT_WEIGHT if r.weight is None else r.weight for r in equal]
    if not any(weights):
        return None
    return random.choices(equal, weights)[0]  # noqa: S311  (shares, not secrets)
