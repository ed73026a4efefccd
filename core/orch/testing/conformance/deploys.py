"""Deploy, look, deploy again, take down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.testing.conformance.trial import Cases, Trial, needs
from orch.types import Operation, Verdict

if TYPE_CHECKING:
    from orch.backend.contract import Backend
    from orch.testing.workloads import Workload


class DeployCases(Cases):
    """The life of an application from nothing to nothing."""

    def test_what_was_deployed_is_healthy_and_needs_nothing_more(self, trial: Trial) -> None:
        document = trial.web("one", replicas=2)
        outcome = trial.deployed(document)
        assert outcome.exit_code == 0
        status = trial.status()
        assert status.healthy, status
        web = trial.service()
        assert (web.wanted, web.ready, web.healthy) == (2, 2, True)
        assert len({replica.id for replica in web.replicas if replica.ready}) == 2
        assert trial.pending(document) == []
        again = trial.deploy(document)
        assert again.verdict is Verdict.UNCHANGED
        assert len(trial.session().releases()) == 1

    def test_down_leaves_nothing(self, trial: Trial) -> None:
        document = trial.web() | {"configs": {"hello": {"content": "hello"}}}
        trial.deployed(document)
        assert trial.instance in trial.backend.instances()
        outcome = trial.down()
        assert outcome.exit_code == 0, outcome
        assert trial.status().services == ()
        assert not trial.backend.observe(trial.instance, None).objects
        assert list(trial.backend.store(trial.instance).names()) == []
        assert trial.instance not in trial.backend.instances()

    def test_down_of_nothing_is_no_fault(self, trial: Trial) -> None:
        assert trial.down().verdict is Verdict.UNCHANGED

    def test_what_left_the_spec_is_removed_and_nothing_else(
        self, trial: Trial, backend: Backend, workload: Workload
    ) -> None:
        neighbour = Trial(backend, workload, self.namespace, f"{trial.instance.name}-next")
        document = trial.web()
        two = {"services": {**document["services"], "other": trial.web_service("other")}}
        try:
            neighbour.deployed(two)
            trial.deployed(two)
            pending = trial.plan(document).plan.pending
            assert {action.operation for action in pending} == {Operation.DELETE}
            assert [action.id for action in pending if action.rollout] == ["service/other"]
            trial.deployed(document)
            assert [service.name for service in trial.status().services] == ["web"]
            assert neighbour.service("other").healthy
        finally:
            neighbour.down()

    def test_without_prune_it_stays(self, trial: Trial) -> None:
        document = trial.web()
        two = {"services": {**document["services"], "other": trial.web_service("other")}}
        trial.deployed(two)
        plan = trial.plan(document, prune=False).plan
        assert all(action.operation is not Operation.DELETE for action in plan.pending)

    def test_two_instances_of_one_application_never_meet(
        self, trial: Trial, backend: Backend, workload: Workload
    ) -> None:
        staging = Trial(backend, workload, f"{self.namespace}-staging", trial.instance.name)
        try:
            trial.deployed(trial.web("prod", replicas=2))
            staging.deployed(staging.web("staging"))
            assert (trial.service().wanted, staging.service().wanted) == (2, 1)
            mine = {replica.id for replica in trial.service().replicas}
            assert mine.isdisjoint(replica.id for replica in staging.service().replicas)
            staging.down()
            assert trial.service().ready == 2
        finally:
            staging.down()

    @needs("volumes", "exec")
    def test_a_volume_outlives_an_update_and_a_plain_down(self, trial: Trial) -> None:
        document = self._with_volume(trial, "one")
        trial.deployed(document)
        assert trial.exec("echo kept > /data/file") == 0
        trial.deployed(self._with_volume(trial, "two"))
        look = 'test "$(cat /data/file)" = kept'
        assert trial.exec(look) == 0
        trial.down(volumes=False)
        trial.deployed(document)
        assert trial.exec(look) == 0
        trial.down(volumes=True)
        trial.deployed(document)
        assert trial.exec(look) != 0

    @staticmethod
    def _with_volume(trial: Trial, text: str) -> dict[str, object]:
        mount = {"type": "volume", "source": "data", "target": "/data"}
        web = {**trial.web_service(text), "volumes": [mount]}
        return {"services": {"web": web}, "volumes": {"data": {}}}
