"""Which kind of object leads to a host, and how one takes the place of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.types import Diagnostic, Severity
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
SETTLES = 10.0
"""Seconds from which on a way in is taken to be served; controllers accept it before they do."""


def standing(cluster: Cluster) -> Mapping[str, str]:
    """How routes of an instance are made at present, each with the class that it names, if any."""
    rows = cluster.ours([*KINDS.values(), "Gateway"])
    gateways = [part(row, ("spec", "gatewayClassName")) for row in rows.get("Gateway", ())]
    found = {way: "" for way, kind in KINDS.items() if rows.get(kind)}
    if INGRESS in found:
        found[INGRESS] = str(rows["Ingress"][0]["spec"].get("ingressClassName") or "")
    if GATEWAY in found and gateways:
        found[GATEWAY] = str(gateways[0])
    return found


def moves(there: Iterable[str], wanted: Iterable[str]) -> Iterator[Diagnostic]:
    """Warnings of hosts that get another kind of way in, by the ids that are there and wanted.

    The new one is made before the old one goes, but another controller answers at an address of
    its own, to which names have to lead.
    """
    before, after = _by_host(there), _by_host(wanted)
    for host in sorted(before.keys() & after.keys()):
        if not before[host] & after[host]:
            was, comes = WAYS[min(before[host])], WAYS[min(after[host])]
            yield Diagnostic(
                f"{host} moves from {was} to {comes}, and may answer at another address there",
                mend=f"lead its name to that once it is up, or stay with --option routes={was}",
                severity=Severity.WARNING,
            )


def unsettled(cluster: Cluster, id_: str) -> float:
    """Seconds for which a way in has still to stay, as another one to its host is that young."""
    way, _, host = id_.partition("/")
    if way not in WAYS:
        return 0.0
    others = {f"{other}/{host}": KINDS[said] for other, said in WAYS.items() if other != way}
    rows = (row for held in cluster.ours(others.values()).values() for row in held)
    made = [
        seconds_of(str(row["metadata"].get("creationTimestamp", "")))
        for row in rows
        if marks.annotation(row, marks.ID) in others
    ]
    return max((SETTLES - (cluster.client.now() - one) for one in made), default=0.0)


def _by_host(ids: Iterable[str]) -> dict[str, set[str]]:
    """Hosts with the ways that lead to them."""
    found: dict[str, set[str]] = {}
    for way, _, host in (id_.partition("/") for id_ in ids):
        if way in WAYS:
            found.setdefault(host, set()).add(way)
    return found
