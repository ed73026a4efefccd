"""The control plane against any sequence of deploys, crashes and kills, under a virtual clock.

Safety, at every instant: no index is run twice unless the update is start-first; an update takes
away no more ready replicas than its parallelism. Liveness: left alone, everything settles, with
exactly as many replicas as wanted and only of versions that are wanted or proven.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orch_native.api import RolloutPhase
from orch_native.messages import State
from orch_native.server.model import Key
from tests.unit.native_server.harness import SHOP, Plane, service

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
VERSIONS = st.sampled_from(
    [("ok",), ("ok", "2"), ("slow", "3"), ("slow", "1"), ("crash",), ("unstartable",),
     ("never-ready",)]
)
UPDATES = st.fixed_dictionaries(
    {
        "parallelism": st.integers(0, 3),
        "delay": st.sampled_from(["0s", "2s"]),
        "order": st.sampled_from(["stop-first", "start-first"]),
        "monitor": st.sampled_from(["0s", "2s"]),
        "max_failure_ratio": st.sampled_from([0.0, 0.5]),
        "failure_action": st.sampled_from(["rollback", "rollback", "pause", "continue"]),
        "canary": st.integers(0, 2),
        "promote": st.sampled_from(["auto", "manual"]),
        "progress_deadline": st.just("60s"),
    }
)


class ControlPlane(RuleBasedStateMachine):
    """Deploys, scales, kills and crashes in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.plane = Plane(Path(self.folder.name))
        self.overlaps = False
        self.revision = 0

    @initialize(version=VERSIONS, update=UPDATES, replicas=st.integers(0, 4))
    def first(self, version: tuple[str, ...], update: dict[str, Any], replicas: int) -> None:
        self.deploy(version, update, replicas, ordered=False)

    @rule(
        version=VERSIONS, update=UPDATES, replicas=st.integers(0, 4), ordered=st.booleans()
    )
    def deploy(
        self, version: tuple[str, ...], update: dict[str, Any], replicas: int, *, ordered: bool
    ) -> None:
        self.revision += 1
        self.overlaps |= update["order"] == "start-first"
        deploy = {"update_config": update, "ordered": ordered}
        body = service(*version, replicas=replicas, deploy=deploy)
        self.plane.put("web", body, revision=self.revision)

    @rule()
    def restart(self) -> None:
        self.revision += 1
        self.plane.ask(lambda r: r.restart(WEB, self.revision))

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0, 4.0, 20.0]))
    def wait(self, seconds: float) -> None:
        for _ in range(8):
            self.plane.run(seconds / 8)
            self.check()

    @rule(choice=st.integers(0, 100))
    def kill_a_task(self, choice: int) -> None:
        ids = sorted(self.plane.agent.tasks)
        if ids:
            self.plane.agent.kill(ids[choice % len(ids)])

    @rule()
    def crash_the_server(self) -> None:
        self.plane.crash()

    @rule()
    def promote(self) -> None:
        if self.plane.rollout().phase is RolloutPhase.AWAITING_PROMOTION:
            self.plane.ask(lambda r: r.promote(WEB))

    @invariant()
    def check(self) -> None:
        for index, ids in self.plane.live().items():
            assert len(ids) <= (2 if self.overlaps else 1), (index, ids)

    def teardown(self) -> None:
        try:
            for _ in range(40):
                self.plane.run(60)
                self.check()
            self._settled()
        finally:
            self.plane.close()
            self.folder.cleanup()

    def _settled(self) -> None:
        row = self.plane.ask(lambda r: r.world.find(WEB))
        assert row is not None
        phase = self.plane.rollout().phase
        assert phase in SETTLED, phase
        wanted = row.body["deploy"]["replicas"]
        held = [a for a in self.plane.allocs() if a.leaving is None]
        indexes = sorted(a.index for a in held)
        if row.body["deploy"]["ordered"] and phase in {RolloutPhase.FAILED, RolloutPhase.PAUSED}:
            # In order, nobody starts behind one that does not serve.
            wanted = len(indexes)
        assert indexes == list(range(wanted)), (phase, held)
        proven = {row.proven.template} if row.proven else set()
        assert {a.template for a in held} <= {row.template, *proven}
        if phase in {RolloutPhase.HEALTHY, RolloutPhase.ROLLED_BACK}:
            assert {a.template for a in held} <= {row.template}
        leftover = [a for a in self.plane.allocs() if a.leaving is not None and not a.gone]
        assert leftover == []
        running = {t.allocation.id for t in self.plane.agent.tasks.values()
                   if t.seen.state is State.RUNNING}
        assert running <= {a.id for a in held}


ControlPlane.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestControlPlane = ControlPlane.TestCase
