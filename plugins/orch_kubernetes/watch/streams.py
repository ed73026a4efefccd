"""Logs of pods, line by line, of all replicas at once."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from orch.errors import OrchError
from orch.types import LogLine
from orch_kubernetes.api import marks
from orch_kubernetes.api.faults import Missing
from orch_kubernetes.api.kinds import WORKLOADS
from orch_kubernetes.watch.health import is_owned_by, pods_of, statuses, unit_of
from orch_kubernetes.watch.status import seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.backend.contract import LogQuery
    from orch_kubernetes.change.sights import Cluster

Row = dict[str, Any]
LOOK_AGAIN = 1.0
_NOT_YET = "waiting to start"


@dataclass(frozen=True, slots=True)
class Source:
    """One container of a replica, and the start of it that is meant."""

    service: str
    pod: str
    container: str
    start: str


def logs(cluster: Cluster, query: LogQuery) -> Iterator[LogLine]:
    """Lines of what the query names; all there are by time, or as they come."""
    if query.follow:
        yield from Following(cluster, query).lines()
        return
    found = [line for source in sources(cluster, query) for line in read(cluster, source, query)]
    yield from sorted(found, key=lambda line: line.time)


def sources(cluster: Cluster, query: LogQuery) -> list[Source]:
    """Every container that has printed, or may."""
    return [
        Source(service, marks.name_of(pod), container, start)
        for service, pod in _replicas(cluster, query)
        for container, start in _started(pod)
    ]


def _replicas(cluster: Cluster, query: LogQuery) -> Iterator[tuple[str, Row]]:
    rows = cluster.ours(WORKLOADS, needed=("Deployment",))
    units = [row for held in rows.values() for row in held if unit_of(row)[0]]
    if query.services:
        units = [row for row in units if unit_of(row)[1] in query.services]
    pods = cluster.pods() if units else []
    jobs = _runs(cluster, units)
    for row in units:
        owners = [job for job in jobs if is_owned_by(job, row)] or [row]
        for pod in (pod for owner in owners for pod in pods_of(owner, pods)):
            if not query.replicas or marks.name_of(pod) in query.replicas:
                yield unit_of(row)[1], pod


def _runs(cluster: Cluster, units: list[Row]) -> list[Row]:
    if not any(row["kind"] == "CronJob" for row in units):
        return []
    jobs = cluster.client.of_kind(cluster.kinds.all["Job"], cluster.space) or []
    return [{"kind": "Job", **row} for row in jobs]


def _started(pod: Row) -> Iterator[tuple[str, str]]:
    for one in statuses(pod):
        state = one.get("state") or {}
        now = state.get("running") or state.get("terminated")
        last = (one.get("lastState") or {}).get("terminated")
        if now or last:
            yield str(one["name"]), str((now or last or {}).get("startedAt") or "")


def read(
    cluster: Cluster, source: Source, query: LogQuery, *, since: float | None = None
) -> Iterator[LogLine]:
    """Lines of one container; the cluster does not tell which stream they were printed to."""
    path = f"/api/v1/namespaces/{cluster.space}/pods/{source.pod}/log"
    asked = {"container": source.container, "timestamps": "true"}
    if query.follow:
        asked["follow"] = "true"
    if query.tail is not None and since is None:
        asked["tailLines"] = str(query.tail)
    begin = query.since if since is None else since
    if begin is not None:
        asked["sinceTime"] = datetime.fromtimestamp(begin, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        for line in cluster.client.lines(path, asked, follow=query.follow):
            said = parsed(source, line)
            if begin is None or said.time >= begin:
                yield said
    except Missing:
        return
    except OrchError as fault:
        if _NOT_YET not in str(fault):
            raise


def parsed(source: Source, line: bytes) -> LogLine:
    """`TIME text`, as the kubelet gives it."""
    stamp, _, text = line.decode(errors="replace").rstrip("\r").partition(" ")
    moment = seconds_of(_micros(stamp))
    if not moment:
        return LogLine(source.service, source.pod, "stdout", time.time(), f"{stamp} {text}".strip())
    return LogLine(source.service, source.pod, "stdout", moment, text)


_NANOS = re.compile(r"(\.\d{6})\d*")


def _micros(stamp: str) -> str:
    """Nine digits of a second are more than Python reads."""
    return _NANOS.sub(r"\1", stamp)


@dataclass
class Following:
    """Reads every container in a thread of its own; containers that start later, too."""

    cluster: Cluster
    query: LogQuery
    _queue: SimpleQueue[LogLine | OrchError] = field(default_factory=SimpleQueue)
    _known: set[Source] = field(default_factory=set)
    _begun: float = field(default_factory=time.time)

    def lines(self) -> Iterator[LogLine]:
        """As they come, until nobody listens any more."""
        first = True
        while True:
            self._look(first=first)
            first = False
            end = time.monotonic() + LOOK_AGAIN
            while (left := end - time.monotonic()) > 0:
                try:
                    said = self._queue.get(timeout=left)
                except Empty:
                    break
                if isinstance(said, OrchError):
                    raise said
                yield said

    def _look(self, *, first: bool) -> None:
        for source in sources(self.cluster, self.query):
            if source not in self._known:
                self._known.add(source)
                since = None if first else self._begun
                threading.Thread(target=self._read, args=(source, since), daemon=True).start()

    def _read(self, source: Source, since: float | None) -> None:
        try:
            for line in read(self.cluster, source, self.query, since=since):
                self._queue.put(line)
        except OrchError as fault:
            self._queue.put(fault)
