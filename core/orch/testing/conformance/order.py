"""What waits for what; jobs and schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import RolloutFailed
from orch.testing.conformance.changes import FAILS
from orch.testing.conformance.trial import Cases, Trial, needs
from orch.types import EventKind, Operation, Verdict

if TYPE_CHECKING:
    from orch.types import Event


def _first(events: list[Event], id_: str, *kinds: EventKind) -> int:
    return next(i for i, event in enumerate(events) if event.id == id_ and event.kind in kinds)


class OrderCases(Cases):
    """Dependencies, one-shot jobs and cron."""

    def test_a_service_waits_for_the_health_of_another(self, trial: Trial) -> None:
        trial.deployed(self._web_after(trial, "db", trial.web_service("db"), "service_healthy"))
        healthy = _first(trial.events, "service/db", EventKind.HEALTHY)
        assert healthy < _first(trial.events, "service/web", EventKind.APPLIED)

    def test_what_waits_for_a_failed_service_is_not_touched(self, trial: Trial) -> None:
        broken = trial.web_service("db", ready=False, **FAILS)
        document = self._web_after(trial, "db", broken, "service_healthy")
        outcome = trial.deploy(document, rollback=False)
        assert outcome.verdict is Verdict.FAILED, outcome
        assert "service/db" in outcome.failed
        assert "service/web" in outcome.not_started
        assert all(service.name != "web" for service in trial.status().services)

    @needs("jobs")
    def test_a_service_waits_for_a_job_to_complete(self, trial: Trial) -> None:
        web = trial.web_service("web")
        web["depends_on"] = {"prepare": {"condition": "service_completed_successfully"}}
        job = trial.shell("echo prepared")
        document = {"services": {"web": web}, "jobs": {"prepare": job}}
        trial.deployed(document)
        done = _first(trial.events, "job/prepare", EventKind.HEALTHY)
        assert done < _first(trial.events, "service/web", EventKind.APPLIED)
        assert trial.pending(document) == [], "a job that ran is not run again"

    @needs("jobs")
    def test_a_job_that_fails_fails_the_deploy(self, trial: Trial) -> None:
        job = trial.shell("echo no >&2; exit 3", backoff_limit=0)
        outcome = trial.deploy({"jobs": {"prepare": job}}, rollback=False)
        assert outcome.verdict is Verdict.FAILED, outcome
        assert outcome.failed["job/prepare"]
        with pytest.raises(RolloutFailed, match="prepare"):
            trial.session().wait(condition="completed", timeout=60)

    @needs("jobs", "volumes", "exec")
    def test_a_job_that_failed_is_run_again_and_what_waits_for_it_follows(
        self, trial: Trial
    ) -> None:
        once = "test -e /data/mark && exit 0; : > /data/mark; exit 3"
        mount = {"type": "volume", "source": "data", "target": "/data"}
        web = trial.web_service("web")
        web["depends_on"] = {"prepare": {"condition": "service_completed_successfully"}}
        document = {
            "services": {"web": web},
            "jobs": {"prepare": trial.shell(once, backoff_limit=0, volumes=[mount])},
            "volumes": {"data": {}},
        }
        assert "job/prepare" in trial.deploy(document, rollback=False).failed
        retry = (Operation.RETRY, "job/prepare")
        assert trial.pending(document) == [retry, (Operation.CREATE, "service/web")]
        trial.deployed(document)
        assert trial.pending(document) == []

    @needs("jobs")
    def test_a_changed_job_runs_again(self, trial: Trial) -> None:
        trial.deployed({"jobs": {"prepare": trial.shell("echo one")}})
        changed = {"jobs": {"prepare": trial.shell("echo two")}}
        assert [id_ for _, id_ in trial.pending(changed)] == ["job/prepare"]
        trial.deployed(changed)
        assert trial.pending(changed) == []

    @needs("jobs")
    def test_a_rollback_runs_a_job_again_only_where_it_differs(self, trial: Trial) -> None:
        def document(text: str, script: str) -> dict[str, Any]:
            return {**trial.web(text), "jobs": {"prepare": trial.shell(script)}}

        trial.deployed(document("one", "echo one"))
        trial.deployed(document("two", "echo one"))
        plan = trial.session().rollback_plan()
        assert [action.id for action in plan.pending] == ["service/web"]
        assert not [note for note in plan.notes if "job/prepare" in note]
        trial.deployed(document("two", "echo two"))
        plan = trial.session().rollback_plan(2)
        assert [action.id for action in plan.pending] == ["job/prepare"]
        assert [note for note in plan.notes if note.startswith("job/prepare runs again")]
        assert trial.run(plan).verdict is Verdict.DONE

    @needs("cron")
    def test_a_schedule_is_kept_and_runs_nothing_at_once(self, trial: Trial) -> None:
        report = trial.shell("exit 1", schedule="0 3 29 2 *", time_zone="America/Sao_Paulo")
        document = {"jobs": {"report": report}}
        trial.deployed(document)
        assert trial.service("report").replicas == ()
        assert trial.pending(document) == []

    @staticmethod
    def _web_after(
        trial: Trial, name: str, service: dict[str, Any], condition: str
    ) -> dict[str, Any]:
        web = {**trial.web_service("web"), "depends_on": {name: {"condition": condition}}}
        return {"services": {name: service, "web": web}}
