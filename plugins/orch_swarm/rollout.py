"""Whether a change has arrived: judged by tasks, since UpdateStatus is missing after many changes.

Running means healthy where there is a health check. The engine knows no deadline, so there is
one here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch.frozen import FrozenDict
from orch.spec.deploy import UpdateConfig
from orch.spec.units import Duration
from orch.types import Event, EventKind
from orch_swarm import names
from orch_swarm.cron import is_lost, slots_of
from orch_swarm.sights import labels_of
from orch_swarm.tasks import (
    NANOS,
    failures,
    is_job,
    look,
    of_iteration,
    patience_of,
    reasons,
    split,
    wanted_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orch_swarm.client import SwarmClient
    from orch_swarm.tasks import Parts

Row = dict[str, Any]
POLL = 0.4
GRACE = 10.0
"""What the engine gives a container to stop, where the service says nothing."""
MONITOR = UpdateConfig().monitor.seconds
STARTED = ("starting", "running", "complete")
_STATES_OF_FAILURE = ("paused", "rollback_paused", "rollback_completed")


@dataclass
class Watch:
    """One service or job on its way; times are by time.monotonic()."""

    client: SwarmClient
    id: str
    service: str
    began: float = field(default_factory=time.monotonic)
    best: tuple[int, int, int] | None = None
    moved: float = field(default_factory=time.monotonic)
    steady: frozenset[str] = frozenset()
    since: float = 0.0

    def events(self) -> Iterator[Event]:
        """Progress until the end."""
        while True:
            row = self.client.one("services", self.service)
            if row is None:
                yield Event(EventKind.FAILED, self.id, "the service is gone")
                return
            nodes = self.client.listed("nodes")
            event = self._look(row, look(self.client, nodes, service=[self.service]), nodes)
            yield event
            if event.kind is not EventKind.PROGRESS:
                return
            time.sleep(POLL)

    def _look(self, row: Row, tasks: Sequence[Row], nodes: Sequence[Row]) -> Event:
        wanted = wanted_of(row, tasks, nodes)
        if is_job(row):
            return self._job(row, tasks, wanted)
        return self._service(row, tasks, wanted, split(row, tasks, nodes))

    # -- services ------------------------------------------------------------------------------

    def _service(self, row: Row, tasks: Sequence[Row], wanted: int, parts: Parts) -> Event:
        new, old = parts.new, parts.old
        running = [t for t in new if t["Status"]["State"] == "running"]
        ready = frozenset(t["ID"] for t in (*running, *parts.well))
        counts = {
            "wanted": wanted,
            "ready": len(ready),
            "updated": sum(t["Status"]["State"] in STARTED for t in new),
        }
        state = (row.get("UpdateStatus") or {}).get("State", "")
        if state in _STATES_OF_FAILURE:
            return self._fallen(row, tasks, state, counts)
        if parts.lost and not state:
            said = "its replicas are not started any more"
            return self._event(EventKind.FAILED, said, counts, failures(tasks))
        going = sum(t["Status"]["State"] == "running" for t in old)
        if len(ready) == counts["wanted"] and not going:
            return self._settle(row, ready, counts, tasks, state)
        self.steady = frozenset()
        return self._wait(row, tasks, counts, len(old))

    def _settle(
        self, row: Row, ready: frozenset[str], counts: Row, tasks: Sequence[Row], state: str
    ) -> Event:
        """All are there; they are watched a while, as the engine itself only does for updates."""
        now = time.monotonic()
        if ready != self.steady:
            self.steady, self.since = ready, now
        patience = _paced(row, "Monitor", MONITOR)
        if state == "completed" or (not state and now - self.since >= patience):
            said = f"{counts['ready']} of {counts['wanted']} ready"
            return self._event(EventKind.HEALTHY, said, counts)
        if now - self.moved > deadline_of(row) + patience:
            return self._late(row, tasks, counts)
        watched = {"watched": int(now - self.since)}
        return self._event(EventKind.PROGRESS, "ready, and watched", counts | watched)

    def _wait(self, row: Row, tasks: Sequence[Row], counts: Row, left: int) -> Event:
        now = time.monotonic()
        mark = (counts["ready"], -left, counts["updated"])
        if self.best is None or mark > self.best:
            self.best, self.moved = mark, now
        if now - self.moved > deadline_of(row) + (_grace_of(row) if left else 0):
            return self._late(row, tasks, counts)
        said = f"{counts['ready']} of {counts['wanted']} ready"
        return self._event(EventKind.PROGRESS, said, counts, reasons(tasks))

    def _late(self, row: Row, tasks: Sequence[Row], counts: Row) -> Event:
        said = f"{counts['ready']} of {counts['wanted']} ready after {deadline_of(row):g} s"
        return self._event(EventKind.FAILED, said, counts, reasons(tasks))

    def _fallen(self, row: Row, tasks: Sequence[Row], state: str, counts: Row) -> Event:
        said = (row.get("UpdateStatus") or {}).get("Message") or f"the update is {state}"
        back = state == "rollback_completed"
        more = {"rolled_back": True} if back else {}
        return self._event(EventKind.FAILED, said, counts | more, failures(tasks))

    # -- jobs ----------------------------------------------------------------------------------

    def _job(self, row: Row, tasks: Sequence[Row], wanted: int) -> Event:
        runs = of_iteration(row, tasks)
        done = sum(t["Status"]["State"] == "complete" for t in runs)
        counts = {
            "wanted": wanted,
            "ready": done,
            "updated": sum(t["Status"]["State"] in STARTED for t in runs),
        }
        if done >= counts["wanted"]:
            return self._event(EventKind.HEALTHY, f"{done} of {counts['wanted']} done", counts)
        if any(is_lost(slot) for slot in slots_of(runs)):
            said = f"it failed: {done} of {counts['wanted']} done"
            return self._event(EventKind.FAILED, said, counts, failures(runs))
        limit = labels_of(row).get(names.TIMEOUT)
        if limit and time.monotonic() - self.began > Duration.parse(limit).seconds:
            return self._event(EventKind.TIMED_OUT, f"not done within {limit}", counts)
        said = f"{done} of {counts['wanted']} done"
        return self._event(EventKind.PROGRESS, said, counts, reasons(runs))

    def _event(self, kind: EventKind, message: str, counts: Row, reason: str = "") -> Event:
        data = {**counts, **({"reason": reason} if reason else {})}
        return Event(kind, self.id, message, data=FrozenDict(data))


def deadline_of(row: Row) -> float:
    """Seconds without progress after which a change has failed; a pause between two is none."""
    return patience_of(row) + _paced(row, "Delay", 0.0)


def _grace_of(row: Row) -> float:
    """Seconds that a replica may take to end before its successor starts."""
    grace = row["Spec"]["TaskTemplate"]["ContainerSpec"].get("StopGracePeriod")
    return GRACE if grace is None else float(grace / NANOS)


def _paced(row: Row, key: str, usual: float) -> float:
    """Seconds that a service's way of updating names."""
    said = (row["Spec"].get("UpdateConfig") or {}).get(key)
    return usual if said is None else float(said / NANOS)
