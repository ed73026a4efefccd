from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch_native.api import RolloutPhase
from orch_native.server import sights
from orch_native.server.model import Key
from tests.unit.native_server.harness import SHOP, service

if TYPE_CHECKING:
    from tests.unit.native_server.harness import Plane


def paced(**update: Any) -> dict[str, Any]:
    return {"update_config": {"monitor": "1s", **update}}


def watch(plane: Plane, seconds: float, step: float = 0.1) -> list[tuple[int, list[str]]]:
    """Ready count and running commands at every moment."""
    seen = []
    for _ in range(int(seconds / step)):
        plane.run(step)
        seen.append((plane.ready(), plane.commands()))
    return seen


def test_first_deploy_starts_all_at_once_and_is_healthy_after_the_monitor_time(
    plane: Plane,
) -> None:
    plane.put("web", service("ok", replicas=3, deploy=paced()))
    plane.run(0.5)
    assert plane.rollout().phase is RolloutPhase.PROGRESSING
    assert plane.ready() == 3
    plane.run(1.0)
    sight = plane.rollout()
    assert (sight.phase, sight.ready, sight.updated) == (RolloutPhase.HEALTHY, 3, 3)


def test_same_body_again_changes_nothing(plane: Plane) -> None:
    first = plane.put("web", service("ok"))
    plane.run(10)
    started = list(plane.agent.started)
    again = plane.put("web", service("ok"), revision=2)
    plane.run(10)
    assert again.version == first.version
    assert again.revision == 2
    assert plane.agent.started == started


def test_stop_first_update_goes_one_by_one_and_never_doubles_an_index(plane: Plane) -> None:
    plane.put("web", service("ok", replicas=3, deploy=paced()))
    plane.run(5)
    plane.put("web", service("slow", "2", replicas=3, deploy=paced()), revision=2)
    for ready, _ in watch(plane, 30):
        assert ready >= 2
        assert all(len(ids) == 1 for ids in plane.live().values())
    assert plane.rollout().phase is RolloutPhase.HEALTHY
    assert plane.commands() == ["slow 2"] * 3


def test_start_first_update_keeps_every_replica_serving(plane: Plane) -> None:
    deploy = paced(order="start-first", parallelism=2)
    plane.put("web", service("ok", replicas=3, deploy=deploy))
    plane.run(5)
    plane.put("web", service("slow", "2", replicas=3, deploy=deploy), revision=2)
    for ready, _ in watch(plane, 30):
        assert ready >= 3
        assert sum(len(ids) > 1 for ids in plane.live().values()) <= 2
    assert plane.commands() == ["slow 2"] * 3


def test_delay_separates_batches(plane: Plane) -> None:
    deploy = paced(delay="20s", monitor="0s")
    plane.put("web", service("ok", replicas=2, deploy=deploy))
    plane.run(5)
    plane.put("web", service("ok", "2", replicas=2, deploy=deploy) | {"user": "1"}, revision=2)
    plane.run(10)
    assert plane.rollout().updated == 1
    plane.run(15)
    assert plane.rollout().phase is RolloutPhase.HEALTHY


@pytest.mark.parametrize("bad", ["crash", "unstartable"])
@pytest.mark.parametrize("order", ["stop-first", "start-first"])
def test_failed_update_is_rolled_back_and_spares_the_rest(
    plane: Plane, bad: str, order: str
) -> None:
    plane.put("web", service("ok", replicas=3, deploy=paced(order=order)))
    plane.run(5)
    before = {a.id for a in plane.allocs()}
    plane.put("web", service(bad, replicas=3, deploy=paced(order=order)), revision=2)
    for ready, _ in watch(plane, 20):
        assert ready >= 2
    sight = plane.rollout()
    assert sight.phase is RolloutPhase.ROLLED_BACK
    assert "crashed" in sight.reason or "image not found" in sight.reason
    assert plane.commands() == ["ok"] * 3
    kept = {a.id for a in plane.allocs() if not a.gone}
    assert len(before & kept) >= 2
    assert sight.failed
    assert not kept & set(sight.failed)
    row = plane.ask(lambda r: r.world.find(Key(SHOP, "service", "web")))
    assert row is not None
    assert (row.body["command"], row.revision) == (["ok"], 1)


def test_never_ready_fails_at_the_progress_deadline(plane: Plane) -> None:
    deploy = paced(progress_deadline="30s")
    plane.put("web", service("ok", replicas=2, deploy=deploy))
    plane.run(5)
    plane.put("web", service("never-ready", replicas=2, deploy=deploy), revision=2)
    plane.run(25)
    assert plane.rollout().phase is RolloutPhase.PROGRESSING
    plane.run(15)
    sight = plane.rollout()
    assert sight.phase is RolloutPhase.ROLLED_BACK
    assert "503" in sight.reason


def test_first_deploy_that_fails_has_nothing_to_return_to(plane: Plane) -> None:
    plane.put("web", service("crash", deploy=paced()))
    plane.run(60)
    sight = plane.rollout()
    assert sight.phase is RolloutPhase.FAILED
    assert "no earlier version" in sight.message
    plane.put("web", service("ok", deploy=paced()), revision=2)
    plane.run(10)
    assert plane.rollout().phase is RolloutPhase.HEALTHY


def test_first_deploy_bears_one_crash(plane: Plane) -> None:
    plane.put("web", service("slow", "1", deploy=paced(monitor="5s")))
    plane.run(2)
    plane.agent.kill(plane.allocs()[0].id)
    plane.run(20)
    assert plane.rollout().phase is RolloutPhase.HEALTHY


def test_pause_leaves_both_versions_and_touches_no_more(plane: Plane) -> None:
    deploy = paced(failure_action="pause")
    plane.put("web", service("ok", replicas=3, deploy=deploy))
    plane.run(5)
    plane.put("web", service("unstartable", replicas=3, deploy=deploy), revision=2)
    plane.run(60)
    assert plane.rollout().phase is RolloutPhase.PAUSED
    assert plane.ready() == 2


def test_continue_goes_on_and_says_that_it_failed(plane: Plane) -> None:
    deploy = paced(failure_action="continue")
    plane.put("web", service("ok", replicas=2, deploy=deploy))
    plane.run(5)
    plane.put("web", service("unstartable", replicas=2, deploy=deploy), revision=2)
    plane.run(30)
    assert plane.rollout().phase is RolloutPhase.FAILED
    assert plane.ready() == 0


def test_failures_within_the_ratio_are_borne(plane: Plane) -> None:
    deploy = paced(max_failure_ratio=0.5, parallelism=0, monitor="8s")
    plane.put("web", service("ok", replicas=4, deploy=deploy))
    plane.run(20)
    plane.put("web", service("ok", "x", replicas=4, deploy=deploy), revision=2)
    plane.run(3)
    plane.agent.kill(next(a.id for a in plane.allocs() if a.serving))
    plane.run(30)
    assert plane.rollout().phase is RolloutPhase.HEALTHY


def test_canary_promotes_itself(plane: Plane) -> None:
    deploy = paced(canary=1, parallelism=0)
    plane.put("web", service("ok", replicas=4, deploy=deploy))
    plane.run(5)
    plane.put("web", service("slow", "1", replicas=4, deploy=deploy), revision=2)
    plane.run(2.5)
    assert plane.commands().count("slow 1") <= 1
    assert plane.commands().count("ok") == 3
    plane.run(20)
    assert plane.commands() == ["slow 1"] * 4
    assert plane.rollout().phase is RolloutPhase.HEALTHY


def test_canary_waits_for_promotion(plane: Plane) -> None:
    deploy = paced(canary=1, promote="manual")
    plane.put("web", service("ok", replicas=3, deploy=deploy))
    plane.run(5)
    plane.put("web", service("slow", "1", replicas=3, deploy=deploy), revision=2)
    plane.run(100)
    assert plane.rollout().phase is RolloutPhase.AWAITING_PROMOTION
    assert sorted(plane.commands()) == ["ok", "ok", "slow 1"]
    plane.ask(lambda r: r.promote(Key(SHOP, "service", "web")))
    plane.run(30)
    assert plane.rollout().phase is RolloutPhase.HEALTHY
    assert plane.commands() == ["slow 1"] * 3


def test_failed_canary_touches_nobody_else(plane: Plane) -> None:
    deploy = paced(canary=1, parallelism=0)
    plane.put("web", service("ok", replicas=4, deploy=deploy))
    plane.run(5)
    plane.put("web", service("crash", replicas=4, deploy=deploy), revision=2)
    for ready, _ in watch(plane, 20):
        assert ready >= 3
    assert plane.rollout().phase is RolloutPhase.ROLLED_BACK


def test_scaling_restarts_nobody_and_takes_the_highest_index(plane: Plane) -> None:
    plane.put("web", service("ok", replicas=2, deploy=paced()))
    plane.run(5)
    first = {a.index: a.id for a in plane.allocs()}
    plane.put("web", service("ok", replicas=4, deploy=paced()), revision=2)
    plane.run(5)
    assert plane.rollout().phase is RolloutPhase.HEALTHY
    assert {a.index: a.id for a in plane.allocs()}.items() >= first.items()
    plane.put("web", service("ok", replicas=1, deploy=paced()), revision=3)
    plane.run(5)
    assert {a.id for a in plane.allocs() if not a.gone} == {first[0]}
    assert plane.rollout().phase is RolloutPhase.HEALTHY


def test_scale_to_nothing_and_back(plane: Plane) -> None:
    plane.put("web", service("ok", replicas=2, deploy=paced()))
    plane.run(5)
    plane.put("web", service("ok", replicas=0, deploy=paced()), revision=2)
    plane.run(5)
    assert plane.rollout().phase is RolloutPhase.HEALTHY
    assert plane.live() == {}
    plane.put("web", service("ok", replicas=2, deploy=paced()), revision=3)
    plane.run(5)
    assert plane.ready() == 2


def test_ordered_service_starts_and_stops_one_by_one(plane: Plane) -> None:
    body = service("slow", "1", replicas=3, deploy={"ordered": True, **paced()})
    plane.put("web", body)
    plane.run(0.5)
    assert set(plane.live()) == {0}
    plane.run(5)
    assert plane.ready() == 3
    fewer = service("slow", "1", replicas=0, deploy={"ordered": True, **paced()})
    plane.put("web", fewer, revision=2)
    order = []
    for _ in range(60):
        plane.run(0.1)
        order.append(tuple(sorted(plane.live())))
    assert list(dict.fromkeys(order)) == [(0, 1, 2), (0, 1), (0,), ()]


def test_restart_replaces_all_at_the_pace_of_the_update(plane: Plane) -> None:
    plane.put("web", service("ok", replicas=3, deploy=paced()))
    plane.run(5)
    before = {a.id for a in plane.allocs()}
    plane.ask(lambda r: r.restart(Key(SHOP, "service", "web"), 2))
    for ready, _ in watch(plane, 15):
        assert ready >= 2
    assert plane.rollout().phase is RolloutPhase.HEALTHY
    assert not before & {a.id for a in plane.allocs() if not a.gone}


def test_global_service_has_one_replica_on_the_node(plane: Plane) -> None:
    plane.put("web", service("ok", deploy={"mode": "global", **paced()}))
    plane.run(5)
    assert plane.rollout().phase is RolloutPhase.HEALTHY
    assert {index: len(ids) for index, ids in plane.live().items()} == {0: 1}


def test_replica_that_was_stopped_by_somebody_is_replaced(plane: Plane) -> None:
    plane.put("web", service("ok", replicas=2, deploy=paced()))
    plane.run(5)
    victim = plane.allocs()[0].id
    task = plane.agent.tasks[victim]
    task.stopping = True
    task.due = plane.now
    plane.run(5)
    assert plane.ready() == 2
    assert victim not in {a.id for a in plane.allocs() if not a.gone}


def test_leaving_replica_is_out_of_the_traffic_before_it_is_stopped(plane: Plane) -> None:
    plane.put("web", service("ok", replicas=1, deploy=paced()))
    plane.run(5)
    plane.delete("web")
    plane.run(0.5)
    endpoints = plane.agent.routing.endpoints["default/shop/web"]
    assert [e.draining for e in endpoints] == [True]
    assert not any(task.stopping for task in plane.agent.tasks.values())
    plane.run(5)
    assert plane.rollout().phase is RolloutPhase.GONE
    assert plane.agent.tasks == {}
    assert "network default_shop_default" in plane.agent.removed


def test_crash_of_the_server_at_any_turn_doubles_and_loses_nothing(plane: Plane) -> None:
    plane.put("web", service("ok", replicas=3, deploy=paced()))
    plane.crash()
    plane.run(5)
    plane.put("web", service("slow", "1", replicas=3, deploy=paced()), revision=2)
    for _ in range(60):
        plane.run(0.25)
        plane.crash()
        assert all(len(ids) == 1 for ids in plane.live().values())
    assert plane.rollout().phase is RolloutPhase.HEALTHY
    assert plane.commands() == ["slow 1"] * 3


def failure(plane: Plane, name: str = "web", kind: str = "service") -> str:
    found = plane.ask(lambda r: sights.find(r.world, Key(SHOP, kind, name)))
    assert found is not None
    return found.failed


def retry(plane: Plane, name: str = "web", kind: str = "service") -> None:
    plane.ask(lambda r: r.retry(Key(SHOP, kind, name), 7))


def test_a_retry_starts_anew_what_failed_with_a_new_deadline(plane: Plane) -> None:
    plane.put("web", service("never-ready", replicas=2, deploy=paced(progress_deadline="10s")))
    plane.run(5)
    assert failure(plane) == ""
    plane.run(6)
    assert plane.rollout().phase is RolloutPhase.FAILED
    assert failure(plane) == "its last rollout failed"
    before = {alloc.id for alloc in plane.allocs()}
    retry(plane)
    assert plane.rollout().phase is RolloutPhase.PROGRESSING
    assert failure(plane) == ""
    plane.run(5)
    assert plane.rollout().phase is RolloutPhase.PROGRESSING
    assert before.isdisjoint(id_ for ids in plane.live().values() for id_ in ids)
    retry(plane)
    again = {id_ for ids in plane.live().values() for id_ in ids}
    plane.run(1)
    assert {id_ for ids in plane.live().values() for id_ in ids} == again
    plane.run(6)
    assert plane.rollout().phase is RolloutPhase.FAILED


def test_a_retry_leaves_what_serves(plane: Plane) -> None:
    plane.put("web", service("ok", replicas=3, deploy=paced()))
    plane.run(5)
    assert failure(plane) == ""
    broken = plane.allocs()[1]
    plane.agent.kill(broken.id)
    plane.run(1)
    assert failure(plane) == "1 of 3 replicas can't be kept running"
    before = {alloc.id for alloc in plane.allocs()}
    retry(plane)
    plane.run(5)
    assert plane.rollout().phase is RolloutPhase.HEALTHY
    assert failure(plane) == ""
    now = {alloc.id for alloc in plane.allocs() if alloc.holds}
    assert broken.id not in now
    assert len(now & before) == 2


def test_a_retry_that_fails_again_says_so_and_turns_nothing_back(plane: Plane) -> None:
    plane.put("web", service("ok", deploy=paced(failure_action="continue")))
    plane.run(5)
    bad = service("unstartable", deploy=paced(failure_action="continue", progress_deadline="9s"))
    plane.put("web", bad, revision=2)
    plane.run(60)
    assert failure(plane)
    retry(plane)
    plane.run(60)
    assert plane.rollout().phase is RolloutPhase.FAILED
    assert plane.commands() == []
    assert failure(plane)


def test_a_failed_job_is_retried_by_one_new_run(plane: Plane) -> None:
    plane.put("prepare", {"command": ["done", "3", "1"], "backoff_limit": 0}, "job")
    plane.run(5)
    assert failure(plane, "prepare", "job") == "its last run failed"
    retry(plane, "prepare", "job")
    retry(plane, "prepare", "job")
    plane.run(5)
    uid = plane.controller._world.uids[Key(SHOP, "job", "prepare")]
    assert max(plane.controller._world.runs[uid]) == 2


def test_replicas_that_fail_alike_share_one_reason(plane: Plane) -> None:
    body = service("never-ready", replicas=3, deploy=paced(progress_deadline="9s"))
    plane.put("web", body)
    plane.run(12)
    reason = plane.rollout().reason
    assert reason.count("was not healthy within 9 s") == 1
    assert all(alloc.id in reason for alloc in plane.allocs())
