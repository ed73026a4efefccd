"""What a cluster tells of itself, all asked at once; what may not be seen counts as not there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from orch.errors import Denied, Transient, Unreachable
from orch_kubernetes.api.faults import Missing
from orch_kubernetes.classes import classes_of
from orch_kubernetes.facts import Sighting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_kubernetes.api.client import KubernetesClient
    from orch_kubernetes.classes import StorageClass

AT_ONCE = 5
NODES = 20
"""How many nodes are looked at to recognise a flavour."""
_GATEWAYS = "gateway.networking.k8s.io"
_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
Row = dict[str, Any]


def sighting(client: KubernetesClient) -> Sighting:
    """Its version, groups, nodes, and classes of ways in. Raises Denied, Transient, Unreachable."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        version = pool.submit(client.version)
        known = pool.submit(client.get, "/apis")
        nodes = pool.submit(_seen, client, "/api/v1/nodes", limit=str(NODES))
        asked = pool.submit(_seen, client, "/apis/networking.k8s.io/v1/ingressclasses")
        gateways = pool.submit(_seen, client, f"/apis/{_GATEWAYS}/v1/gatewayclasses")
        ingress = asked.result() or []
        return Sighting(
            version=version.result(),
            groups=frozenset(group["name"] for group in known.result().get("groups", ())),
            nodes=tuple(node["metadata"].get("labels") or {} for node in nodes.result() or ()),
            ingress_classes=tuple(one["metadata"]["name"] for one in ingress),
            ingress_default=any(_is_default(one) for one in ingress),
            gateway_classes=tuple(
                one["metadata"]["name"] for one in gateways.result() or () if _is_accepted(one)
            ),
        )


def storage_classes(client: KubernetesClient) -> tuple[StorageClass, ...] | None:
    """The storage classes that are there, None where they can't be seen."""
    try:
        rows = _seen(client, "/apis/storage.k8s.io/v1/storageclasses")
    except (Transient, Unreachable):
        return None
    return None if rows is None else classes_of(rows)


def _seen(client: KubernetesClient, path: str, **query: str) -> list[Row] | None:
    try:
        found: list[Row] = client.get(path, **query).get("items") or []
    except (Missing, Denied):
        return None
    return found


def _is_default(ingress_class: Mapping[str, Any]) -> bool:
    annotations = ingress_class["metadata"].get("annotations") or {}
    return bool(annotations.get(_DEFAULT_CLASS) == "true")


def _is_accepted(gateway_class: Mapping[str, Any]) -> bool:
    """Whether a controller took a class of gateways."""
    conditions = (gateway_class.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Accepted" and c["status"] == "True" for c in conditions)
