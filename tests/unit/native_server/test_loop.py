"""The control loop when who asked has gone, and when the disk refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orch.errors import OrchError
from orch_native.messages import Observation, State
from orch_native.server.faults import Work
from tests.unit.native_server.harness import service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.native_server.harness import Plane


@pytest.fixture
def full(plane: Plane) -> Iterator[Plane]:
    """A plane whose store takes no observations more, until it is told otherwise."""
    plane.put("web", service("ok"))
    plane.run(10)
    plane.store.run(
        lambda line: line.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON allocations BEGIN"
            " SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    ).result()
    return plane


def seen(plane: Plane, state: State, *, ready: bool) -> Observation:
    (alloc,) = plane.allocs()
    return Observation(alloc.id, state, ready=ready, started=ready, since=plane.now)


def test_who_went_away_is_not_answered_and_the_others_are(plane: Plane) -> None:
    done = []
    first = plane.controller.ask(lambda r: done.append("first"))
    gone = plane.controller.ask(lambda r: done.append("gone"))
    last = plane.controller.ask(lambda r: done.append("last"))
    assert gone.cancel()
    plane.turn()
    assert first.done()
    assert last.done()
    assert done == ["first", "last"]


def test_what_could_not_be_written_is_never_taken_for_newer_than_what_came_later(
    full: Plane,
) -> None:
    (alloc,) = full.allocs()
    assert alloc.serving
    full.controller._inbox.put([seen(full, State.STARTING, ready=False)])
    full.turn()
    full.store.run(lambda line: line.execute("DROP TRIGGER full")).result()
    full.controller._inbox.put([seen(full, State.RUNNING, ready=True)])
    full.run(10)
    (alloc,) = full.allocs()
    assert (alloc.state, alloc.ready) == (State.RUNNING, True)


def test_what_could_not_be_written_is_written_later(full: Plane) -> None:
    full.controller._inbox.put([seen(full, State.RUNNING, ready=False)])
    asked = full.controller.ask(lambda _: "answer")
    full.turn()
    with pytest.raises(OrchError, match="disk is full"):
        asked.result(timeout=0)
    assert full.allocs()[0].ready
    full.store.run(lambda line: line.execute("DROP TRIGGER full")).result()
    full.turn()
    assert not full.allocs()[0].ready


def test_a_disk_that_stays_full_is_tried_with_growing_pauses_and_told_in_lines(
    full: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    controller = full.controller
    controller._world.faults.note(
        next(iter(controller._world.resources.values())), Work.PLACED, OSError("x"), full.now - 5
    )
    controller._inbox.put([seen(full, State.RUNNING, ready=False)])
    turns = 0
    start = full.now
    while full.now < start + 100:
        full.turn()
        turns += 1
        full.now = max(controller._due, full.now + 0.001)
    assert turns < 12
    assert "database or disk is full" in caplog.text
    assert "Traceback" not in caplog.text
    full.store.run(lambda line: line.execute("DROP TRIGGER full")).result()
    full.now = controller._due
    full.turn()
    assert not full.allocs()[0].ready
    assert controller._failures == 0
