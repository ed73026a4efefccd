"""The control plane against any sequence of deploys, crashes and kills, under a virtual clock.

Safety, at every instant: no index is run twice unless the update is start-first; an update takes
away no more ready replicas than its parallelism. Liveness: left alone, everything settles, with
exactly as many replicas as wanted and only of versions that are wanted or proven. What an update
that stopped short may leave is told where it is checked.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from orch.errors import UsageFault
from orch_native.api import RolloutPhase
from orch_native.messages import State
from orch_native.server.model import Alloc, Key, ResourceRow
from tests.unit.native_server.harness import SHOP, Plane, service

EXAMPLES = int(os.environ.get("ORCH_EXAMPLES", "0"))
WEB = Key(SHOP, "service", "web")
SETTLED = frozenset(
    {
        RolloutPhase.HEALTHY,
        RolloutPhase.FAILED,
        RolloutPhase.PAUSED,
        RolloutPhase.ROLLED_BACK,
        RolloutPhase.AWAITING_PROMOTION,
    }
)
STOPPED_SHORT = frozenset({RolloutPhase.FAILED, RolloutPhase.PAUSED})
UNFINISHED = STOPPED_SHORT | {RolloutPhase.AWAITING_PROMOTION}
_DEADLINES = 20
_IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_ROLLBACK = {"parallelism": 1}
VERSIONS = st.sampled_from(
    [
        ("ok",),
        ("ok", "2"),
        ("slow", "3"),
        ("slow", "1"),
        ("crash",),
        ("unstartable",),
        ("never-ready",),
    ]
)
REPLICAS = st.sampled_from([1, 2, 3, 4, 0])
# With the longest ones first, since a change that has come to rest is the simpler case.
SECONDS = st.sampled_from([20.0, 4.0, 1.0, 0.3, 0.05, 0.0, 90.0])
UPDATES = st.fixed_dictionaries(
    {
        "parallelism": st.integers(0, 3),
        "delay": st.sampled_from(["0s", "2s"]),
        "order": st.sampled_from(["stop-first", "start-first"]),
        "monitor": st.sampled_from(["0s", "2s"]),
        "max_failure_ratio": st.sampled_from([0.0, 0.5]),
        "failure_action": st.sampled_from(["rollback", "pause", "continue"]),
        "canary": st.integers(0, 2),
        "promote": st.sampled_from(["auto", "manual"]),
        "progress_deadline": st.just("60s"),
    }
)


class ControlPlane(RuleBasedStateMachine):
    """Deploys, scales, kills and crashes in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=_IN_MEMORY)
        self.plane = Plane(Path(self.folder.name))
        self.overlaps = False
        self.at_once = 0.0
        self.revision = 0
        self.sound = True

    @initialize(version=VERSIONS, update=UPDATES, replicas=REPLICAS, seconds=SECONDS)
    def first(
        self, version: tuple[str, ...], update: dict[str, Any], replicas: int, seconds: float
    ) -> None:
        self.deploy(version, update, replicas, seconds, ordered=False)

    @rule(
        version=VERSIONS,
        update=UPDATES,
        replicas=REPLICAS,
        seconds=SECONDS,
        ordered=st.booleans(),
    )
    def deploy(
        self,
        version: tuple[str, ...],
        update: dict[str, Any],
        replicas: int,
        seconds: float,
        *,
        ordered: bool,
    ) -> None:
        self.revision += 1
        self.overlaps |= update["order"] == "start-first"
        at_once = max(update["parallelism"] or math.inf, update["canary"])
        self.at_once = max(self.at_once, at_once, _ROLLBACK["parallelism"])
        deploy = {"update_config": update, "rollback_config": _ROLLBACK, "ordered": ordered}
        body = service(*version, replicas=replicas, deploy=deploy)
        self.plane.put("web", body, revision=self.revision)
        self.wait(seconds)

    @rule(seconds=SECONDS)
    def restart(self, seconds: float) -> None:
        self.revision += 1
        self.plane.ask(lambda r: r.restart(WEB, self.revision))
        self.wait(seconds)

    @rule(seconds=SECONDS)
    def retry(self, seconds: float) -> None:
        self.revision += 1
        self.plane.ask(lambda r: r.retry(WEB, self.revision))
        self.wait(seconds)

    @rule(choice=st.integers(0, 10), seconds=SECONDS)
    def kill_a_task(self, choice: int, seconds: float) -> None:
        ids = list(self.plane.agent.tasks)
        if ids:
            self.plane.agent.kill(ids[choice % len(ids)])
        self.wait(seconds)

    @rule(seconds=SECONDS)
    def crash_the_server(self, seconds: float) -> None:
        self.plane.crash()
        self.wait(seconds)

    @precondition(lambda self: self.plane.rollout().phase is RolloutPhase.AWAITING_PROMOTION)
    @rule(seconds=SECONDS)
    def promote(self, seconds: float) -> None:
        # A canary that has just died is refused in the same turn in which its end is heard of.
        with contextlib.suppress(UsageFault):
            self.plane.ask(lambda r: r.promote(WEB))
        self.wait(seconds)

    def wait(self, seconds: float) -> None:
        """Look eight times on the way."""
        for _ in range(8 if seconds else 0):
            self.plane.run(seconds / 8)
            self.check()

    @invariant()
    def check(self) -> None:
        self.sound = False
        for index, ids in self.plane.live().items():
            assert len(ids) <= (2 if self.overlaps else 1), (index, ids)
        taken = [
            a.id
            for a in self.plane.allocs()
            if a.reason == "updated" and a.ready and a.leaving is not None and not a.gone
        ]
        assert len(taken) <= self.at_once, taken
        self.sound = True

    def teardown(self) -> None:
        try:
            # After a failure nothing more is asked, so that it alone is told and shrunk.
            if self.sound:
                self._settle()
        finally:
            self.plane.close()
            self.folder.cleanup()

    def _settle(self) -> None:
        """Left alone, it comes to rest within its deadlines, and what it came to stays."""
        for _ in range(_DEADLINES):
            self.plane.run(60)
            self.check()
            if self.plane.rollout().phase in SETTLED:
                break
        phase = self.plane.rollout().phase
        assert phase in SETTLED, phase
        for _ in range(2):
            self.plane.run(15)
            self.check()
        phase = self.plane.rollout().phase
        assert phase in SETTLED, phase
        self._whole(phase)

    def _whole(self, phase: RolloutPhase) -> None:
        row = self.plane.ask(lambda r: r.world.find(WEB))
        assert row is not None
        held = [a for a in self.plane.allocs() if a.leaving is None]
        stopped_short = phase in STOPPED_SHORT
        for index, (first, *others) in _by_index(held).items():
            # A failed or paused start-first update has two in a slot: the one that fails, and
            # the earlier one, which a failed one leaves only while it serves. Taking it away
            # would end the service where its next version can't run.
            kept = [a for a in (first, *others) if a.template != row.template]
            assert len(others) <= (stopped_short and self.overlaps), (index, phase, held)
            if others:
                assert len(kept) == 1, (index, phase, held)
                assert phase is RolloutPhase.PAUSED or kept[0].serving, (index, held)
        wanted = set(range(row.body["deploy"]["replicas"]))
        missing = wanted - {a.index for a in held}
        assert {a.index for a in held} <= wanted, (phase, held)
        if row.body["deploy"]["ordered"] and phase in UNFINISHED:
            # In order, nobody starts behind one that does not serve; an update that ended early
            # may have opened a slot in the midst of them.
            serving = {a.index for a in held if a.serving}
            missing = {i for i in missing if set(range(i)) <= serving}
        assert not missing, (phase, held)
        known = {row.template} | ({row.proven.template} if row.proven else set())
        if phase in {RolloutPhase.HEALTHY, RolloutPhase.ROLLED_BACK}:
            known = {row.template}
        # An update that ended early leaves what was there before it, which may be of one that
        # was itself cut short. Only a paused or failed one leaves what does not serve.
        strangers = [a for a in held if a.template not in known]
        assert phase in UNFINISHED or not strangers, (phase, strangers)
        assert stopped_short or all(a.serving for a in strangers), (phase, strangers)
        self._only_healthy_is_proven(row)
        leftover = [a for a in self.plane.allocs() if a.leaving is not None and not a.gone]
        assert leftover == []
        running = {
            t.allocation.id
            for t in self.plane.agent.tasks.values()
            if t.seen.state is State.RUNNING
        }
        assert running <= {a.id for a in held}

    def _only_healthy_is_proven(self, row: ResourceRow) -> None:
        if row.proven is None or not row.proven.body["deploy"]["replicas"]:
            return
        verb = row.proven.body["command"][0]
        assert verb not in {"unstartable", "never-ready"}
        monitor = row.proven.body["deploy"]["update_config"]["monitor"]
        assert verb != "crash" or monitor == "0s"


def _by_index(held: list[Alloc]) -> dict[int, list[Alloc]]:
    found: dict[int, list[Alloc]] = {}
    for alloc in held:
        found.setdefault(alloc.index, []).append(alloc)
    return found


_SETTINGS = settings(
    stateful_step_count=10,
    deadline=None,
    # One failure at a time, and without tracing what it has in common: both make shrinking slow.
    report_multiple_bugs=False,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(300)
def test_every_sequence_comes_to_rest() -> None:
    """The same sequences in every run."""
    chosen = settings(_SETTINGS, derandomize=True, max_examples=200)
    run_state_machine_as_test(ControlPlane, settings=chosen)


@pytest.mark.slow
@pytest.mark.optional
@pytest.mark.timeout(0)
@pytest.mark.skipif(not EXAMPLES, reason="set ORCH_EXAMPLES to a number, such as 20000, to search")
def test_search_at_length() -> None:
    """Other sequences in every run, as many as are asked for."""
    run_state_machine_as_test(ControlPlane, settings=settings(_SETTINGS, max_examples=EXAMPLES))
