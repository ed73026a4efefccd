"""The agent's memory of each allocation: written before every act, read by the next agent."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from orch_native.messages import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FINAL = frozenset({State.COMPLETED, State.FAILED, State.STOPPED})


@dataclass(slots=True)
class Record:
    """What was done for an allocation; it holds names and figures, never contents.

    `attempts` counts starts per handle, written before the start. `handled` holds per handle the
    attempt whose end was already acted upon, so that one end is never counted twice.
    """

    id: str
    driver: str = ""
    handles: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)
    handled: dict[str, int] = field(default_factory=dict)
    inits_done: int = 0
    restarts: int = 0
    streak: int = 0
    next_start: float = 0.0
    began: float = 0.0
    hooked: int = 0
    ready: bool = False
    started: bool = False
    grace: float = 10.0
    stop_signal: str = "SIGTERM"
    state: str = State.PENDING
    exit_code: int | None = None
    message: str = ""
    since: float = 0.0
    ended: float = 0.0

    @property
    def final(self) -> bool:
        """Whether it has ended for good."""
        return State(self.state) in FINAL


class Records:
    """A folder with one small JSON file for each allocation."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for unfinished in folder.glob("*.new"):
            unfinished.unlink()  # an agent was killed as it wrote; what it replaced is whole
        self._folder = folder
        self._lock = threading.Lock()

    def _path(self, id: str) -> Path:
        return self._folder / f"{id.encode().hex()}.json"

    def save(self, record: Record) -> None:
        """Replace the file at once: a kill leaves the old one or the new one."""
        path = self._path(record.id)
        fresh = path.with_suffix(".new")
        with self._lock:
            fresh.write_text(json.dumps(asdict(record)))
            os.replace(fresh, path)  # noqa: PTH105  (one system call, said as such)

    def load(self, id: str) -> Record | None:
        """What is known of an allocation, None when nothing is."""
        try:
            return _record(json.loads(self._path(id).read_text()))
        except (OSError, ValueError):
            return None

    def forget(self, id: str) -> None:
        """Remove what is known."""
        self._path(id).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[Record]:
        for path in sorted(self._folder.glob("*.json")):
            try:
                yield _record(json.loads(path.read_text()))
            except (OSError, ValueError):
                continue


def _record(raw: dict[str, Any]) -> Record:
    known = {f.name for f in fields(Record)}
    return Record(**{key: value for key, value in raw.items() if key in known})
