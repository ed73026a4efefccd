"""Whether a change has arrived: judged by conditions, counts and the reasons of pods."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch.errors import Conflict
from orch.frozen import EMPTY, FrozenDict
from orch.spec.deploy import UpdateConfig
from orch.spec.units import Duration
from orch.types import Event, EventKind
from orch_kubernetes import names
from orch_kubernetes.api import marks
from orch_kubernetes.watch import canary
from orch_kubernetes.watch.happenings import refusal_of, words_on
from orch_kubernetes.watch.health import (
    hash_of,
    is_going,
    is_ready,
    is_stuck,
    pods_of,
    reasons,
    sight_of,
    template_of,
    why_not,
)
from orch_kubernetes.watch.hopes import Hopes
from orch_kubernetes.watch.status import state_of
from orch_kubernetes.watch.ways_in import WaysIn, seen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from orch_kubernetes.api.watching import Watched
    from orch_kubernetes.change.sights import Cluster
    from orch_kubernetes.watch.health import Sight

Row = dict[str, Any]
POLL = 1.0
SPREAD = 2.0
"""Seconds in which nodes hear of new endpoints: kube-proxy writes its rules once a second."""
ASK_AGAIN = 1.0
"""Seconds between two questions why pods can't be made."""
USUAL = UpdateConfig()


@dataclass
class Watch:
    """One workload on its way; times are by time.monotonic().

    `least` is the generation and `uid` the object that was written, as `body`: what is seen of an
    earlier one tells nothing of it. `addresses` are the ids of the Services that lead to it.
    """

    cluster: Cluster
    id: str
    name: str
    workloads: Watched
    pods: Watched
    services: Watched
    slices: Watched
    least: int = 0
    uid: str = ""
    body: Mapping[str, Any] = EMPTY
    addresses: Collection[str] = ()
    best: tuple[int, ...] = ()
    moved: float = field(default_factory=time.monotonic)
    _hopes: Hopes = field(default_factory=Hopes)
    _removed: set[str] = field(default_factory=set)
    _held: bool = False
    _promoted: bool = False
    _saw_pause: bool = False
    _open_since: float = 0.0
    _asked: float = float("-inf")
    _refusal: str = ""

    def events(self) -> Iterator[Event]:
        """Progress until the end."""
        missing = 0
        while True:
            mark = self._mark()
            row = self._row()
            if row is None:
                missing += 1
                if missing > 3 and not self._is_there():  # noqa: PLR2004
                    yield Event(EventKind.FAILED, self.id, "it is gone")
                    return
            elif int(row["metadata"].get("generation") or 0) >= self.least:
                pods = pods_of(row, self.pods.rows())
                event = self._look(row, sight_of(row), pods)
                yield event
                if event.kind is not EventKind.PROGRESS:
                    return
            self._wait(mark)

    def _row(self) -> Row | None:
        rows = self.workloads.rows()
        named = (row for row in rows if marks.name_of(row) == self.name)
        return next((r for r in named if self.uid in ("", r["metadata"]["uid"])), None)

    def _is_there(self) -> bool:
        return self.cluster.client.one(f"{self.workloads.path}/{self.name}") is not None

    def _mark(self) -> int:
        watched = (self.workloads, self.pods, self.services, self.slices)
        return sum(one.mark() for one in watched)

    def _wait(self, mark: int) -> None:
        end = time.monotonic() + POLL
        while self._mark() == mark and time.monotonic() < end:
            self.pods.wait(self.pods.mark(), 0.1)

    def _look(self, row: Row, sight: Sight, pods: list[Row]) -> Event:
        counts: Row = {"wanted": sight.wanted, "ready": sight.ready, "updated": sight.updated}
        if row["kind"] == "CronJob":
            return self._event(EventKind.HEALTHY, "its schedule stands", counts)
        if sight.arrived:
            return self._arrived(row, sight, pods, counts)
        self._let_go(row, pods)
        held = self._canary(row, sight)
        why = reasons(pods) or _replicas_fail(row) or self._refused(row, sight, pods)
        if row["kind"] == "Job" and any(state_of(pod) == "running" for pod in pods):
            self.moved = time.monotonic()  # what runs may take as long as it likes
        bad = tuple(marks.name_of(pod) for pod in pods if why_not(pod))
        if bad:
            counts |= {"replicas": bad}
        if sight.failed:
            return self._failed(row, sight, sight.failed.rstrip("."), counts, why)
        vain = self._hopes.given_up(row, pods) if sight.seen else ""
        if vain:
            said = f"{_count(row, sight)}, and waiting would not help"
            return self._failed(row, sight, said, counts, vain)
        self._note_progress(sight)
        if self._is_late(row, pods):
            late = f"{_count(row, sight)} after {_deadline_of(row):g} s"
            return self._failed(row, sight, late, counts, why)
        said = f"{_count(row, sight)}: {why}" if why else f"{_count(row, sight)}"
        return self._event(EventKind.PROGRESS, held or said, counts, why)

    def _arrived(self, row: Row, sight: Sight, pods: list[Row], counts: Row) -> Event:
        """All replicas are there: it ends once requests reach them."""
        ways = self._ways_in()
        lacking = ways.lacking(row, pods, sight.wanted)
        if lacking:
            self._open_since = 0.0
            return self._unreached(row, sight, lacking, counts)
        if ways.there_are(row) and not self._has_spread():
            told = f"{_count(row, sight)}; nodes hear of it"
            return self._event(EventKind.PROGRESS, told, counts)
        if canary.first_of(row):
            canary.promote(self.cluster.client, self._path(), row, self.body)
        return self._event(EventKind.HEALTHY, _count(row, sight), counts)

    def _has_spread(self) -> bool:
        self._open_since = self._open_since or time.monotonic()
        return time.monotonic() - self._open_since >= SPREAD

    def _ways_in(self) -> WaysIn:
        services, slices = seen(self.services.rows), seen(self.slices.rows)
        return WaysIn(services, slices, self.cluster.facts.load_balancer, self.addresses)

    def _unreached(self, row: Row, sight: Sight, lacking: str, counts: Row) -> Event:
        self._note_progress(sight)
        said = f"{_count(row, sight)}; {lacking}"
        if time.monotonic() - self.moved <= _deadline_of(row):
            return self._event(EventKind.PROGRESS, said, counts, lacking)
        names_ = self._ways_in().without_address(row)
        told = "; ".join(word for name in names_ for word in words_on(self.cluster, name))
        late = f"{said} after {_deadline_of(row):g} s"
        return self._event(EventKind.FAILED, late, counts, told)

    def _note_progress(self, sight: Sight) -> None:
        mark = (sight.seen, sight.ready, sight.updated, -sight.left)
        if not self.best or mark > self.best:
            self.best, self.moved = mark, time.monotonic()

    def _is_late(self, row: Row, pods: list[Row]) -> bool:
        """The controllers of some kinds know no deadline, so there is one here."""
        if row["kind"] == "Deployment" and not self._held:
            return False
        ending = any(is_going(pod) for pod in pods)
        grace = float(template_of(row)["spec"].get("terminationGracePeriodSeconds") or 0)
        return time.monotonic() - self.moved > _deadline_of(row) + (grace if ending else 0)

    def _failed(self, row: Row, sight: Sight, said: str, counts: Row, why: str) -> Event:
        share = float(marks.annotation(row, names.FAILURE_RATIO) or 0)
        if row["kind"] != "Job" and sight.seen and sight.wanted:
            lacking = 1 - min(sight.ready, sight.updated) / sight.wanted
            if 0 < lacking <= share:
                told = f"{_count(row, sight)}, which is enough ({share:g} may fail)"
                return self._event(EventKind.HEALTHY, told, counts, why)
        return self._event(EventKind.FAILED, said, counts, why)

    def _refused(self, row: Row, sight: Sight, pods: list[Row]) -> str:
        """Why a pod that is lacking can't even be made; asked for now and then."""
        if row["kind"] == "Deployment" or not sight.seen or len(pods) >= sight.wanted:
            return ""
        if time.monotonic() - self._asked >= ASK_AGAIN:
            self._asked, self._refusal = time.monotonic(), refusal_of(self.cluster, row)
        return self._refusal

    def _event(self, kind: EventKind, message: str, counts: Row, reason: str = "") -> Event:
        data = {**counts, **({"reason": reason} if reason else {})}
        return Event(kind, self.id, message, data=FrozenDict(data))

    # -- what the controllers do not do ----------------------------------------------------------

    def _let_go(self, row: Row, pods: list[Row]) -> None:
        """An ordered StatefulSet waits for a broken pod of an earlier version without end."""
        newest = (row.get("status") or {}).get("updateRevision")
        if row["kind"] != "StatefulSet" or not newest or not sight_of(row).seen:
            return
        for pod in pods:
            uid = str(pod["metadata"]["uid"])
            earlier = hash_of(pod) != newest
            if earlier and is_stuck(pod) and not is_ready(pod) and uid not in self._removed:
                self._removed.add(uid)
                self.moved = time.monotonic()
                path = f"{self.pods.path}/{marks.name_of(pod)}"
                try:
                    self.cluster.client.delete(path, uid=uid)
                except Conflict:
                    continue

    def _canary(self, row: Row, sight: Sight) -> str:
        """Hold a rollout once as many are new as go first, until these are healthy."""
        first = canary.first_of(row)
        if not first or self._promoted:
            return ""
        paused = bool(row["spec"].get("paused"))
        if not self._held:
            if sight.updated < first or not sight.left:
                return ""
            canary.hold(self.cluster.client, self._path())
            self._held = True
        elif not paused and self._saw_pause:
            # Somebody resumed it.
            self._promote(row)
            return ""
        self._saw_pause = self._saw_pause or paused
        if not self._available(row, first):
            return f"{first} of {sight.wanted} go first"
        if marks.annotation(row, names.PROMOTE) == "manual":
            self.moved = time.monotonic()
            where = f"deployment/{self.name} -n {self.cluster.space}"
            return f"the first ones are healthy, and wait for `kubectl rollout resume {where}`"
        self._promote(row)
        return "the first ones are healthy: all others follow"

    def _path(self) -> str:
        return f"{self.workloads.path}/{self.name}"

    def _promote(self, row: Row) -> None:
        canary.promote(self.cluster.client, self._path(), row, self.body)
        self._held, self._promoted = False, True

    def _available(self, row: Row, first: int) -> bool:
        """Whether the new ones have been ready for as long as they are watched."""
        newest = self._newest_set(row)
        return newest is not None and (newest["status"].get("availableReplicas") or 0) >= first

    def _newest_set(self, row: Row) -> Row | None:
        revision = marks.annotation(row, "deployment.kubernetes.io/revision")
        for held in self.cluster.replica_sets():
            owners = held["metadata"].get("ownerReferences") or ()
            mine = any(owner.get("uid") == row["metadata"]["uid"] for owner in owners)
            if mine and marks.annotation(held, "deployment.kubernetes.io/revision") == revision:
                return held
        return None


def _count(row: Row, sight: Sight) -> str:
    return f"{sight.ready} of {sight.wanted} {'done' if row['kind'] == 'Job' else 'ready'}"


def _replicas_fail(row: Row) -> str:
    """Why no pods can be made at all, such as a quota."""
    held = (row.get("status") or {}).get("conditions") or ()
    failing = (c for c in held if c.get("type") == "ReplicaFailure" and c.get("status") == "True")
    return next((str(c.get("message", "")) for c in failing), "")


def _deadline_of(row: Row) -> float:
    """Seconds without progress after which a change has failed."""
    said = marks.annotation(row, names.DEADLINE)
    if said:
        return float(Duration.parse(said).seconds)
    seconds = row["spec"].get("progressDeadlineSeconds")
    return float(seconds or USUAL.progress_deadline.seconds)
