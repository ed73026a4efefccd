"""What happens, told to a log: when each service begins and ends, and what it waits for long."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orch.cli.render.event import progress_text
from orch.cli.render.report import printable
from orch.cli.render.values import lasted
from orch.types import EventKind, Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orch.cli.render.out import Out
    from orch.types import Action, Event

FIRST_WAIT = 10.0
"""Seconds without an end before a resource is told to be waited for."""
LONGEST_WAIT = 60.0
"""Seconds between two such lines at the most: a log that is silent for long looks like a hang."""
_TICK = 0.5
_LEAST_TOLD = 1.0
_ENDS = {
    EventKind.HEALTHY: "healthy",
    EventKind.FAILED: "failed",
    EventKind.TIMED_OUT: "timed out",
}
_BAD = (_ENDS[EventKind.FAILED], _ENDS[EventKind.TIMED_OUT])
_BACK = "back at the last good release"
_DONE = {
    Operation.CREATE: "created",
    Operation.ADOPT: "adopted",
    Operation.UPDATE: "updated",
    Operation.REPLACE: "replaced",
    Operation.DELETE: "deleted",
    Operation.RESTART: "restarted",
    Operation.RETRY: "tried again",
}


@dataclass(slots=True)
class _Row:
    """A resource under way: since when, how it stands, and when it is told to be waited for."""

    began: float
    due: float
    pause: float = FIRST_WAIT
    open: bool = True
    figures: str = ""
    message: str = ""
    said: set[str] = field(default_factory=set)


class LineView:
    """Lines on stderr for a pipe: each resource's begin and end, long waits, warnings, failures."""

    def __init__(
        self, out: Out, actions: Sequence[Action], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._out, self._now = out, now
        self._actions = {action.id: action for action in actions}
        self._rows: dict[str, _Row] = {}
        self._ends: dict[str, str] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._began = now()
        self._ticking = threading.Thread(target=self._tick_on, name="waits", daemon=True)

    def start(self) -> None:
        self._began = self._now()
        self._ticking.start()

    def stop(self) -> None:
        """End, with a count of how the services ended."""
        self._over.set()
        if self._ticking.is_alive():
            self._ticking.join()
        if self._actions and self._ends:
            counts = Counter(self._ends.values())
            told = ", ".join(f"{counts[word]} {word}" for word in dict.fromkeys(counts))
            self._out.say(f"{told} in {lasted(self._now() - self._began)}")

    def say(self, text: str) -> None:
        self._out.say(text)

    def on_event(self, event: Event) -> None:
        with self._lock:
            text = self._text(event)
            if text:
                self._out.say(f"{event.id}: {text}" if event.id else text)

    def tick(self) -> None:
        """Tell what has been waited for since long."""
        with self._lock:
            now = self._now()
            for id_, row in self._rows.items():
                if row.open and now >= row.due:
                    row.pause = min(2 * row.pause, LONGEST_WAIT)
                    row.due = now + row.pause
                    why = "; ".join(part for part in (row.figures, row.message) if part)
                    waited = lasted(now - row.began)
                    self._out.say(f"{id_}: not done after {waited}" + (f": {why}" if why else ""))

    def _tick_on(self) -> None:
        while not self._over.wait(_TICK):
            self.tick()

    # -- events ----------------------------------------------------------------------------

    def _text(self, event: Event) -> str:
        """What there is to say of an event, empty for what only goes on."""
        now, message = self._now(), printable(event.message)
        if event.kind is EventKind.STARTED or event.id not in self._rows:
            self._rows[event.id] = _Row(now, now + FIRST_WAIT, open=bool(event.id))
        row = self._rows[event.id]
        row.figures = progress_text(event) or row.figures
        row.message = message
        match event.kind:
            case EventKind.STARTED:
                return message if self._is_long(event.id) else ""
            case EventKind.PROGRESS:
                return _once(row, message if event.data.get("reason") else "")
            case EventKind.WARNING:
                return _once(row, f"warning: {message}")
            case EventKind.APPLIED:
                return self._applied(event.id, row)
            case EventKind.SKIPPED:
                row.open = False
                return f"skipped: {message}"
        return self._ended(event, row)

    def _is_long(self, id_: str) -> bool:
        """Whether its beginning is worth a line of its own."""
        action = self._actions.get(id_)
        return action is None or action.rollout

    def _applied(self, id_: str, row: _Row) -> str:
        """The end of a step without a rollout; one with a rollout goes on to be healthy."""
        action = self._actions.get(id_)
        if action is not None and action.rollout and action.operation is not Operation.DELETE:
            return ""
        row.open = False
        word = _DONE.get(action.operation, "done") if action is not None else "done"
        if action is not None and action.rollout:
            self._ends[id_] = word
        return word + self._after(row)

    def _ended(self, event: Event, row: _Row) -> str:
        row.open = False
        failed = self._ends.get(event.id) in _BAD
        word = _BACK if failed and event.kind is EventKind.HEALTHY else _ENDS[event.kind]
        self._ends[event.id] = word
        reason = printable(str(event.data.get("reason", "")))
        told = [row.message, reason if reason not in row.message else ""]
        why = ": ".join(part for part in (row.figures, *(told if word != _BACK else ())) if part)
        said = _once(row, f"{word}: {why}" if why else word)
        return said.replace(word, word + self._after(row), 1)

    def _after(self, row: _Row) -> str:
        spent = self._now() - row.began
        return f" after {lasted(spent)}" if spent >= _LEAST_TOLD else ""


def _once(row: _Row, text: str) -> str:
    """The text, empty when it was said of this resource already."""
    if text in row.said:
        return ""
    row.said.add(text)
    return text
