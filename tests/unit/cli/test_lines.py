from __future__ import annotations

from io import StringIO
from typing import Any

from orch.cli.render.lines import LineView
from orch.cli.render.out import Out
from orch.types import Action, Event, EventKind, Operation


class Log:
    """A view on a made-up clock, with the lines that it wrote."""

    def __init__(self, *actions: Action) -> None:
        self.now = 100.0
        self._stream = StringIO()
        out = Out(StringIO(), self._stream, {})
        self.view = LineView(out, actions, now=lambda: self.now)

    def hear(self, kind: EventKind, id_: str, message: str = "", **data: Any) -> None:
        self.view.on_event(Event(kind, id_, message, data=data))

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.view.tick()

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()


def action(id_: str, operation: Operation = Operation.CREATE, *, rollout: bool = True) -> Action:
    kind, _, name = id_.partition("/")
    return Action(operation, id_, kind, name, "", rollout=rollout)


def test_each_service_has_a_line_for_its_begin_and_its_end() -> None:
    log = Log(action("service/web"), action("config/conf", rollout=False))
    log.hear(EventKind.STARTED, "config/conf", "create")
    log.hear(EventKind.APPLIED, "config/conf")
    log.hear(EventKind.STARTED, "service/web", "create")
    log.hear(EventKind.APPLIED, "service/web")
    for state in ("pending", "pulling", "starting", "running"):
        log.hear(EventKind.PROGRESS, "service/web", f"web-0 {state}", wanted=2, ready=0, updated=2)
        log.wait(2)
    log.hear(EventKind.HEALTHY, "service/web", wanted=2, ready=2, updated=2)
    log.view.stop()
    assert log.lines == [
        "config/conf: created",
        "service/web: create",
        "service/web: healthy after 8.0 s: 2/2 ready, 2 updated",
        "1 healthy in 8.0 s",
    ]


def test_a_long_wait_is_told_with_its_reason_and_less_and_less_often() -> None:
    log = Log(action("service/web"))
    log.hear(EventKind.STARTED, "service/web", "create")
    log.hear(EventKind.PROGRESS, "service/web", "web-0 running: readiness: 503", wanted=1, ready=0)
    log.wait(9)
    assert log.lines == ["service/web: create"]
    log.wait(291)
    waits = log.lines[1:]
    assert waits[0] == (
        "service/web: not done after 10.0 s: 0/1 ready; web-0 running: readiness: 503"
    )
    assert [line.split(": ")[1] for line in waits[1:4]] == [
        "not done after 30.0 s",
        "not done after 1 min 10 s",
        "not done after 2 min 10 s",
    ]
    assert len(waits) == 6
    log.hear(EventKind.HEALTHY, "service/web")
    log.wait(100)
    assert len(log.lines) == 8


def test_failures_and_the_way_back_are_told_with_their_reasons_once() -> None:
    log = Log(action("service/web", Operation.UPDATE))
    log.hear(EventKind.STARTED, "service/web", "update")
    for ready in (1, 2):
        told = "web-0 crashed once; rolling back"
        reason = "web-0 crashed once"
        log.hear(EventKind.PROGRESS, "service/web", told, ready=ready, wanted=2, reason=reason)
    log.hear(EventKind.FAILED, "service/web", "rolled back", reason="web-0 crashed once")
    log.hear(EventKind.WARNING, "", "returning to release 1")
    log.hear(EventKind.STARTED, "service/web", "update")
    log.hear(EventKind.HEALTHY, "service/web", "web-0 crashed once", wanted=2, ready=2)
    log.view.stop()
    assert log.lines == [
        "service/web: update",
        "service/web: web-0 crashed once; rolling back",
        "service/web: failed: 2/2 ready: rolled back: web-0 crashed once",
        "warning: returning to release 1",
        "service/web: update",
        "service/web: back at the last good release: 2/2 ready",
        "1 back at the last good release in 0.0 s",
    ]


def test_what_is_removed_or_not_started_is_told() -> None:
    log = Log(action("service/old", Operation.DELETE), action("service/new"))
    log.hear(EventKind.STARTED, "service/old", "delete")
    log.now += 3
    log.hear(EventKind.APPLIED, "service/old")
    log.hear(EventKind.SKIPPED, "service/new", "not started")
    log.wait(60)
    assert log.lines == [
        "service/old: delete",
        "service/old: deleted after 3.0 s",
        "service/new: skipped: not started",
    ]


def test_what_a_workload_prints_cannot_draw_on_the_log() -> None:
    log = Log(action("service/web"))
    log.hear(EventKind.FAILED, "service/web", "\x1b[31mred")
    (line,) = log.lines
    assert "\x1b" not in line
