"""Update, scale, restart, roll back, notice what others changed."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import StalePlan
from orch.plan.file import load_plan, save_plan
from orch.testing.conformance.trial import Cases, Trial, needs
from orch.types import EventKind, Op, Operation, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from orch.types import Event

# Short for what is meant to fail; what is meant to come up has all its time, on a busy host too.
FAILS: dict[str, Any] = {"update_config": {"progress_deadline": "4s", "monitor": "300ms"}}
HOLDS: dict[str, Any] = {"update_config": {"monitor": "300ms"}}


class ChangeCases(Cases):
    """What happens to an application that runs already."""

    def test_an_update_is_planned_field_by_field_and_rolled_out(self, trial: Trial) -> None:
        trial.deployed(trial.web("one", replicas=2))
        before = {replica.id for replica in trial.service().replicas if replica.ready}
        second = trial.web("two", replicas=2)
        (action,) = trial.plan(second).plan.pending
        assert (action.operation, action.id) == (Operation.UPDATE, "service/web")
        changed = [c for c in action.changes if "TEXT" in str(c.path) or "two" in str(c.new)]
        assert [(c.op, c.drift) for c in changed] == [(Op.CHANGE, False)], action.changes
        trial.deployed(second)
        web = trial.service()
        assert (web.ready, web.updated, web.healthy) == (2, 2, True)
        assert before.isdisjoint(replica.id for replica in web.replicas if replica.ready)
        assert trial.pending(second) == []

    def test_a_failed_update_is_rolled_back(self, trial: Trial) -> None:
        good = trial.web("good", replicas=2, **HOLDS)
        trial.deployed(good)
        outcome = trial.deploy(trial.web("bad", ready=False, replicas=2, **FAILS))
        assert (outcome.verdict, outcome.exit_code) == (Verdict.ROLLED_BACK, 5), outcome
        assert "service/web" in outcome.failed
        assert trial.service().ready == 2
        assert trial.pending(good) == []
        newest = trial.session().releases()[0]
        assert newest.outcome == Verdict.ROLLED_BACK

    def test_a_first_deploy_that_fails_says_so(self, trial: Trial) -> None:
        outcome = trial.deploy(trial.web("bad", ready=False, **FAILS))
        assert outcome.verdict is Verdict.FAILED, outcome
        assert outcome.exit_code == 6
        assert outcome.failed["service/web"]
        trial.deployed(trial.web("good", **HOLDS))
        assert trial.service().healthy

    def test_what_failed_is_tried_again_as_it_is(self, trial: Trial) -> None:
        bad = trial.web("bad", ready=False, **FAILS)
        trial.deploy(bad)
        before = {replica.id for replica in trial.service().replicas}
        (action,) = trial.plan(bad).plan.pending
        assert (action.operation, action.id) == (Operation.RETRY, "service/web")
        assert action.reason
        assert not action.changes
        outcome = trial.deploy(bad)
        assert (outcome.verdict, outcome.exit_code) == (Verdict.FAILED, 6), outcome
        assert before.isdisjoint(r.id for r in trial.service().replicas if r.state != "stopping")
        trial.deployed(trial.web("good", **HOLDS))
        assert trial.pending(trial.web("good", **HOLDS)) == []

    @needs("scale")
    def test_scale_is_done_and_shown_by_the_next_plan(self, trial: Trial) -> None:
        document = trial.web("one", replicas=1)
        trial.deployed(document)
        kept = trial.service().replicas[0].id
        outcome = trial.run(trial.session().scale_plan({"web": 3}))
        assert outcome.verdict is Verdict.DONE, outcome
        web = trial.service()
        assert (web.wanted, web.ready) == (3, 3)
        assert kept in {replica.id for replica in web.replicas}
        (action,) = trial.plan(document).plan.pending
        assert [(c.old, c.new) for c in action.changes] == [(3, 1)]
        trial.deployed(document)
        assert trial.service().ready == 1

    @needs("scale", "restart")
    def test_a_size_set_by_hand_is_told_after_a_restart_too(self, trial: Trial) -> None:
        document = trial.web("one", replicas=1)
        trial.deployed(document)
        trial.run(trial.session().scale_plan({"web": 2}))
        trial.run(trial.session().restart_plan(["web"]))
        assert trial.service().wanted == 2
        (note,) = self._of_size(trial, document)
        assert "scale web=2, release 2" in note
        trial.deployed(document)
        assert self._of_size(trial, trial.web("two", replicas=1)) == []

    @staticmethod
    def _of_size(trial: Trial, document: dict[str, Any]) -> list[str]:
        notes = trial.plan(document).plan.notes
        return [note for note in notes if "scaled by hand" in note]

    @needs("restart")
    def test_restart_replaces_every_replica(self, trial: Trial) -> None:
        document = trial.web("one", replicas=2)
        trial.deployed(document)
        before = {replica.id for replica in trial.service().replicas}
        outcome = trial.run(trial.session().restart_plan(["web"]))
        assert outcome.verdict is Verdict.DONE, f"{outcome}\n{trial.told()}"
        ready = [replica for replica in trial.service().replicas if replica.ready]
        assert len(ready) == 2
        assert before.isdisjoint(replica.id for replica in ready)
        assert trial.pending(document) == []

    def test_history_tells_all_and_rollback_returns(self, trial: Trial) -> None:
        first = trial.web("one")
        trial.deployed(first)
        trial.deployed(trial.web("two"))
        releases = trial.session().releases()
        assert [release.number for release in releases] == [2, 1]
        assert all(release.outcome == Verdict.DONE for release in releases)
        assert all(release.who == "conformance" and release.when for release in releases)
        outcome = trial.run(trial.session().rollback_plan())
        assert outcome.verdict is Verdict.DONE, outcome
        assert trial.pending(first) == []
        assert trial.session().releases()[0].number == 3

    def test_a_status_tells_the_revision_that_stands(self, trial: Trial) -> None:
        document = trial.web("one")
        both = {"services": {**document["services"], "api": trial.web_service("one")}}
        trial.deployed(both)
        trial.deployed(document)
        assert trial.session().status().revision == 2, "no service was changed, but one went"

    def _renamed(self, trial: Trial, text: str, **web: Any) -> dict[str, Any]:
        site = {**trial.web_service(text), "formerly": "web", **web}
        return {"services": {"site": site}}

    def test_a_renamed_service_takes_the_place_of_the_old_one(self, trial: Trial) -> None:
        trial.deployed(trial.web("one"))
        renamed = self._renamed(trial, "one")
        trial.deployed(renamed)
        assert trial.service("site").healthy
        assert [service.name for service in trial.status().services] == ["site"]
        assert trial.pending(renamed) == []
        trial.deployed(trial.web("one"))
        assert [service.name for service in trial.status().services] == ["web"]

    @needs("rename")
    def test_a_rename_is_one_step_and_is_taken_back_whole(self, trial: Trial) -> None:
        document = trial.web("one", replicas=2, **HOLDS)
        trial.deployed(document)
        broken = self._renamed(trial, "bad", **trial.web_service("bad", ready=False, **FAILS))
        (action,) = trial.plan(broken).plan.pending
        assert (action.operation, action.id) == (Operation.UPDATE, "service/site")
        assert action.formerly == "service/web"
        assert ("name",) in [change.path for change in action.changes]
        outcome = trial.deploy(broken)
        assert outcome.verdict is Verdict.ROLLED_BACK, f"{outcome}\n{trial.told()}"
        assert [service.name for service in trial.status().services] == ["web"]
        assert trial.service().ready == 2
        assert trial.pending(document) == []

    @needs("rename", "per-replica-volumes", "exec")
    def test_volumes_of_replicas_follow_a_rename(self, trial: Trial) -> None:
        mount = {"type": "volume", "source": "data", "target": "/data"}
        volumes = {"volumes": {"data": {"per_replica": True}}}
        service = {**trial.web_service("one"), "volumes": [mount]}
        trial.deployed({"services": {"web": service}, **volumes})
        assert trial.exec("echo kept > /data/file", "web") == 0
        look = 'test "$(cat /data/file)" = kept'
        renamed = {"services": {"site": {**service, "formerly": "web"}}, **volumes}
        trial.deployed(renamed)
        assert trial.exec(look, "site") == 0
        trial.deployed({"services": {"site": service}, **volumes})
        assert trial.exec(look, "site") == 0, "also once the old name is forgotten"
        trial.down(volumes=False)
        trial.deployed({"services": {"shop": {**service, "formerly": "web"}}, **volumes})
        assert trial.exec(look, "shop") == 0, "also when nothing ran in between"

    @needs("jobs", "rename")
    def test_a_renamed_job_is_not_run_again(self, trial: Trial) -> None:
        job = trial.shell("echo prepared")
        trial.deployed({"jobs": {"prepare": job}})
        before = [replica.id for replica in trial.service("prepare").replicas]
        renamed = {"jobs": {"fill": {**job, "formerly": "prepare"}}}
        trial.deployed(renamed)
        assert [replica.id for replica in trial.service("fill").replicas] == before
        assert trial.pending(renamed) == []

    def tamper(self, trial: Trial) -> None:
        """Change the service `web` behind our back, as somebody with the platform's tools may."""
        raise NotImplementedError

    @needs("drift")
    def test_what_others_changed_is_drift_and_mended(self, trial: Trial) -> None:
        document = trial.web("one")
        trial.deployed(document)
        assert trial.session().drift() == ()
        self.tamper(trial)
        (drift,) = trial.session().drift()
        assert (drift.id, drift.missing) == ("service/web", False)
        assert drift.changes
        (action,) = trial.plan(document).plan.pending
        assert all(change.drift for change in action.changes)
        trial.deployed(document)
        assert trial.session().drift() == ()

    def test_a_plan_file_is_carried_out_once_and_refused_when_stale(
        self, trial: Trial, tmp_path: Path
    ) -> None:
        save_plan(trial.plan(trial.web("one")).plan, tmp_path / "first.json")
        save_plan(trial.plan(trial.web("other")).plan, tmp_path / "second.json")
        assert trial.run(load_plan(tmp_path / "first.json")).verdict is Verdict.DONE
        with pytest.raises(StalePlan):
            trial.run(load_plan(tmp_path / "second.json"))
        assert trial.pending(trial.web("one")) == []

    def test_an_interrupted_deploy_is_finished_by_the_next(self, trial: Trial) -> None:
        cancel = threading.Event()
        document = {
            "services": {
                "db": trial.web_service("db"),
                "web": {
                    **trial.web_service("web"),
                    "depends_on": {"db": {"condition": "service_healthy"}},
                },
            }
        }

        def stop_early(event: Event) -> None:
            if event.kind is EventKind.APPLIED:
                cancel.set()

        plan = trial.plan(document).plan
        outcome = trial.session().apply(plan, on_event=stop_early, cancel=cancel)
        assert (outcome.verdict, outcome.exit_code) == (Verdict.INTERRUPTED, 130), outcome
        assert "service/web" in outcome.not_started
        trial.deployed(document)
        assert trial.status().healthy, trial.told()
        assert trial.pending(document) == []

    @needs("published-ports")
    def test_a_published_port_loses_no_request_while_it_is_updated(self, trial: Trial) -> None:
        port = self.free_port()
        pace: dict[str, Any] = {"replicas": 2, "update_config": {"order": "start-first"}}
        trial.deployed(self.published(trial.web("one", **pace), port))
        assert self.fetch(port) == "one"
        answers = _Requests(self, port)
        trial.deployed(self.published(trial.web("two", **pace), port))
        seen = answers.stop()
        assert self.fetch(port) == "two"
        assert not seen.failures, seen.failures[:3]
        assert seen.count > 20

    @needs("published-ports")
    def test_replicas_that_are_not_ready_get_no_traffic(self, trial: Trial) -> None:
        port = self.free_port()
        pace: dict[str, Any] = {
            "update_config": {"failure_action": "pause", "progress_deadline": "4s"}
        }
        pace["update_config"]["order"] = "start-first"
        trial.deployed(self.published(trial.web("good", **pace), port))
        answers = _Requests(self, port)
        trial.deploy(self.published(trial.web("bad", ready=False, **pace), port))
        seen = answers.stop()
        assert not seen.failures, seen.failures[:3]
        assert seen.texts == {"good"}


class _Requests(threading.Thread):
    """Asks a port again and again from a thread of its own."""

    def __init__(self, cases: Cases, port: int) -> None:
        super().__init__(daemon=True)
        self._cases, self._port = cases, port
        self._stop_now = threading.Event()
        self.failures: list[str] = []
        self.texts: set[str] = set()
        self.count = 0
        self.start()

    def run(self) -> None:
        """Ask until told to stop."""
        while not self._stop_now.wait(0.02):
            self.count += 1
            try:
                self.texts.add(self._cases.fetch(self._port))
            except OSError as fault:
                self.failures.append(f"{time.strftime('%T')} {fault!r}")

    def stop(self) -> _Requests:
        """End it, and give what was seen."""
        self._stop_now.set()
        self.join(10)
        return self
