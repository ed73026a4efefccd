"""What the cluster notes of an application's objects: its events, and the reasons in them."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch.frozen import FrozenDict
from orch.types import Event, EventKind
from orch_kubernetes.api import marks
from orch_kubernetes.api.kinds import WORKLOADS
from orch_kubernetes.watch.health import labels_of, pods_of, unit_of
from orch_kubernetes.watch.status import seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch_kubernetes.change.sights import Cluster

Row = dict[str, Any]
LOOK_AGAIN = 1.0
_MOST_WORDS = 3
_COMBINED = "(combined from similar events): "


def events(cluster: Cluster, *, follow: bool, since: float | None) -> Iterator[Event]:
    """What happened to the instance's objects, the oldest first."""
    reader = Happenings(cluster)
    while True:
        yield from (event for event in reader.fresh() if since is None or event.time >= since)
        if not follow:
            return
        time.sleep(LOOK_AGAIN)


@dataclass
class Happenings:
    """Reads events of the namespace, and knows which were told."""

    cluster: Cluster
    _told: dict[str, str] = field(default_factory=dict)

    def fresh(self) -> list[Event]:
        """Those that were not told yet, by time."""
        path = f"/api/v1/namespaces/{self.cluster.space}/events"
        rows = self.cluster.client.listed(path)
        ids = self._ids()
        found = []
        for row in rows:
            uid, version = str(row["metadata"]["uid"]), str(row["metadata"]["resourceVersion"])
            about = row.get("involvedObject") or {}
            id_ = ids.get(_key(about))
            if id_ is None and about.get("kind") == "Pod":
                id_ = self._of_lost_pod(str(about.get("name", "")), ids)
            if id_ is not None and self._told.get(uid) != version:
                self._told[uid] = version
                found.append(_event(id_, row))
        return sorted(found, key=lambda event: event.time)

    def _ids(self) -> dict[tuple[str, str], str]:
        """Ids by kind and name, of what bears our marks and of the pods below."""
        rows = self.cluster.ours(self.cluster.kinds.all)
        found = {
            (kind, marks.name_of(row)): marks.annotation(row, marks.ID)
            for kind, held in rows.items()
            for row in held
            if marks.annotation(row, marks.ID)
        }
        units = [row for name in WORKLOADS for row in rows.get(name, ())]
        below = [("Pod", row) for row in self.cluster.pods()]
        below += [("ReplicaSet", row) for row in self.cluster.replica_sets(every=True)]
        for row in units:
            noun, name = unit_of(row)
            wanted = {marks.name_of(pod) for pod in pods_of(row, [one for _, one in below])}
            for kind, one in below:
                if marks.name_of(one) in wanted or _is_of(one, row):
                    found[kind, marks.name_of(one)] = f"{noun}/{name}"
        return found

    @staticmethod
    def _of_lost_pod(name: str, ids: dict[tuple[str, str], str]) -> str | None:
        """A pod that is gone is known by the name of what made it."""
        for (kind, stem), id_ in ids.items():
            if kind in WORKLOADS and name.startswith(f"{stem}-"):
                return id_
        return None


def words_on(cluster: Cluster, service: str) -> list[str]:
    """What the cluster notes of a Service, each message once, the newest last."""
    named = _notes(cluster, "Service", service)
    said = dict.fromkeys(f"{row.get('reason')}: {row.get('message')}" for row in named)
    return list(said)[-_MOST_WORDS:]


def refusal_of(cluster: Cluster, workload: Row) -> str:
    """Why the newest pod of a workload could not be made, such as a policy or a quota.

    Deployments have a condition that says so; what else makes pods only notes it.
    """
    uid = workload["metadata"]["uid"]
    rows = _notes(cluster, workload["kind"], marks.name_of(workload))
    named = [row for row in rows if (row.get("involvedObject") or {}).get("uid") in (None, uid)]
    if not named or named[-1].get("reason") != "FailedCreate":
        return ""
    said = str(named[-1].get("message", "")).strip().removeprefix(_COMBINED)
    return re.sub(r'pods "[^"]*"', "pods", said)  # another name at each attempt


def _notes(cluster: Cluster, kind: str, name: str) -> list[Row]:
    """Events of one object, the newest last."""
    chosen = f"involvedObject.kind={kind},involvedObject.name={name}"
    path = f"/api/v1/namespaces/{cluster.space}/events"
    rows = cluster.client.listed(path, fieldSelector=chosen)
    named = [row for row in rows if _key(row.get("involvedObject") or {}) == (kind, name)]
    return sorted(named, key=_moment)


def _moment(row: Row) -> float:
    said = str(row.get("lastTimestamp") or row.get("eventTime") or "")
    return seconds_of(said) or seconds_of(str(row["metadata"].get("creationTimestamp", "")))


def _is_of(pod: Row, job: Row) -> bool:
    return job["kind"] == "Job" and labels_of(pod).get("job-name") == marks.name_of(job)


def _key(about: Row) -> tuple[str, str]:
    return str(about.get("kind", "")), str(about.get("name", ""))


def _event(id_: str, row: Row) -> Event:
    warns = row.get("type") == "Warning"
    count = int(row.get("count") or 1)
    about = row.get("involvedObject") or {}
    said = f"{row.get('reason', '')}: {str(row.get('message', '')).strip()}"
    if about.get("kind") == "Pod":
        said = f"{about.get('name')}: {said}"
    if count > 1:
        said += f" ({count} times)"
    moment = _moment(row)
    kind = EventKind.WARNING if warns else EventKind.PROGRESS
    return Event(kind, id_, said, moment, FrozenDict({"reason": row.get("reason", "")}))
