"""An event in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.cli.render.report import printable
from orch.types import EventKind

if TYPE_CHECKING:
    from orch.types import Event

_WORDS = {
    EventKind.STARTED: "started",
    EventKind.PROGRESS: "",
    EventKind.WARNING: "warning",
    EventKind.APPLIED: "applied",
    EventKind.HEALTHY: "healthy",
    EventKind.FAILED: "failed",
    EventKind.TIMED_OUT: "timed out",
    EventKind.SKIPPED: "skipped",
}


def event_text(event: Event) -> str:
    """An event on one line: resource, what happened, how far it is."""
    parts = [_WORDS[event.kind], progress_text(event), printable(event.message)]
    said = ": ".join(dict.fromkeys(part for part in parts if part)) or event.kind.value
    return f"{event.id}: {said}" if event.id else said


def progress_text(event: Event) -> str:
    """`2/3 ready, 1 updated`, empty for an event that counts nothing."""
    if "wanted" not in event.data:
        return ""
    text = f"{event.data.get('ready', 0)}/{event.data['wanted']} ready"
    updated = event.data.get("updated")
    return f"{text}, {updated} updated" if updated is not None else text
