"""The ways to the replicas of a service: an address outside, and endpoints inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch.errors import Denied
from orch_kubernetes.api import marks
from orch_kubernetes.api.faults import Missing
from orch_kubernetes.api.kinds import part
from orch_kubernetes.watch.health import is_ready, labels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from orch_kubernetes.facts import ClusterFacts

Row = dict[str, Any]
SERVICE_NAME = "kubernetes.io/service-name"
"""The label by which slices of endpoints are known, and none that were made by hand before."""


def slices_path(facts: ClusterFacts, space: str) -> str:
    """Where the API keeps the endpoints of a namespace."""
    version = "v1" if facts.has("endpoint_slices_v1") else "v1beta1"
    return f"/apis/discovery.k8s.io/{version}/namespaces/{space}/endpointslices"


def seen(rows: Callable[[], list[Row]]) -> list[Row] | None:
    """A collection, None where one may not see it or there is no such kind."""
    try:
        return rows()
    except (Denied, Missing):
        return None


@dataclass(frozen=True, slots=True)
class WaysIn:
    """Services and their endpoints, None for what may not be seen.

    `balanced` says that a Service of type LoadBalancer gets an address on this cluster;
    `expected` are ids of Services that were just written.
    """

    services: Sequence[Row] | None
    slices: Sequence[Row] | None
    balanced: bool
    expected: Collection[str] = ()

    def lacking(self, row: Row, pods: Sequence[Row], wanted: int) -> str:
        """What stands between the world and a workload with so many replicas; empty for nothing."""
        if self.services is None or "selector" not in row["spec"]:
            return ""
        there = {marks.annotation(service, marks.ID) for service in self.services}
        if not there.issuperset(self.expected):
            return "its Services are not seen yet"
        for service in self._services_of(row):
            name = marks.name_of(service)
            if self.balanced and lacks_address(service):
                return f"{name} has no address yet"
            awry = self._awry(name, pods, wanted)
            if awry:
                return awry
        return ""

    def there_are(self, row: Row) -> bool:
        """Whether nodes are to send anything to a workload."""
        return any(True for _ in self._services_of(row))

    def without_address(self, row: Row) -> list[str]:
        """Names of Services that wait for a load balancer."""
        found = self._services_of(row) if self.balanced else ()
        return [marks.name_of(service) for service in found if lacks_address(service)]

    def _services_of(self, row: Row) -> Iterator[Row]:
        wanted = part(row, ("spec", "selector", "matchLabels"))
        for service in self.services or ():
            spec = service.get("spec") or {}
            if wanted and spec.get("selector") == wanted and spec.get("ports"):
                yield service

    def _awry(self, service: str, pods: Sequence[Row], wanted: int) -> str:
        """What the endpoints have too little or too much of."""
        if self.slices is None:
            return ""
        there = set(_names(self.slices, service))
        ready = {marks.name_of(pod) for pod in pods if is_ready(pod)}
        missing = max(len(ready - there), wanted - len(there), 0)
        if missing:
            return f"{missing} not yet among the endpoints of {service}"
        ended = len(there - ready)
        return f"{ended} that end still among the endpoints of {service}" if ended else ""


def lacks_address(service: Row) -> bool:
    """Whether a Service is open to the outside and no load balancer has taken it up yet."""
    given = part(service, ("status", "loadBalancer", "ingress"))
    return part(service, ("spec", "type")) == "LoadBalancer" and not given


def _names(slices: Collection[Row], service: str) -> Iterator[str]:
    """Names of pods that requests to a service are sent to."""
    for one in slices:
        if labels_of(one).get(SERVICE_NAME) == service:
            for endpoint in one.get("endpoints") or ():
                if (endpoint.get("conditions") or {}).get("ready") is not False:
                    yield str((endpoint.get("targetRef") or {}).get("name", ""))
