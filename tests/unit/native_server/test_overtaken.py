"""Updates that overtake, fail beside or wait for each other; each was once found by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch_native.api import RolloutPhase
from orch_native.server.model import Key
from tests.unit.native_server.harness import SHOP, service

if TYPE_CHECKING:
    from tests.unit.native_server.harness import Plane

WEB = Key(SHOP, "service", "web")


def paced(**update: Any) -> dict[str, Any]:
    return {"update_config": {"monitor": "1s", **update}}


def restart(plane: Plane) -> None:
    plane.ask(lambda r: r.restart(WEB, 2))


def held(plane: Plane) -> list[tuple[int, str]]:
    """Index and command of each replica that is there and not on its way out."""
    templates = plane.controller._world.template_of
    found = [a for a in plane.allocs() if a.leaving is None]
    return sorted((a.index, " ".join(templates(a).body["command"])) for a in found)


def most_of_one_index(plane: Plane, seconds: float) -> int:
    """The most replicas of one index that ran at once."""
    most = 0
    for _ in range(int(seconds / 0.05)):
        plane.run(0.05)
        most = max(most, *map(len, plane.live().values()), 0)
    return most


@pytest.mark.parametrize("version", ["ok", "crash", "never-ready"])
def test_however_often_it_is_restarted_no_index_runs_thrice(plane: Plane, version: str) -> None:
    plane.put("web", service(version, deploy=paced(order="start-first", monitor="2s")))
    for _ in range(4):
        assert most_of_one_index(plane, 0.05) <= 2
        restart(plane)
    assert most_of_one_index(plane, 5) == 2


def test_an_update_that_overtakes_a_start_first_one_waits_for_what_leaves(plane: Plane) -> None:
    deploy = paced(order="start-first")
    plane.put("web", service("ok", deploy=deploy))
    plane.run(5)
    plane.put("web", service("slow", "3", deploy=deploy), revision=2)
    plane.run(1)
    plane.put("web", service("ok", "2", deploy=deploy), revision=3)
    assert most_of_one_index(plane, 10) == 2
    assert held(plane) == [(0, "ok 2")]


@pytest.mark.parametrize("bad", ["unstartable", "never-ready"])
def test_continue_goes_on_past_a_failure_in_a_start_first_update_too(
    plane: Plane, bad: str
) -> None:
    deploy = paced(order="start-first", failure_action="continue", progress_deadline="9s")
    plane.put("web", service("ok", replicas=2, deploy=deploy))
    plane.run(5)
    plane.put("web", service(bad, replicas=2, deploy=deploy), revision=2)
    plane.run(40)
    assert plane.rollout().phase is RolloutPhase.FAILED
    assert held(plane) == [(0, bad), (1, bad)]


def test_a_failure_within_the_ratio_does_not_hold_up_a_start_first_update(plane: Plane) -> None:
    deploy = paced(order="start-first", max_failure_ratio=0.5, monitor="4s")
    plane.put("web", service("ok", replicas=2, deploy=deploy))
    plane.run(10)
    plane.put("web", service("ok", "2", replicas=2, deploy=deploy), revision=2)
    plane.run(1)
    plane.agent.kill(plane.allocs()[-1].id)
    plane.run(40)
    assert plane.rollout().phase is RolloutPhase.HEALTHY
    assert held(plane) == [(0, "ok 2"), (1, "ok 2")]


def test_a_failed_start_first_update_keeps_the_earlier_replica_that_serves(plane: Plane) -> None:
    deploy = paced(order="start-first", monitor="30s", progress_deadline="60s")
    plane.put("web", service("ok", deploy=deploy))
    plane.run(5)
    plane.put("web", service("unstartable", deploy=deploy), revision=2)
    plane.run(30)
    assert plane.rollout().phase is RolloutPhase.FAILED
    assert held(plane) == [(0, "ok"), (0, "unstartable")]
    assert plane.ready() == 1
    plane.agent.kill(plane.allocs()[0].id)
    plane.run(30)
    assert held(plane) == [(0, "unstartable")]


def test_a_paused_start_first_update_leaves_both(plane: Plane) -> None:
    deploy = paced(order="start-first", failure_action="pause")
    plane.put("web", service("ok", replicas=2, deploy=deploy))
    plane.run(5)
    plane.put("web", service("unstartable", replicas=2, deploy=deploy), revision=2)
    plane.run(30)
    assert plane.rollout().phase is RolloutPhase.PAUSED
    assert held(plane) == [(0, "ok"), (0, "unstartable"), (1, "ok")]
    assert plane.ready() == 2


@pytest.mark.parametrize("canary", [0, 1])
def test_an_ordered_update_mends_what_its_own_start_waits_for(plane: Plane, canary: int) -> None:
    """Index 1 waits for index 0 to serve, which only the update can bring about."""
    plane.put("web", service("ok", replicas=0, deploy={"ordered": True, **paced()}))
    plane.run(5)
    deploy = {"ordered": True, **paced(canary=canary)}
    plane.put("web", service("never-ready", replicas=3, deploy=deploy), revision=2)
    plane.run(5)
    plane.put("web", service("ok", "2", replicas=3, deploy=deploy), revision=3)
    plane.run(30)
    assert plane.rollout().phase is RolloutPhase.HEALTHY
    assert held(plane) == [(0, "ok 2"), (1, "ok 2"), (2, "ok 2")]


def test_an_ordered_service_whose_first_replica_died_can_be_grown_by_an_update(
    plane: Plane,
) -> None:
    deploy = {"ordered": True, **paced(monitor="0s")}
    plane.put("web", service("crash", replicas=1, deploy=deploy))
    plane.run(1)
    plane.put("web", service("ok", "2", replicas=3, deploy=deploy), revision=2)
    plane.run(30)
    assert plane.rollout().phase is RolloutPhase.HEALTHY
    assert held(plane) == [(0, "ok 2"), (1, "ok 2"), (2, "ok 2")]


def test_a_version_that_never_served_makes_room_at_once(plane: Plane) -> None:
    plane.put("web", service("ok", replicas=3, deploy=paced(parallelism=0)))
    plane.run(5)
    slow = paced(parallelism=0, failure_action="pause", progress_deadline="600s")
    plane.put("web", service("never-ready", replicas=3, deploy=slow), revision=2)
    plane.run(5)
    assert plane.ready() == 0
    plane.put("web", service("ok", "2", replicas=3, deploy=paced(delay="60s")), revision=3)
    plane.run(5)
    assert plane.ready() == 3


def test_a_flash_of_readiness_proves_nothing_when_only_the_size_changes(plane: Plane) -> None:
    """A replica from before the change must have served as long as a new one."""
    plane.put("web", service("crash", replicas=1, deploy=paced(progress_deadline="60s")))
    plane.run(30)
    assert plane.rollout().phase is RolloutPhase.FAILED
    plane.put(
        "web", service("crash", replicas=1, deploy=paced(progress_deadline="50s")), revision=2
    )
    for _ in range(200):
        plane.run(0.3)
        assert plane.rollout().phase in {RolloutPhase.PROGRESSING, RolloutPhase.FAILED}
    assert plane.rollout().phase is RolloutPhase.FAILED
