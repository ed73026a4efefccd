"""Carrying out one step of a plan on the cluster."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch.errors import Conflict, Refused, Transient
from orch.plan.merge import Merger
from orch.types import Event, EventKind, Operation
from orch_kubernetes import names
from orch_kubernetes.api import marks
from orch_kubernetes.api.client import JSON_PATCH, MANAGER
from orch_kubernetes.api.faults import FieldConflict, Missing
from orch_kubernetes.api.kinds import CLAIM, CONTENT_NAMED, TEMPLATES, WORKLOADS
from orch_kubernetes.api.managed import FIXED, all_ours, without_ours
from orch_kubernetes.api.wire import filled, real_name
from orch_kubernetes.change.applying import TRIES, Applying, is_race_for_size
from orch_kubernetes.change.namespaces import ensure_namespace
from orch_kubernetes.change.runs import forget_run
from orch_kubernetes.change.sights import Observer
from orch_kubernetes.change.versions import missing_values
from orch_kubernetes.compile.objects import ONLY_LOOKED_FOR
from orch_kubernetes.watch import canary, ways
from orch_kubernetes.watch.admission import JUDGED, Verdicts
from orch_kubernetes.watch.health import template_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from orch.backend.capabilities import Capabilities
    from orch.types import Action, Observed
    from orch_kubernetes.api.kinds import Kind
    from orch_kubernetes.change.sights import Cluster

Row = dict[str, Any]
Handover = tuple[dict[str, str], dict[str, str]]
"""By which labels a Service finds pods now, and by which it is to."""
POLL, SLOWEST = 0.3, 2.0
GONE_SECONDS = 60.0
"""How long an object may take to go, beyond the grace of its pods."""
RESTARTER = "orch-restart"
_AGAIN = (Operation.RESTART, Operation.RETRY)


@dataclass
class Change:
    """One action on one instance."""

    cluster: Cluster
    capabilities: Capabilities
    action: Action
    take_over: bool = False
    handed_over: dict[str, Handover] = field(default_factory=dict)
    verdicts: Verdicts = field(default_factory=Verdicts)

    def __post_init__(self) -> None:
        self._client, self._instance = self.cluster.client, self.cluster.instance
        self._merger = Merger(self.capabilities)

    def make(self) -> Iterator[Event]:
        """Do it, and tell that by APPLIED; then what controllers say of a way in."""
        action = self.action
        if action.kind != ONLY_LOOKED_FOR and action.operation is not Operation.NOOP:
            if action.kind == "Job":
                forget_run(self.cluster, action.id)
            if action.operation is Operation.DELETE:
                yield from self._delete(action.kind)
            elif action.operation in _AGAIN:
                yield from self._again()
            else:
                yield from self._write()
                self._check_move()
        yield Event(EventKind.APPLIED, action.id, action.reason)
        yield from self._judged()

    # -- writing -------------------------------------------------------------------------------

    def _write(self) -> Iterator[Event]:
        action = self.action
        anew = action.operation is Operation.REPLACE and action.kind not in CONTENT_NAMED
        if anew and action.before is not None and not self._is_replaced():
            yield from self._delete(action.before.kind)
        for left in reversed(range(TRIES)):
            row = yield from self._standing()
            try:
                self._apply(row)
            except FieldConflict as fault:
                if not left or not is_race_for_size(fault):
                    raise
            else:
                return

    def _check_move(self) -> None:
        """Raise Refused for a way in that is not taken, while another kind leads to its host.

        That one would go next.
        """
        if self.action.kind not in JUDGED:
            return
        there = ways.former(self.cluster, self.action.id)
        refused = [event.message for event in self._judged()] if there else []
        if refused:
            raise Refused(
                f"{'; '.join(refused)}; {', '.join(there)} stays",
                place=self.action.id,
                mend="ask who runs its controller, or stay with --option routes",
            )

    def _judged(self) -> Iterator[Event]:
        """Warnings of a way in that its controller refuses, as no rollout would tell of it."""
        written = self.action.operation not in (Operation.NOOP, Operation.DELETE)
        if written and self.action.kind in JUDGED:
            kind = self._kind()
            path = self._path(kind)
            yield from self.verdicts.of(self.action.id, lambda: self._typed(kind, path))

    def _typed(self, kind: Kind, path: str) -> Row | None:
        row = self._client.one(path)
        return None if row is None else {"kind": kind.name, **row}

    def _path(self, kind: Kind) -> str:
        real = real_name(kind.name, self.action.name, self.cluster.space)
        return kind.path(self.cluster.space, real)

    def _kind(self) -> Kind:
        return self.cluster.kinds.of(self.action.body or {}, self.action.kind)

    def _standing(self) -> Generator[Event, None, Row | None]:
        """What is there; an object that is on its way out is awaited."""
        kind = self._kind()
        path = self._path(kind)
        row = self._client.one(path)
        if row is not None and "deletionTimestamp" in row["metadata"]:
            yield from self._await_gone(kind, marks.name_of(row), str(row["metadata"]["uid"]))
            row = self._client.one(path)
        return row

    def _is_replaced(self) -> bool:
        """Whether the new object is there already, and only the answer got lost."""
        row, before = self._client.one(self._path(self._kind())), self.action.before
        return (
            row is not None
            and before is not None
            and row["metadata"]["uid"] != before.uid
            and marks.revision_of(row) == self.action.revision
        )

    def _apply(self, row: Row | None) -> None:
        action = self.action
        live = self._seen(row) if row is not None else None
        if live is not None:
            if self._is_done(live):
                return
            self._check(live)
        applying = Applying(
            self._client,
            self._kind(),
            self._instance,
            action.id,
            action.revision,
            action.body or {},
            applied=live.applied if live else None,
            adopting=action.operation is Operation.ADOPT,
            take_over=self.take_over,
        )
        self._take_size_back(row)
        made = applying.request(row)
        if row is not None and action.kind == "Service" and action.operation is Operation.ADOPT:
            self._keep_pods(made, row)
        if row is not None and self._has_canaries():
            made["spec"]["strategy"] = canary.strategy_for(made)
        if action.kind == "Secret":
            made = self._with_values(made, row)
        adopts = action.operation is Operation.ADOPT and action.kind not in FIXED
        if row is not None and adopts:
            self._take_spec(applying.path(), row)
        try:
            written = applying.send(made)
        except Missing as fault:
            if not self._make_namespace(fault):
                raise
            written = applying.send(made)
        if action.operation is Operation.ADOPT:
            self._disown(applying.path(), written)
        canary.let_go(self._client, applying.path(), written, made)

    def _has_canaries(self) -> bool:
        """Whether pods are replaced, and some of them are to go first."""
        action = self.action
        moved = any(change.path[:2] == ("spec", "template") for change in action.changes)
        return moved and canary.first_of(action.body or {}) > 0

    def _with_values(self, made: Row, row: Row | None) -> Row:
        """The values of a new Secret: those that came with the step, else those held already."""
        action = self.action
        versions = action.name.split("-")[-len(action.sends) :] if action.sends else []
        held = dict(zip(action.sends, versions, strict=False))
        made["metadata"]["annotations"][marks.HOLDS] = json.dumps(held, sort_keys=True)
        if row is not None:
            return made
        missing = {name: held[name] for name in action.sends if name not in action.secrets}
        return filled(made, {**missing_values(self.cluster, missing), **action.secrets})

    def _make_namespace(self, fault: Missing) -> bool:
        """Make the namespace when it is what is missing."""
        if "namespaces" not in fault.fault:
            return False
        ensure_namespace(self.cluster)
        return True

    # -- what is there ---------------------------------------------------------------------------

    def _seen(self, row: Row) -> Observed:
        observer = Observer(self.cluster, self.capabilities, None)
        kind = self._kind()
        return observer.observed(self.action.id, {"kind": kind.name, **row}, [], self.action.body)

    def _is_done(self, live: Observed) -> bool:
        """Whether this very step was taken before its answer got lost."""
        action = self.action
        return (
            live.owner == self._instance
            and live.revision == action.revision
            and live.applied == action.body
            and self._merger.merge(live, live.applied, action.body or {}) is live.body
        )

    def _check(self, live: Observed) -> None:
        action, before = self.action, self.action.before
        if live.owner not in (None, self._instance):
            raise Conflict(f"{live.kind} {live.name!r} belongs to {live.owner}", place=action.id)
        if before is None or before.name != live.name:
            if live.owner is None:
                raise Conflict(
                    f"{live.kind} {live.name!r} has appeared meanwhile",
                    place=action.id,
                    mend="make the plan again",
                )
            return
        if before.uid == live.uid and before.version != live.version:
            body = action.body or {}
            was = self._merger.owned(before, before.applied, body)
            if self._merger.owned(live, live.applied, body) != was:
                raise Conflict(
                    f"{live.kind} {live.name!r} was changed meanwhile",
                    place=action.id,
                    mend="make the plan again",
                )

    def _keep_pods(self, made: Row, row: Row) -> None:
        """Whom a Service that others made leads to, it leads to until new pods are there."""
        there, ours = row["spec"].get("selector"), made["spec"].get("selector")
        if there and ours and there != ours:
            made["spec"]["selector"] = there
            self.handed_over[marks.name_of(row)] = (there, ours)

    # -- who owns what -----------------------------------------------------------------------------

    def _take_size_back(self, row: Row | None) -> None:
        """An autoscaler that is to go must not set the size any more once we do."""
        annotations = (self.action.body or {}).get("metadata", {}).get("annotations", {})
        if row is None or names.AUTOSCALED in annotations:
            return
        if not marks.annotation(row, names.AUTOSCALED):
            return
        scaler = self.cluster.kinds.all["HorizontalPodAutoscaler"]
        path = scaler.path(self.cluster.space, self.action.name)
        found = self._client.one(path)
        if found is not None and marks.owner_of(found, self._instance.target) == self._instance:
            self._client.delete(path, uid=str(found["metadata"]["uid"]))

    def _disown(self, path: str, row: Row) -> None:
        """Fields that tools used by hand own beside us would stay when the spec drops them."""
        entries = row["metadata"].get("managedFields") or []
        self._account(path, row, without_ours(entries))

    def _take_spec(self, path: str, row: Row) -> None:
        """What was set by hand is ours from now on: of that, what the spec lacks is to go."""
        entries = row["metadata"].get("managedFields") or []
        self._account(path, row, all_ours(entries))

    def _account(self, path: str, row: Row, entries: Sequence[Mapping[str, Any]]) -> None:
        """Write who owns what, when that differs from what is there."""
        if list(entries) == list(row["metadata"].get("managedFields") or []):
            return
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": row["metadata"]["uid"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": list(entries)},
        ]
        self._client.request("PATCH", path, patch, kind=JSON_PATCH)

    # -- once more -------------------------------------------------------------------------------

    def _again(self) -> Iterator[Event]:
        action, kind = self.action, self._kind()
        path = self._path(kind)
        if action.kind == "Job":
            yield from self._delete(action.kind)
            self._apply(None)
            return
        if self._client.one(path) is None:
            raise Conflict(f"{action.kind} {action.name!r} is gone", place=action.id)
        stamp = f"{action.revision}-{int(self._client.now())}"
        change: Row = {"metadata": {"annotations": {marks.RESTARTED: stamp}}}
        for key in reversed(TEMPLATES[action.kind]):
            change = {key: change}
        change["metadata"] = {"annotations": {marks.REVISION: str(action.revision)}}
        if action.kind != "CronJob":
            self._client.merge(path, change, RESTARTER)

    # -- deleting --------------------------------------------------------------------------------

    def _delete(self, kind_name: str) -> Iterator[Event]:
        yield from self._let_settle()
        kind = self.cluster.kinds.all[kind_name]
        for row in self._to_delete(kind):
            name, uid = marks.name_of(row), str(row["metadata"]["uid"])
            path = kind.path(self.cluster.space, name)
            waits = kind_name in (*WORKLOADS, CLAIM)
            how = "Foreground" if kind_name in WORKLOADS else "Background"
            if self._client.delete(path, uid=uid, propagation=how) and waits:
                yield from self._await_gone(kind, name, uid, _grace_of(row))

    def _let_settle(self) -> Iterator[Event]:
        """A way in stays until the one that takes its place is surely served."""
        while (left := ways.unsettled(self.cluster, self.action.id)) > 0:
            told = f"it stays for {left:.0f} s more, until the new way in is served"
            yield Event(EventKind.PROGRESS, self.action.id, told)
            time.sleep(min(left, SLOWEST))

    def _to_delete(self, kind: Kind) -> list[Row]:
        """The object that the plan saw, and other versions of the same config or secret."""
        action, uid = self.action, self.action.before.uid if self.action.before else ""
        if kind.name in CONTENT_NAMED:
            rows = self.cluster.ours([kind.name]).get(kind.name, [])
            return [r for r in rows if marks.annotation(r, marks.ID) == action.id]
        name = action.before.name if action.before else action.name
        real = real_name(kind.name, name, self.cluster.space)
        row = self._client.one(kind.path(self.cluster.space, real))
        if row is None:
            return []
        there = {"kind": kind.name, **row}
        ours = marks.owner_of(there, self._instance.target) == self._instance
        return [there] if ours or uid == row["metadata"]["uid"] else []

    def _await_gone(self, kind: Kind, name: str, uid: str, grace: float = 0.0) -> Iterator[Event]:
        began, pause = time.monotonic(), POLL
        space = self.cluster.space
        while not self.cluster.absence.is_gone(kind, space, name, uid, began):
            if time.monotonic() > began + GONE_SECONDS + grace:
                path = kind.path(space, name)
                row = self._client.one(path) or {"metadata": {}}
                held = ", ".join(row["metadata"].get("finalizers") or ()) or "its pods"
                raise Transient(
                    f"{self.action.id} does not go: {held} hold it back",
                    place=path,
                    mend="look with `kubectl describe`; the deploy may be run again",
                )
            yield Event(EventKind.PROGRESS, self.action.id, "it is being removed")
            time.sleep(pause)
            pause = min(pause * 1.5, SLOWEST)


def hand_over(cluster: Cluster, waiting: dict[str, Handover], workload: Row) -> None:
    """Let Services lead to the pods of a workload that is healthy by now."""
    labels = template_of(workload).get("metadata", {}).get("labels") or {}
    for name, (there, ours) in list(waiting.items()):
        if ours.items() <= labels.items():
            selector = {**dict.fromkeys(there), **ours}
            path = cluster.kinds.all["Service"].path(cluster.space, name)
            cluster.client.merge(path, {"spec": {"selector": selector}}, MANAGER)
            waiting.pop(name, None)


def _grace_of(row: Row) -> float:
    path = (*TEMPLATES.get(row["kind"], ("none",)), "spec")
    found: Any = row
    for key in path:
        found = found.get(key) or {}
    return float(found.get("terminationGracePeriodSeconds") or 0)
