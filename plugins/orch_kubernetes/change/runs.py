"""Jobs that have run and are removed by the cluster since: they count as there."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orch.errors import Conflict
from orch.types import Observed
from orch_kubernetes import names
from orch_kubernetes.change.store import KubernetesStore

if TYPE_CHECKING:
    from orch.types import Action, Resource
    from orch_kubernetes.change.sights import Cluster

PREFIX = "ran."


def remember_run(cluster: Cluster, action: Action) -> None:
    """Note that a job is done, where the cluster is to remove it after a while."""
    body = action.body or {}
    if action.kind != "Job" or not _goes(body):
        return
    store = KubernetesStore(cluster)
    record = {"body": body, "name": action.name, "revision": action.revision}
    forget_run(cluster, action.id)
    with suppress(Conflict):
        store.create(_name(action.id), json.dumps(record).encode())


def forget_run(cluster: Cluster, id_: str) -> None:
    """Let a job count as never run."""
    KubernetesStore(cluster).delete(_name(id_))


def has_run(cluster: Cluster, wanted: Resource) -> Observed | None:
    """A job that was done and is gone, as it was; None when none was."""
    if wanted.kind != "Job" or not _goes(wanted.body):
        return None
    try:
        record = json.loads(KubernetesStore(cluster).read(_name(wanted.id)))
    except KeyError:
        return None
    body = record["body"]
    return Observed(
        wanted.id,
        wanted.kind,
        record["name"],
        body,
        applied=body,
        owner=cluster.instance,
        revision=int(record["revision"]),
        uid="gone",
    )


def _goes(body: Any) -> bool:
    return "ttlSecondsAfterFinished" in (body.get("spec") or {})


def _name(id_: str) -> str:
    return PREFIX + names.object_name(id_.partition("/")[2])
