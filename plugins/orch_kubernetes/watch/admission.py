"""What controllers and routers say of routes: where they answer, and which are refused."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch.types import Event, EventKind
from orch_kubernetes.api import marks
from orch_kubernetes.api.kinds import part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Row = dict[str, Any]
KINDS = ("Ingress", "HTTPRoute", "Gateway", "Route")
"""Kinds by which requests come in; what stands may be of another than is made today."""
JUDGED = ("HTTPRoute", "Gateway", "Route")
"""Kinds that a controller accepts or refuses by conditions; an Ingress has none."""
PATIENCE = 10.0
"""Seconds that a controller, should there be one, gets for its first word; once a deploy."""
STANDS = 2.0
"""Seconds that a refusal has to stand: a Service or a Secret may be seen a little later."""
POLL = 0.2
_GOOD = {"Accepted": "True", "ResolvedRefs": "True", "Programmed": "True", "Admitted": "True",
         "Conflicted": "False"}  # fmt: skip
_NOT_YET = ("Pending", "AddressNotAssigned")
"""Reasons that pass by themselves: clouds take a minute for an address."""
_LONGEST = 300


# -- one object ------------------------------------------------------------------------------------


def refusals(row: Row) -> list[str]:
    """Why an object is refused, in its controller's own words; empty when it is not.

    What was said of an earlier generation counts no more.
    """
    said = (
        f"{row['kind']} {marks.name_of(row)}{where} is refused: {_told(one)}"
        for where, one in _conditions(row)
        if one.get("status") in ("True", "False")
        and one["status"] != _GOOD.get(str(one.get("type")), one["status"])
        and one.get("reason") not in _NOT_YET
    )
    return list(dict.fromkeys(said))


def is_accepted(row: Row) -> bool:
    """Whether every controller that has to has taken it up."""
    first = "Admitted" if row["kind"] == "Route" else "Accepted"
    found = [one for where, one in _conditions(row) if one.get("type") == first and not where]
    return bool(found) and all(one.get("status") == "True" for one in found) and not refusals(row)


def _conditions(row: Row) -> Iterator[tuple[str, Row]]:
    """What is said of its present generation, each with the part that it is said of."""
    generation = int(row["metadata"].get("generation") or 0)
    for where, one in _by_kind(row):
        if int(one.get("observedGeneration") or generation) >= generation:
            yield where, one


def _by_kind(row: Row) -> Iterator[tuple[str, Row]]:
    status = row.get("status") or {}
    if row["kind"] == "HTTPRoute":
        for parent in status.get("parents") or ():
            yield from (("", one) for one in parent.get("conditions") or ())
    elif row["kind"] == "Route":
        for router in _admitting(row):
            yield from (("", one) for one in router.get("conditions") or ())
    elif row["kind"] == "Gateway":
        yield from (("", one) for one in status.get("conditions") or ())
        for listener in status.get("listeners") or ():
            where = f", listener {listener.get('name')},"
            yield from ((where, one) for one in listener.get("conditions") or ())


def _admitting(row: Row) -> Iterator[Row]:
    """What routers say of a Route; of a host that it has no more, it tells nothing."""
    host = part(row, ("spec", "host"))
    for router in part(row, ("status", "ingress")) or ():
        if not host or router.get("host") in (None, host):
            yield router


def _told(one: Row) -> str:
    said = f"{one.get('reason') or one.get('type')}: {one.get('message') or ''}".rstrip(": ")
    said = " ".join(said.split())
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"


# -- after a change --------------------------------------------------------------------------------


@dataclass
class Verdicts:
    """Awaits the controllers' words on what a deploy wrote; all share one time to wait."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _until: float = float("-inf")

    def of(self, id_: str, look: Callable[[], Row | None]) -> Iterator[Event]:
        """Warnings of what is refused. Where no controller says anything, nothing is told."""
        if self.clock() > self._until + PATIENCE:
            self._until = self.clock() + PATIENCE
        since = 0.0
        while True:
            row = look()
            if row is None or is_accepted(row):
                return
            refused, now = refusals(row), self.clock()
            since = (since or now) if refused else 0.0
            over = now >= self._until
            if refused and (over or now - since >= STANDS):
                yield from (Event(EventKind.WARNING, id_, said) for said in refused)
            if over or (refused and now - since >= STANDS):
                return
            self.sleep(POLL)


# -- for a service ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Routes:
    """All ways by which requests come in, by kind."""

    rows: Mapping[str, Sequence[Row]]

    def endpoints(self, service: str) -> Iterator[str]:
        """Addresses at which a Service answers from outside."""
        for row in self._to(service):
            yield from _ENDPOINTS[row["kind"]](row, list(self._gateways(row)))

    def refusal(self, service: str) -> str:
        """What stands between the world and a Service; empty when nothing is known to."""
        rows = list(self._to(service))
        rows += [gateway for row in rows for gateway in self._gateways(row)]
        return "; ".join(dict.fromkeys(said for row in rows for said in refusals(row)))

    def _to(self, service: str) -> Iterator[Row]:
        for kind, held in self.rows.items():
            if kind in _BACKENDS:
                yield from (row for row in held if service in _BACKENDS[kind](row))

    def _gateways(self, row: Row) -> Iterator[Row]:
        parents = part(row, ("spec", "parentRefs")) or ()
        named = {one.get("name") for one in parents if not one.get("namespace")}
        yield from (one for one in self.rows.get("Gateway", ()) if marks.name_of(one) in named)


def _of_ingress(row: Row, _gateways: Sequence[Row]) -> Iterator[str]:
    scheme = "https" if part(row, ("spec", "tls")) else "http"
    held = part(row, ("status", "loadBalancer", "ingress")) or ()
    for rule in part(row, ("spec", "rules")) or ():
        addresses = [one.get("ip") or one.get("hostname") for one in held]
        hosts = [rule["host"]] if rule.get("host") else addresses
        yield from (f"{scheme}://{host}" for host in hosts)


def _of_http_route(row: Row, gateways: Sequence[Row]) -> Iterator[str]:
    scheme = "https" if any(_is_encrypted(row, one) for one in gateways) else "http"
    held = (one for gateway in gateways for one in part(gateway, ("status", "addresses")) or ())
    hosts = part(row, ("spec", "hostnames")) or [one.get("value") for one in held]
    yield from (f"{scheme}://{host}" for host in hosts)


def _of_route(row: Row, _gateways: Sequence[Row]) -> Iterator[str]:
    scheme = "https" if part(row, ("spec", "tls")) else "http"
    admitted = [one.get("host") for one in part(row, ("status", "ingress")) or ()]
    host = part(row, ("spec", "host")) or next(filter(None, admitted), "")
    if part(row, ("spec", "wildcardPolicy")) == "Subdomain":
        host = f"*.{host.partition('.')[2]}"
    if host:
        yield f"{scheme}://{host}"


_ENDPOINTS: Mapping[str, Callable[[Row, Sequence[Row]], Iterator[str]]] = {
    "Ingress": _of_ingress,
    "HTTPRoute": _of_http_route,
    "Route": _of_route,
}
"""Addresses of a way in, by its kind; each is given the Gateways that it hangs on."""


def _is_encrypted(row: Row, gateway: Row) -> bool:
    """Whether a route hangs on an encrypted listener, by its name or by its host."""
    parents = part(row, ("spec", "parentRefs")) or ()
    sections = {one.get("sectionName") for one in parents if one.get("sectionName")}
    hosts = part(row, ("spec", "hostnames")) or [None]
    return any(
        listener.get("protocol") == "HTTPS"
        and (listener["name"] in sections if sections else listener.get("hostname") in hosts)
        for listener in part(gateway, ("spec", "listeners")) or ()
    )


def _of_rules(row: Row) -> set[str]:
    rules: Iterable[Row] = part(row, ("spec", "rules")) or ()
    return {str(one.get("name")) for rule in rules for one in rule.get("backendRefs") or ()}


def _of_paths(row: Row) -> set[str]:
    return {
        str(part(path, ("backend", "service", "name")))
        for rule in part(row, ("spec", "rules")) or ()
        for path in part(rule, ("http", "paths")) or ()
    }


def _of_backends(row: Row) -> set[str]:
    others = part(row, ("spec", "alternateBackends")) or ()
    return {str(one.get("name")) for one in (part(row, ("spec", "to")), *others) if one}


_BACKENDS: Mapping[str, Callable[[Row], set[str]]] = {
    "Ingress": _of_paths,
    "HTTPRoute": _of_rules,
    "Route": _of_backends,
}
"""Names of the Services that an object sends requests to."""
