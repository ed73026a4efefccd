"""Which kinds of objects a cluster has, and where its API keeps each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from orch.errors import Denied, Transient
from orch_kubernetes.api.faults import Missing
from orch_kubernetes.api.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch_kubernetes.api.client import KubernetesClient

AT_ONCE = 12
PASSING = frozenset(
    {
        "Binding",
        "ControllerRevision",
        "CSIStorageCapacity",
        "Endpoints",
        "EndpointSlice",
        "Event",
        "Lease",
        "LimitRange",
        "LocalSubjectAccessReview",
        "PodMetrics",
        "PodTemplate",
        "ResourceQuota",
    }
)
"""Kinds that the cluster writes, or that belong to the namespace and to no application."""
_TOLD_APART = {"HorizontalPodAutoscaler": ("v2", "v2beta2", "v1")}
"""Versions in the order in which they tell most, where that is not the cluster's own order."""


def discover(client: KubernetesClient, *, whole: bool = False) -> list[Kind]:
    """Every kind of a namespace that can be listed, each in the version that tells most.

    A group whose server is away, or that may not be read, is left out; `whole` raises its fault
    instead. Raises Denied, Transient or Unreachable.
    """
    groups = client.get("/apis").get("groups") or ()
    apis = ["v1", *(api for group in groups for api in _versions(group))]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        read = pool.map(lambda api: _resources(client, api, needed=whole or api == "v1"), apis)
        tables = dict(zip(apis, read, strict=True))
    found: dict[tuple[str, str], Kind] = {}
    for api in apis:
        for row in tables[api]:
            kind = Kind(str(row["kind"]), api, str(row["name"]))
            key = (group_of(api), kind.name)
            if key not in found or _rank(kind) < _rank(found[key]):
                found[key] = kind
    return list(found.values())


def group_of(api: str) -> str:
    """The group of an API version, empty for the oldest one."""
    return api.rpartition("/")[0]


def _versions(group: Mapping[str, Any]) -> list[str]:
    """The versions of a group, the preferred one first."""
    first = (group.get("preferredVersion") or {}).get("groupVersion")
    all_ = [str(version["groupVersion"]) for version in group.get("versions") or ()]
    return sorted(all_, key=lambda api: api != first)


def _resources(client: KubernetesClient, api: str, *, needed: bool) -> Sequence[Mapping[str, Any]]:
    try:
        said = client.get(f"/apis/{api}" if "/" in api else f"/api/{api}")
    except (Missing, Transient, Denied):
        if needed:
            raise
        return ()
    return [
        row
        for row in said.get("resources") or ()
        if row.get("namespaced") and "/" not in row["name"] and "list" in (row.get("verbs") or ())
    ]


def _rank(kind: Kind) -> int:
    order = _TOLD_APART.get(kind.name, ())
    version = kind.api.rpartition("/")[2]
    return order.index(version) if version in order else len(order)
