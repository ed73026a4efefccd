"""The namespace of an instance, made when it is first written to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orch.errors import Conflict, Denied, OrchError
from orch_kubernetes import names

if TYPE_CHECKING:
    from orch_kubernetes.sights import Cluster


def ensure_namespace(cluster: Cluster) -> None:
    """Make the namespace of an instance, when it is not there."""
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": cluster.space, "labels": {names.MANAGED_BY: "orch"}},
    }
    try:
        cluster.client.request("POST", "/api/v1/namespaces", body)
    except Denied as fault:
        raise Denied(
            fault.fault,
            place=f"the namespace {cluster.space}",
            mend=f"let it be made: `kubectl create namespace {cluster.space}`; or name one that "
            "is there with --namespace",
        ) from fault
    except Conflict:
        return
    await_account(cluster)


def await_account(cluster: Cluster) -> None:
    """A new namespace takes pods only once the cluster has given it an account."""
    path = f"/api/v1/namespaces/{cluster.space}/serviceaccounts/default"
    for _ in range(20):
        try:
            if cluster.client.one(path) is not None:
                return
        except OrchError:
            return
        time.sleep(0.1)
