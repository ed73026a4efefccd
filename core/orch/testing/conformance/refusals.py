"""Locks, targets that do not answer, and what can't be run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orch.apply.session import Session
from orch.errors import Conflict, Locked, Refused, Unreachable
from orch.testing.conformance.changes import FAILS
from orch.testing.conformance.trial import Cases, Trial, needs
from orch.types import Verdict

if TYPE_CHECKING:
    from orch.backend.contract import Backend


class RefusalCases(Cases):
    """Whoever is refused learns why, and nothing is half done."""

    def test_only_one_deploys_at_a_time(self, trial: Trial) -> None:
        plan = trial.plan(trial.web()).plan
        store = trial.backend.store(trial.instance)
        lock = store.acquire("alice at desk", 30)
        with pytest.raises(Locked, match="alice at desk"):
            trial.run(plan)
        assert trial.status().services == ()
        renewed = store.renew(lock, 30)
        store.release(renewed)
        assert trial.run(plan).verdict is Verdict.DONE

    def test_a_lock_can_be_broken_and_is_lost_then(self, trial: Trial) -> None:
        store = trial.backend.store(trial.instance)
        lock = store.acquire("bob", 30)
        assert trial.session().unlock() == "bob"
        with pytest.raises(Locked):
            store.renew(lock, 30)
        store.release(store.acquire("carol", 30))
        assert store.break_lock() == ""

    def test_records_are_written_once(self, trial: Trial) -> None:
        store = trial.backend.store(trial.instance)
        data = bytes(range(256)) * 16
        store.create("probe.1", data)
        with pytest.raises(Conflict):
            store.create("probe.1", b"other")
        assert store.read("probe.1") == data
        assert list(store.names("probe.")) == ["probe.1"]
        store.delete("probe.1")
        store.delete("probe.1")
        with pytest.raises(KeyError):
            store.read("probe.1")

    def test_something_that_can_not_start_fails_with_its_reason(self, trial: Trial) -> None:
        service = {**trial.workload.unstartable(), "deploy": FAILS}
        try:
            outcome = trial.deploy({"services": {"web": service}})
        except Refused:
            return  # the target knew it before anything was touched
        assert outcome.exit_code == 6, outcome
        assert outcome.failed["service/web"]

    @needs("placement")
    def test_what_can_not_be_placed_is_told_before_anything_is_touched(self, trial: Trial) -> None:
        service = trial.web_service("one")
        service["deploy"]["placement"] = {"constraints": ["node.labels.planet == mars"]}
        with pytest.raises(Refused, match="mars"):
            trial.plan({"services": {"web": service}})
        assert trial.status().services == ()

    def test_a_target_that_does_not_answer_is_told(
        self, unreachable: Backend, trial: Trial
    ) -> None:
        session = Session(unreachable, trial.instance, sleep=lambda _seconds: None)
        with pytest.raises(Unreachable) as fault:
            session.plan(trial.app(trial.web()))
        assert fault.value.exit_code == 9
        assert fault.value.mend
