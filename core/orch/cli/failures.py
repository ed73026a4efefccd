"""Why a rollout failed: the last lines that the failed replicas printed, read before rollback."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from orch.backend.contract import LogQuery, SupportsLogs
from orch.errors import OrchError
from orch.types import EventKind

if TYPE_CHECKING:
    from orch.backend.contract import Backend
    from orch.cli.connect import Connection
    from orch.types import Event, LogLine

_TAIL = 10
_MOST = 200


class Failures:
    """Collects, as events pass, what failed and what it printed last."""

    def __init__(self, connection: Connection) -> None:
        self._backend: Backend = connection.backend
        self._instance = connection.instance
        self._session = connection.session
        self._lock = threading.Lock()
        self.logs: dict[str, list[LogLine]] = {}
        self.reasons: dict[str, str] = {}

    def on_event(self, event: Event) -> None:
        """Read the logs of a service that failed now: a rollback may soon remove its replicas."""
        if event.kind not in (EventKind.FAILED, EventKind.TIMED_OUT):
            return
        lines = self._last_lines(event)
        with self._lock:
            self.reasons.setdefault(event.id, event.message)
            self.logs.setdefault(event.id, lines)

    def _last_lines(self, event: Event) -> list[LogLine]:
        kind, _, service = event.id.partition("/")
        if kind not in ("service", "job") or not isinstance(self._backend, SupportsLogs):
            return []
        failed = event.data.get("replicas", ())
        replicas = tuple(map(str, failed)) if isinstance(failed, tuple) else ()
        query = LogQuery((service,), replicas, tail=_TAIL)
        try:
            lines = list(islice(self._backend.logs(self._instance, query), _MOST))
        except (OrchError, OSError, RuntimeError):
            return []  # the failure itself is told; that its logs can't be read must not hide it
        shown = _of_one_replica(lines)
        return [replace(row, text=self._session.redacted(row.text)) for row in shown]


def _of_one_replica(lines: list[LogLine]) -> list[LogLine]:
    """Lines of the replica that printed last: replicas of a bad update fail alike."""
    last = max(lines, key=lambda line: line.time, default=None)
    if last is None:
        return []
    return [line for line in lines if line.replica == last.replica][-_TAIL:]
