"""The namespace of an instance: made when it is first written to, and gone with what was in it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orch.errors import Conflict, Denied, OrchError, Transient
from orch_kubernetes import names
from orch_kubernetes.adopt.belonging import own_rows
from orch_kubernetes.api import marks
from orch_kubernetes.api.discovery import AT_ONCE, PASSING, discover

if TYPE_CHECKING:
    from orch_kubernetes.api.kinds import Kind
    from orch_kubernetes.change.sights import Cluster

Row = dict[str, Any]
GONE_SECONDS = 60.0
POLL = 0.3


def ensure_namespace(cluster: Cluster) -> None:
    """Make the namespace of an instance, when it is not there."""
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": cluster.space,
            "labels": {names.MANAGED_BY: "orch"},
            "annotations": {marks.OWNER: f"{cluster.instance.namespace}/{cluster.instance.name}"},
        },
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


def is_going(row: Row | None) -> bool:
    """Whether a namespace was told to end, with all that is in it."""
    return row is not None and "deletionTimestamp" in row["metadata"]


def await_gone(cluster: Cluster) -> None:
    """Until a namespace that is on its way out has gone. Raises Transient when it does not go."""
    end = time.monotonic() + GONE_SECONDS
    while is_going(cluster.client.one(_path(cluster))):
        if time.monotonic() > end:
            raise Transient(
                f"the namespace {cluster.space} does not go",
                place=_path(cluster),
                mend=f"see what holds it back: `kubectl describe namespace {cluster.space}`",
            )
        time.sleep(POLL)


def goes_with_it(cluster: Cluster) -> Row | None:
    """The namespace, when it is the instance's own and orch made it: it has no other purpose."""
    if cluster.instance.namespace != marks.DEFAULT_NAMESPACE:
        return None
    row = cluster.client.one(_path(cluster))
    if row is None or is_going(row):
        return None
    ours = marks.owner_of({**row, "kind": "Namespace"}, cluster.instance.target)
    return row if ours == cluster.instance else None


def leave_namespace(cluster: Cluster) -> None:
    """Remove the namespace that was made for the instance, when nothing is left in it.

    Where that can't be seen, or may not be done, it stays.
    """
    with suppress(OrchError):
        row = goes_with_it(cluster)
        if row is not None and _is_empty(cluster):
            cluster.client.delete(_path(cluster), uid=str(row["metadata"]["uid"]))


def _is_empty(cluster: Cluster) -> bool:
    kinds = [k for k in discover(cluster.client, whole=True) if k.name not in PASSING]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        rows = [row for held in pool.map(lambda kind: _held(cluster, kind), kinds) for row in held]
    return not own_rows(rows)


def _held(cluster: Cluster, kind: Kind) -> list[Row]:
    rows = cluster.client.of_kind(kind, cluster.space) or []
    return [{**row, "kind": kind.name} for row in rows]


def _path(cluster: Cluster) -> str:
    return f"/api/v1/namespaces/{cluster.space}"
