"""One resource at which the server or its agent fails, beside others that must not feel it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orch_native.api import RolloutPhase
from orch_native.messages import Observation, State
from orch_native.server import sights
from orch_native.server.faults import FIRST_PAUSE, LONGEST_PAUSE
from orch_native.server.model import Key
from tests.unit.native_server.harness import SHOP, service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_native.messages import Allocation
    from tests.unit.native_server.harness import Plane

GOOD = service("ok", deploy={"update_config": {"monitor": "1s"}})


def spoil(plane: Plane, name: str) -> None:
    """Put a body on the disk that no server of this version would have taken."""
    body = json.dumps({"command": ["ok"], "deploy": {"replicas": "many"}})
    sql = "UPDATE resources SET body = ? WHERE name = ?"
    plane.store.run(lambda line: line.execute(sql, (body, name))).result()
    plane.crash()


class Fussy:
    """Raises from the agent's own methods for one unit, as a defect of it would."""

    def __init__(self, plane: Plane, unit: str) -> None:
        self.calls = 0
        self.mended = False
        agent, assign = plane.agent, plane.agent.assign

        def fussy(allocations: Sequence[Allocation]) -> None:
            if not self.mended and any(a.unit == unit for a in allocations):
                self.calls += 1
                raise RuntimeError("canary-9c1d")
            assign(allocations)

        agent.assign = fussy  # type: ignore[method-assign]


def test_a_body_that_cannot_be_read_is_named_and_the_others_converge(plane: Plane) -> None:
    plane.put("bad", GOOD)
    plane.run(5)
    spoil(plane, "bad")
    plane.put("web", GOOD)
    plane.run(5)
    assert plane.rollout("web").phase is RolloutPhase.HEALTHY
    assert plane.status("web")["healthy"]
    seen = plane.status("bad")
    assert not seen["healthy"]
    assert (seen["ready"], len(seen["replicas"])) == (1, 1)
    assert "fails as it is reconciled: deploy.replicas" in seen["message"]
    assert "deploy.replicas" in plane.why("bad")[0]
    assert plane.rollout("bad").phase is RolloutPhase.PROGRESSING
    assert plane.live("bad")


def test_the_pauses_between_attempts_grow(plane: Plane) -> None:
    plane.put("bad", GOOD)
    plane.run(5)
    spoil(plane, "bad")
    seen = []
    for _ in range(300):
        plane.run(1)
        seen.append(plane.status("bad")["message"])
    attempts = len(set(seen))
    assert 300 / LONGEST_PAUSE <= attempts <= 12
    assert FIRST_PAUSE < LONGEST_PAUSE


def test_a_new_body_is_tried_at_once_and_ends_the_fault(plane: Plane) -> None:
    plane.put("bad", GOOD)
    plane.run(5)
    spoil(plane, "bad")
    plane.run(100)
    plane.put("bad", service("ok", "2", deploy=GOOD["deploy"]), revision=2)
    plane.run(4)
    assert plane.rollout("bad").phase is RolloutPhase.HEALTHY
    assert plane.status("bad")["healthy"]
    assert plane.commands("bad") == ["ok 2"]


@pytest.mark.parametrize("kind", ["service", "job"])
def test_what_cannot_be_read_can_still_be_removed(plane: Plane, kind: str) -> None:
    plane.put("bad", {"command": ["ok"]}, kind)
    plane.run(5)
    spoil(plane, "bad")
    plane.run(1)
    plane.delete("bad", kind)
    plane.run(10)
    assert plane.rollout("bad", kind).phase is RolloutPhase.GONE
    assert plane.agent.tasks == {}


def test_what_the_agent_fails_at_waits_and_the_others_get_through(plane: Plane) -> None:
    fussy = Fussy(plane, "bad")
    plane.put("first", GOOD)
    plane.put("bad", GOOD)
    plane.put("last", GOOD)
    plane.run(5)
    for name in ("first", "last"):
        assert plane.status(name)["healthy"]
    told = plane.status("bad")["message"]
    assert "handed to its node: RuntimeError in test_faults.py" in told
    assert "canary" not in told
    plane.run(60)
    assert fussy.calls < 30
    started = list(plane.agent.started)
    assert len(started) == 2, "what runs was not touched"
    fussy.mended = True
    plane.run(LONGEST_PAUSE)
    assert plane.status("bad")["healthy"]
    assert plane.agent.started[:2] == started


def test_a_new_server_leaves_what_runs_though_the_agent_fails_at_one(plane: Plane) -> None:
    plane.put("web", GOOD)
    plane.run(5)
    Fussy(plane, "bad")
    plane.put("bad", GOOD)
    plane.run(2)
    started = list(plane.agent.started)
    plane.crash()
    plane.run(5)
    assert plane.agent.started == started
    assert plane.status("web")["healthy"]
    assert "handed to its node" in plane.status("bad")["message"]


def test_what_no_node_ever_took_can_be_removed(plane: Plane) -> None:
    Fussy(plane, "bad")
    plane.put("bad", GOOD)
    plane.run(5)
    plane.delete("bad")
    plane.run(10)
    assert plane.rollout("bad").phase is RolloutPhase.GONE


def test_a_volume_that_cannot_be_removed_holds_up_no_other(plane: Plane) -> None:
    remove = plane.agent.remove_volume
    broken = True

    def stuck(name: str) -> None:
        if broken and name.endswith("one"):
            raise OSError(16, "device or resource busy")
        remove(name)

    plane.agent.remove_volume = stuck  # type: ignore[method-assign]
    for name in ("one", "two"):
        plane.put(name, {}, "volume")
    for name in ("one", "two"):
        plane.delete(name, "volume")
    plane.run(3)
    assert plane.rollout("two", "volume").phase is RolloutPhase.GONE
    assert "fails as it is removed" in plane.rollout("one", "volume").message
    broken = False
    plane.run(10)
    assert plane.rollout("one", "volume").phase is RolloutPhase.GONE


def test_an_observation_that_cannot_be_written_holds_up_no_other(plane: Plane) -> None:
    for name in ("bad", "web"):
        plane.put(name, GOOD)
    plane.run(5)
    (bad,), (web,) = plane.allocs("bad"), plane.allocs("web")
    odd: Any = {"8080/tcp": object()}
    plane.agent.report(
        [
            Observation(bad.id, State.RUNNING, ready=True, ports=odd),
            Observation(web.id, State.RUNNING, message="slow down"),
        ]
    )
    plane.run(1)
    assert plane.allocs("web")[0].message == "slow down"
    assert "fails as it is observed" in plane.status("bad")["message"]
    plane.agent.report([Observation(bad.id, State.RUNNING, ready=True)])
    plane.run(1)
    assert plane.status("bad")["healthy"]


def test_a_route_that_cannot_be_read_leaves_all_other_ways_in(plane: Plane) -> None:
    plane.put("web", GOOD)
    for name in ("one", "two"):
        route = {"service": "web", "port": 8080, "host": f"{name}.example"}
        plane.put(name, route, "route")
    plane.run(5)
    sql = "UPDATE resources SET body = '{}' WHERE kind = 'route' AND name = 'one'"
    plane.store.run(lambda line: line.execute(sql)).result()
    plane.crash()
    plane.run(5)
    entry = next(entry for entry in plane.agent.routing.entries if entry.routes)
    assert [route["host"] for route in entry.routes] == ["two.example"]
    row = plane.ask(lambda r: r.world.find(Key(SHOP, "route", "one")))
    assert row is not None
    assert "routed: KeyError" in plane.controller._world.faults.of(row.uid)


@pytest.mark.parametrize("kind", ["service", "job"])
def test_the_list_of_resources_tells_a_fault_and_raises_none(plane: Plane, kind: str) -> None:
    plane.put("bad", {"command": ["ok"]}, kind)
    plane.run(2)
    sql = "UPDATE resources SET body = '{\"command\": 7}' WHERE name = 'bad'"
    plane.store.run(lambda line: line.execute(sql)).result()
    plane.crash()
    plane.run(2)
    seen = plane.ask(lambda r: sights.find(r.world, Key(SHOP, kind, "bad")))
    assert seen is not None
    assert "command" in seen.failed
