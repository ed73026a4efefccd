"""What happens, as it happens: lines of text, lines of JSON, or a live table on a terminal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from orch.cli.render import machine
from orch.cli.render.lines import LineView
from orch.cli.render.out import ReaderGone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch.cli.render.out import Out
    from orch.types import Action, Event


class View(Protocol):
    """Shows events from any thread between `start` and `stop`."""

    def start(self) -> None: ...
    def on_event(self, event: Event) -> None: ...
    def say(self, text: str) -> None:
        """Tell something beside the events, without breaking what is drawn."""
        ...

    def stop(self) -> None: ...


def view_for(out: Out, form: str, actions: Sequence[Action]) -> View:
    """The view that fits the output: a terminal, a pipe, or a program that reads events."""
    if form == "stream":
        return JsonView(out)
    if out.rich_progress:
        from orch.cli.render.live import LiveView

        return LiveView(out, actions)
    return LineView(out, actions)


class JsonView:
    """One line of JSON an event on stdout."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._gone = False

    def start(self) -> None: ...

    def on_event(self, event: Event) -> None:
        """Write it; when nobody reads any more the work itself goes on."""
        with self._lock:
            if not self._gone:
                try:
                    self._out.json_line(machine.event(event))
                except ReaderGone:
                    self._gone = True

    def say(self, text: str) -> None:
        self._out.say(text)

    def stop(self) -> None: ...
