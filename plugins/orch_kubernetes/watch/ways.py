"""Which kind of object leads to a host, and how one takes the place of another."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from orch.types import Diagnostic, Severity
from orch_kubernetes import names
from orch_kubernetes.api import marks
from orch_kubernetes.api.kinds import part
from orch_kubernetes.flavours import GATEWAY, INGRESS, ROUTE
from orch_kubernetes.watch.status import seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orch_kubernetes.change.sights import Cluster

Row = dict[str, Any]
WAYS = {"ingress": INGRESS, "httproute": GATEWAY, "route": ROUTE}
"""How routes are made, by how the ids of what leads to a host begin."""
KINDS = {INGRESS: "Ingress", GATEWAY: "HTTPRoute", ROUTE: "Route"}
_CLASSES = {INGRESS: ("Ingress", "ingressClassName"), GATEWAY: ("Gateway", "gatewayClassName")}
SETTLES = 10.0
"""Seconds from which on a way in is taken to be served; controllers accept it before they do."""


def standing(cluster: Cluster) -> Mapping[str, str | None]:
    """How routes of an instance are made at present, each with the class that it names.

    Where several do, that of the most; None where overrides alone gave one, as such a class holds
    for its own object, and as long as the override is there.
    """
    rows = cluster.ours([*KINDS.values(), "Gateway"])
    found: dict[str, str | None] = {way: None for way, kind in KINDS.items() if rows.get(kind)}
    for way in found.keys() & _CLASSES.keys():
        kind, named = _CLASSES[way]
        free = (row for row in rows.get(kind, ()) if not marks.annotation(row, names.CLASS_LAID))
        said = Counter(str(part(row, ("spec", named)) or "") for row in free)
        found[way] = max(sorted(said), key=said.__getitem__, default=None)
    return found


def former(cluster: Cluster, id_: str) -> list[str]:
    """Ways in of another kind that stand beside one that is written, to the same host."""
    return [f"{row['kind']} {marks.name_of(row)}" for row in _others(cluster, id_)]


def _others(cluster: Cluster, id_: str) -> list[Row]:
    """What leads to the same host by another kind; a Gateway leads to all hosts."""
    way, host = way_of(id_)
    kind = KINDS[GATEWAY if id_ == names.GATEWAY_ID else WAYS[way]]
    rows = cluster.ours([other for other in KINDS.values() if other != kind]).values()
    return [
        row
        for held in rows
        for row in held
        if id_ == names.GATEWAY_ID or way_of(marks.annotation(row, marks.ID))[1] == host
    ]


def way_of(id_: str) -> tuple[str, str]:
    """The kind and the host of what leads to one, by its id; some have more than one for a host."""
    way, _, rest = id_.partition("/")
    host = rest.partition("/")[0]
    return way, "*" if host == names.NO_HOST else host


def moves(there: Iterable[str], wanted: Iterable[str]) -> Iterator[Diagnostic]:
    """Warnings of hosts that get another kind of way in, by the ids that are there and wanted.

    The new one is made before the old one goes, but another controller answers at an address of
    its own, to which names have to lead.
    """
    before, after = _by_host(there), _by_host(wanted)
    for host in sorted(before.keys() & after.keys()):
        if not before[host] & after[host]:
            was, comes = WAYS[min(before[host])], WAYS[min(after[host])]
            said = "what comes for any host" if host == "*" else host
            yield Diagnostic(
                f"{said} moves from {was} to {comes}, and may answer at another address there",
                mend=f"lead its name to that once it is up, or stay with --option routes={was}",
                severity=Severity.WARNING,
            )


def unsettled(cluster: Cluster, id_: str) -> float:
    """Seconds for which a way in has still to stay, as another one to its host is that young."""
    if way_of(id_)[0] not in WAYS:
        return 0.0
    made = [
        seconds_of(str(row["metadata"].get("creationTimestamp", "")))
        for row in _others(cluster, id_)
    ]
    return max((SETTLES - (cluster.client.now() - one) for one in made), default=0.0)


def _by_host(ids: Iterable[str]) -> dict[str, set[str]]:
    """Hosts with the ways that lead to them."""
    found: dict[str, set[str]] = {}
    for way, host in map(way_of, ids):
        if way in WAYS:
            found.setdefault(host, set()).add(way)
    return found
