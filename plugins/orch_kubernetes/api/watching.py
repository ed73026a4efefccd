"""Collections that are watched: what is there now, and a sign when it changes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch.errors import Denied, OrchError
from orch_kubernetes.api.faults import Expired

if TYPE_CHECKING:
    from orch_kubernetes.api.client import KubernetesClient

Row = dict[str, Any]
_PAUSE = 0.5
_LONGEST = 5.0
PATIENCE = 30.0
"""How long a collection may be out of sight before whoever waits for it is told."""


@dataclass
class Watched:
    """One collection of a namespace, kept up to date by a thread of its own.

    A list is followed by a watch; where that is cut, denied or too late, by another list.
    """

    client: KubernetesClient
    path: str
    selector: str
    kind: str = ""
    _rows: dict[str, Row] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _version: str = ""
    _count: int = 0
    _fault: OrchError | None = None
    _seen: float = 0.0
    _closed: bool = False
    _thread: threading.Thread | None = None

    def rows(self) -> list[Row]:
        """What is there. Raises what stands against seeing it."""
        self._begin()
        with self._changed:
            self._changed.wait_for(lambda: self._seen or self._fault or self._closed, PATIENCE)
            if self._fault is not None and time.monotonic() - self._seen > PATIENCE:
                raise self._fault
            return list(self._rows.values())

    def mark(self) -> int:
        """A number that is greater after each change."""
        return self._count

    def wait(self, mark: int, seconds: float) -> None:
        """Until something changed since a mark, or for so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._count != mark or self._closed, seconds)

    def close(self) -> None:
        """Watch no longer; its thread ends once the client's streams do."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def join(self) -> None:
        """Until its thread has ended."""
        if self._thread is not None:
            self._thread.join(_LONGEST)

    def _begin(self) -> None:
        with self._changed:
            if self._thread is None:
                name = f"watch {self.path}"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = _PAUSE
        while not self._closed:
            try:
                self._list()
                pause = _PAUSE
                self._follow()
            except Expired:
                continue
            except OrchError as fault:
                self._note(fault)
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, pause)
                pause = min(pause * 2, _LONGEST)

    def _note(self, fault: OrchError) -> None:
        with self._changed:
            self._fault = fault
            if isinstance(fault, Denied) and not self._seen:
                self._count += 1
            self._changed.notify_all()

    def _list(self) -> None:
        query = {"labelSelector": self.selector} if self.selector else {}
        found = self.client.get(self.path, **query)
        with self._changed:
            self._rows = {_key(row): self._typed(row) for row in found.get("items") or ()}
            self._version = str((found.get("metadata") or {}).get("resourceVersion", ""))
            self._fault = None
            self._told()

    def _typed(self, row: Row) -> Row:
        return {"kind": self.kind, **row} if self.kind else row

    def _told(self) -> None:
        self._seen = time.monotonic()
        self._count += 1
        self._changed.notify_all()

    def _follow(self) -> None:
        query = {"labelSelector": self.selector} if self.selector else {}
        while not self._closed:
            for event in self.client.watch(self.path, self._version, **query):
                self._take(event)

    def _take(self, event: Row) -> None:
        row = event.get("object") or {}
        with self._changed:
            self._version = str((row.get("metadata") or {}).get("resourceVersion", self._version))
            if event["type"] == "BOOKMARK":
                self._seen = time.monotonic()
                return
            if event["type"] == "DELETED":
                self._rows.pop(_key(row), None)
            else:
                self._rows[_key(row)] = self._typed(row)
            self._told()


def _key(row: Row) -> str:
    return str(row["metadata"].get("uid") or row["metadata"]["name"])
