"""What the pure parts decided, and what agents saw, done on the world."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orch_native.messages import Desired, State
from orch_native.server.assignment import note_volumes
from orch_native.server.deployment import exit_words
from orch_native.server.model import (
    FINAL,
    Alloc,
    Drop,
    DropRun,
    Fire,
    Leave,
    Passed,
    Prove,
    Proven,
    Revert,
    SetDeployment,
    SetRun,
    Start,
    Stop,
    Tell,
)
from orch_native.server.requests import begin_run
from orch_native.server.scheduler import demand_of, place

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch_native.messages import Observation
    from orch_native.server.model import Change, ResourceRow, Step
    from orch_native.server.scheduler import NodeUse
    from orch_native.server.world import World

_MESSAGES = {State.FAILED: "failed", State.BACKOFF: "warning", State.STOPPED: "progress"}


@dataclass(frozen=True, slots=True)
class Decisions:
    """The world as the control loop changes it."""

    world: World
    now: float
    nodes: Callable[[], list[NodeUse]]

    # -- what was decided ------------------------------------------------------------------

    def carry_out(self, uid: str, step: Step) -> None:
        """Do every change of a step, in its order."""
        for change in step.changes:
            self._do(change, self.world.resources[uid])

    def _do(self, change: Change, row: ResourceRow) -> None:
        match change:
            case Start():
                self._start(change, row)
            case Leave():
                self._leave(change)
            case Stop():
                alloc = self.world.allocs[change.id]
                self.world.set_wanted(replace(alloc, desired=Desired.STOP))
            case Drop():
                self._drop(change, row)
            case Tell():
                self.world.tell(row.key.app, change.kind, row.key.id, change.message, self.now)
            case SetRun() | DropRun() | Fire() | Passed():
                self._do_to_job(change, row)
            case _:
                self._do_to_service(change, row)

    def _do_to_job(self, change: SetRun | DropRun | Fire | Passed, row: ResourceRow) -> None:
        match change:
            case SetRun():
                self.world.set_run(change.run)
            case DropRun():
                self.world.drop_run(row.uid, change.number)
            case Fire():
                begin_run(self.world, row, change.cause, change.scheduled, self.now)
            case Passed():
                self.world.set_passed(row.uid, change.moment)

    def _do_to_service(self, change: SetDeployment | Revert | Prove, row: ResourceRow) -> None:
        match change:
            case SetDeployment():
                self.world.set_deployment(change.deployment)
            case Revert():
                self._revert(row)
            case Prove():
                self._prove(row)

    def _start(self, change: Start, row: ResourceRow) -> None:
        alloc = Alloc(
            id=self._new_id(row, change),
            uid=row.uid,
            index=change.index,
            template=change.template,
            run=change.run,
            created=self.now,
            since=self.now,
        )
        self.world.set_wanted(self._placed(alloc, only=change.node))

    def _new_id(self, row: ResourceRow, change: Start) -> str:
        """A name that was never given before: `web-0-3f9a1c`, for a run `report-7-0-3f9a1c`."""
        numbers = (change.run, change.index) if change.run else (change.index,)
        return "-".join((row.key.name, *map(str, numbers), secrets.token_hex(3)))

    def _placed(self, alloc: Alloc, only: str = "") -> Alloc:
        row = self.world.resources[alloc.uid]
        body = self.world.templates[alloc.uid][alloc.template].body
        placement = place(demand_of(str(row.key), body), self.nodes(), only=only)
        if placement.node:
            note_volumes(self.world, alloc)
            return replace(alloc, node=placement.node, reason="")
        if placement.message != alloc.reason:
            self.world.tell(row.key.app, "warning", row.key.id, placement.message, self.now)
        return replace(alloc, reason=placement.message)

    def place(self, id_: str) -> None:
        """Try again for what no node had room for."""
        alloc = self.world.allocs[id_]
        placed = self._placed(alloc)
        if placed != alloc:
            self.world.set_wanted(placed)

    def _leave(self, change: Leave) -> None:
        alloc = self.world.allocs[change.id]
        if alloc.leaving is None:
            self.world.set_wanted(replace(alloc, leaving=self.now, reason=change.reason))

    def _drop(self, change: Drop, row: ResourceRow) -> None:
        alloc = self.world.allocs[change.id]
        self.world.drop_alloc(change.id)
        self._drop_unused_template(row, alloc.template)

    def _drop_unused_template(self, row: ResourceRow, number: int) -> None:
        row = self.world.resources[row.uid]
        kept = {row.template, row.proven.template if row.proven else row.template}
        deployment = self.world.deployments.get(row.uid)
        if deployment is not None:
            kept.add(deployment.template)
        kept |= {run.template for run in self.world.runs[row.uid].values()}
        kept |= {alloc.template for alloc in self.world.allocs_of(row.uid)}
        if number not in kept and number in self.world.templates[row.uid]:
            self.world.drop_template(row.uid, number)

    def _revert(self, row: ResourceRow) -> None:
        proven = row.proven
        if proven is None:
            return
        self.world.set_resource(
            replace(
                row,
                body=proven.body,
                applied=proven.body,
                revision=proven.revision,
                template=proven.template,
                version=row.version + 1,
            )
        )

    def _prove(self, row: ResourceRow) -> None:
        proven = Proven(row.template, row.body, row.revision)
        if row.proven != proven:
            self.world.set_resource(replace(row, proven=proven))
        for number in tuple(self.world.templates[row.uid]):
            self._drop_unused_template(row, number)

    # -- what was seen ---------------------------------------------------------------------

    def observe(self, seen: Observation) -> None:
        """Take over what an agent saw of an allocation."""
        alloc = self.world.allocs[seen.id]
        after = self._after(alloc, seen)
        if after != alloc:
            self.world.set_observed(after)
            self._tell_of(alloc, after)

    def _after(self, alloc: Alloc, seen: Observation) -> Alloc:
        ready = seen.ready and seen.state is State.RUNNING
        restarted = seen.restarts != alloc.restarts
        since = alloc.ready_since
        if not ready:
            since = None
        elif since is None or restarted:
            since = self.now
        return replace(
            alloc,
            state=seen.state,
            ready=seen.ready,
            started=seen.started,
            restarts=seen.restarts,
            exit_code=seen.exit_code,
            message=seen.message,
            since=seen.since or alloc.since,
            ready_since=since,
            address=seen.address,
            ports=dict(seen.ports),
            driver=seen.driver,
        )

    def _tell_of(self, before: Alloc, after: Alloc) -> None:
        row = self.world.resources[after.uid]
        told = f": {after.message}" if after.message else ""
        ended = exit_words(after) if after.state in {*FINAL, State.BACKOFF} else ""
        if before.state is not after.state:
            kind = _MESSAGES.get(after.state, "progress")
            kind = "progress" if after.leaving is not None else kind
            message = f"{after.id} {after.state}{ended}{told}"
            self.world.tell(row.key.app, kind, row.key.id, message, self.now)
        if before.ready is not after.ready and after.state is State.RUNNING:
            word = "ready" if after.ready else "not ready"
            message = f"{after.id} {word}{told}"
            self.world.tell(row.key.app, "progress", row.key.id, message, self.now)
