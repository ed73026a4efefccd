"""The live table of a rollout on a terminal: a row a resource."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from orch.cli.render.plan import SIGNS
from orch.cli.render.report import STYLES, printable
from orch.cli.render.terminal import console
from orch.cli.render.values import since
from orch.types import EventKind, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from orch.cli.render.out import Out
    from orch.types import Action, Event

_ENDED = {
    EventKind.HEALTHY: ("✓", "good"),
    EventKind.APPLIED: ("✓", "good"),
    EventKind.FAILED: ("✗", "bad"),
    EventKind.TIMED_OUT: ("✗", "bad"),
    EventKind.SKIPPED: ("–", "dim"),
}
_BAD = (EventKind.FAILED, EventKind.TIMED_OUT)
_MARGIN = 4
_NARROW = 70


@dataclass(slots=True)
class _Row:
    action: Action
    kind: EventKind | None = None
    message: str = ""
    ready: str = ""
    updated: str = ""
    began: float = 0.0
    ended: float = 0.0
    failed: bool = False

    @property
    def is_over(self) -> bool:
        """APPLIED ends a step without a rollout; one with a rollout goes on to be healthy."""
        if self.kind is EventKind.APPLIED:
            return not self.action.rollout
        return self.kind in _ENDED

    def elapsed(self, now: float) -> str:
        return since((self.ended or now) - self.began) if self.began else ""


class LiveView:
    """Draws on stderr; what it drew last stays when it stops."""

    def __init__(self, out: Out, actions: Sequence[Action]) -> None:
        self._actions = {action.id: action for action in actions}
        changing = [action for action in actions if action.operation is not Operation.NOOP]
        self._rows = {action.id: _Row(action) for action in changing}
        self._lock = threading.Lock()
        self._console = console(out.stderr, color=out.colored(out.stderr))
        self._spinner = Spinner("dots", style=STYLES["name"])
        self._live = Live(
            console=self._console, get_renderable=self._draw, refresh_per_second=8, transient=False
        )

    def start(self) -> None:
        if self._actions:
            self._live.start()

    def stop(self) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """Print above the table."""
        self._console.print(Text(text))

    def on_event(self, event: Event) -> None:
        with self._lock:
            row = self._row(event.id)
            if row is not None:
                _follow(row, event, time.monotonic())
        if row is None and event.message:
            self.say(printable(f"{event.id}: {event.message}" if event.id else event.message))

    def _row(self, id_: str) -> _Row | None:
        """The row of a resource; one that does not change gets its row when it is heard of."""
        if id_ in self._actions:
            return self._rows.setdefault(id_, _Row(self._actions[id_]))
        return None

    def _draw(self) -> RenderableType:
        with self._lock:
            rows = sorted(self._rows.values(), key=_urgency)
        room = max(self._console.height - _MARGIN, 3)
        if len(rows) <= room:
            return self._table(list(self._rows.values()), "")
        hidden = rows[room:]
        done = sum(row.is_over for row in hidden)
        return self._table(rows[:room], f"… {done} more done, {len(hidden) - done} more waiting")

    def _table(self, rows: list[_Row], footer: str) -> Table:
        wide = self._console.width >= _NARROW
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        table.add_column("", width=1)
        table.add_column("RESOURCE", no_wrap=True, overflow="ellipsis")
        table.add_column("READY", no_wrap=True)
        if wide:
            table.add_column("UPDATED", no_wrap=True)
            table.add_column("TIME", no_wrap=True)
        table.add_column("STATE", no_wrap=not wide, overflow="ellipsis", ratio=1)
        now = time.monotonic()
        for row in rows:
            middle = [row.updated, row.elapsed(now)] if wide else []
            cells = [self._mark(row), _name(row), row.ready, *middle, _state(row)]
            table.add_row(*cells)
        if footer:
            table.add_row("", Text(footer, style="dim"))
        return table

    def _mark(self, row: _Row) -> RenderableType:
        if row.kind is None:
            return Text("·", style="dim")
        if not row.is_over:
            return self._spinner
        sign, style = ("↺", "warn") if row.failed and row.kind not in _BAD else _ENDED[row.kind]
        return Text(sign, style=STYLES[style])


def _follow(row: _Row, event: Event, now: float) -> None:
    row.began = row.began or now
    if event.message or event.kind in _ENDED:
        row.message = printable(event.message)
    if event.kind is not EventKind.WARNING:
        row.kind = event.kind
        row.failed = row.failed or event.kind in _BAD
    if "wanted" in event.data:
        row.ready = f"{event.data.get('ready', 0)}/{event.data['wanted']}"
        row.updated = str(event.data.get("updated", ""))
    row.ended = now if row.is_over else 0.0


def _urgency(row: _Row) -> int:
    if row.kind in _BAD:
        return 0
    if row.kind is not None and not row.is_over:
        return 1
    return 3 if row.is_over else 2


def _name(row: _Row) -> Text:
    sign, style = SIGNS[row.action.operation]
    return Text.assemble((f"{sign} ", STYLES[style]), row.action.id)


def _state(row: _Row) -> Text:
    if row.kind is None:
        return Text("waiting", style="dim")
    word = "" if row.kind is EventKind.PROGRESS else row.kind.value
    if row.failed and row.is_over and row.kind not in _BAD:
        word = "back at the last good release"
    said = ": ".join(dict.fromkeys(part for part in (word, row.message) if part))
    return Text(said or "in progress", style=STYLES["bad"] if row.kind in _BAD else "")
