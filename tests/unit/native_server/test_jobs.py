from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import UsageFault
from orch_native.api import RolloutPhase
from orch_native.server import cron
from orch_native.server.model import Key, RunPhase
from tests.unit.native_server.harness import SHOP

if TYPE_CHECKING:
    from orch_native.server.model import Run
    from tests.unit.native_server.harness import Plane


def job(code: int = 0, seconds: float = 1, **more: Any) -> dict[str, Any]:
    return {"command": ["done", str(code), str(seconds)], **more}


def runs(plane: Plane, name: str = "migrate") -> list[Run]:
    uid = plane.controller._world.uids[Key(SHOP, "job", name)]
    return sorted(plane.controller._world.runs[uid].values(), key=lambda run: run.number)


def test_job_runs_once_and_is_healthy_when_it_succeeded(plane: Plane) -> None:
    plane.put("migrate", job(), "job")
    assert plane.rollout("migrate", "job").phase is RolloutPhase.PROGRESSING
    plane.run(60)
    assert plane.rollout("migrate", "job").phase is RolloutPhase.HEALTHY
    assert len(plane.agent.started) == 1
    assert plane.status("migrate")["healthy"]


def test_same_body_runs_nothing_and_a_changed_one_runs_once_more(plane: Plane) -> None:
    plane.put("migrate", job(), "job")
    plane.run(10)
    plane.put("migrate", job(), "job", revision=2)
    plane.run(10)
    assert len(runs(plane)) == 1
    plane.put("migrate", job(seconds=2), "job", revision=3)
    plane.run(10)
    assert [run.phase for run in runs(plane)] == [RunPhase.SUCCEEDED] * 2


def test_restart_runs_it_once_more(plane: Plane) -> None:
    plane.put("migrate", job(), "job")
    plane.run(10)
    plane.ask(lambda r: r.restart(Key(SHOP, "job", "migrate"), 2))
    plane.run(10)
    assert [run.cause for run in runs(plane)] == ["create", "restart"]


def test_failures_are_retried_with_growing_pauses_up_to_the_limit(plane: Plane) -> None:
    starts = [plane.now]
    plane.put("migrate", job(3, 1, backoff_limit=3), "job")
    for _ in range(600):
        before = len(plane.agent.started)
        plane.run(0.1)
        starts += [plane.now] * (len(plane.agent.started) - before)
    assert len(starts) == 4
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert pauses == pytest.approx([2, 3, 5], abs=0.3)
    sight = plane.rollout("migrate", "job")
    assert sight.phase is RolloutPhase.FAILED
    assert "exit code 3" in sight.reason
    assert "4 times" in sight.reason


def test_completions_and_parallelism(plane: Plane) -> None:
    plane.put("migrate", job(0, 2, completions=5, parallelism=2), "job")
    most = 0
    for _ in range(100):
        plane.run(0.1)
        most = max(most, sum(len(ids) for ids in plane.live("migrate").values()))
    assert most == 2
    assert plane.rollout("migrate", "job").phase is RolloutPhase.HEALTHY
    assert len(plane.agent.started) == 5


def test_timeout_ends_a_run(plane: Plane) -> None:
    plane.put("migrate", job(0, 1000, timeout="30s"), "job")
    plane.run(40)
    sight = plane.rollout("migrate", "job")
    assert (sight.phase, "timeout" in sight.reason) == (RolloutPhase.FAILED, True)
    assert plane.live("migrate") == {}


def test_new_version_ends_the_run_of_the_old_one(plane: Plane) -> None:
    plane.put("migrate", job(0, 1000), "job")
    plane.run(5)
    plane.put("migrate", job(0, 1), "job", revision=2)
    plane.run(10)
    assert [run.phase for run in runs(plane)] == [RunPhase.STOPPED, RunPhase.SUCCEEDED]


def test_finished_run_goes_after_its_ttl_and_is_not_run_again(plane: Plane) -> None:
    plane.put("migrate", job(ttl="60s"), "job")
    plane.run(50)
    assert len(runs(plane)) == 1
    plane.run(60)
    assert runs(plane) == []
    assert plane.agent.tasks == {}
    plane.run(600)
    assert len(plane.agent.started) == 1


def test_schedule_runs_again_and_again_and_keeps_its_history(plane: Plane) -> None:
    plane.put("migrate", job(schedule="*/5 * * * *", history={"succeeded": 2}), "job")
    assert plane.rollout("migrate", "job").phase is RolloutPhase.HEALTHY
    assert plane.agent.started == []
    plane.run(3610)
    assert len(plane.agent.started) == 12
    assert [run.number for run in runs(plane)] == [11, 12]


def test_a_failed_run_counts_until_the_next_one_has_ended(plane: Plane) -> None:
    plane.put("migrate", job(3, 200, schedule="*/5 * * * *", backoff_limit=0), "job")
    plane.run(400)
    assert [run.phase for run in runs(plane)] == [RunPhase.RUNNING]
    assert plane.status("migrate")["healthy"]
    plane.run(300)
    assert [run.phase for run in runs(plane)] == [RunPhase.FAILED, RunPhase.RUNNING]
    seen = plane.status("migrate")
    assert not seen["healthy"]
    assert "; run 2 running; run 1 failed" in seen["message"]


def test_forbid_leaves_out_a_moment_while_the_last_run_goes_on(plane: Plane) -> None:
    plane.put("migrate", job(0, 400, schedule="*/5 * * * *", concurrency="forbid"), "job")
    plane.run(1500)
    assert len(plane.agent.started) == 3
    assert any("still goes on" in event for event in plane.events())


def test_replace_ends_the_last_run(plane: Plane) -> None:
    body = job(0, 400, schedule="*/5 * * * *", concurrency="replace", history={"failed": 9})
    plane.put("migrate", body, "job")
    plane.run(1000)
    assert [run.phase for run in runs(plane)][:2] == [RunPhase.STOPPED, RunPhase.STOPPED]
    assert sum(len(ids) for ids in plane.live("migrate").values()) == 1


def test_after_downtime_at_most_one_missed_run_is_made_up_for(plane: Plane) -> None:
    plane.put("migrate", job(schedule="*/5 * * * *"), "job")
    plane.run(1)
    plane.now += 6 * 3600
    plane.crash()
    plane.run(10)
    assert len(plane.agent.started) == 1
    assert any("missed" in event for event in plane.events())


def test_starting_deadline_leaves_out_what_is_too_late(plane: Plane) -> None:
    plane.put("migrate", job(schedule="0 * * * *", starting_deadline="60s"), "job")
    plane.run(1)
    plane.now += 2 * 3600 + 1800
    plane.crash()
    plane.run(10)
    assert plane.agent.started == []
    plane.run(3600)
    assert len(plane.agent.started) == 1


def test_suspended_schedule_starts_nothing_and_makes_up_for_nothing(plane: Plane) -> None:
    plane.put("migrate", job(schedule="*/5 * * * *", suspend=True), "job")
    plane.run(3600)
    assert plane.agent.started == []
    plane.put("migrate", job(schedule="*/5 * * * *"), "job", revision=2)
    plane.run(200)
    assert plane.agent.started == []
    plane.run(200)
    assert len(plane.agent.started) == 1


@pytest.mark.parametrize(("schedule", "zone"), [("61 * * * *", "UTC"), ("* * * * *", "Mars/Base")])
def test_schedule_that_is_not_valid_is_refused(plane: Plane, schedule: str, zone: str) -> None:
    with pytest.raises(UsageFault):
        plane.put("migrate", job(schedule=schedule, time_zone=zone), "job")


def test_deleted_job_leaves_nothing(plane: Plane) -> None:
    plane.put("migrate", job(0, 1000), "job")
    plane.run(5)
    plane.delete("migrate", "job")
    plane.run(5)
    assert plane.rollout("migrate", "job").phase is RolloutPhase.GONE
    assert plane.agent.tasks == {}


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_schedule_is_read_in_its_time_zone_across_daylight_saving() -> None:
    before = cron.due("0 3 * * *", "Europe/Berlin", at("2026-03-28T12:00"), at("2026-03-28T12:00"))
    assert before.following == at("2026-03-29T01:00")
    winter = cron.due("0 3 * * *", "Europe/Berlin", at("2026-01-10T12:00"), at("2026-01-10T12:00"))
    assert winter.following == at("2026-01-11T02:00")


def test_long_downtime_is_counted_in_bounded_time() -> None:
    due = cron.due("* * * * *", "UTC", at("2020-01-01T00:00"), at("2026-01-01T00:00"))
    assert due.moment == at("2026-01-01T00:00")
