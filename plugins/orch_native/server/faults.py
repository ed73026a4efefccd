"""What went wrong with single resources, and when each is tried again.

A fault of one resource (a defect of ours, a body that can't be read, an agent that fails at it)
is noted here and holds up nobody else. Kept in memory alone: a new server tries everything again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from sqlite3 import OperationalError as DiskFault
from traceback import extract_tb
from typing import TYPE_CHECKING

from pydantic import ValidationError

from orch.errors import OrchError

if TYPE_CHECKING:
    from logging import Logger

    from orch_native.server.model import ResourceRow

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""The pauses between two attempts at one resource, in seconds; each is twice the one before."""


class Work(StrEnum):
    """What was being done for the resource."""

    OBSERVED = "observed"
    RECONCILED = "reconciled"
    PLACED = "placed"
    HANDED_OVER = "handed to its node"
    ROUTED = "routed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Fault:
    """A resource as it was when work on it failed, for the `times`th time in a row."""

    row: ResourceRow
    told: str
    times: int
    until: float


class Faults:
    """The faults that stand now, by resource and work."""

    def __init__(self) -> None:
        self._standing: dict[tuple[str, Work], Fault] = {}

    def note(self, row: ResourceRow, work: Work, fault: BaseException, now: float) -> None:
        """Remember a fault; the resource is left alone for a pause that grows each time.

        Nothing is tried again by itself where an observation could not be taken over.
        """
        last = self._standing.get((row.uid, work))
        times = last.times + 1 if last is not None and last.row == row else 1
        until = float("inf") if work is Work.OBSERVED else now + pause_after(times)
        self._standing[row.uid, work] = Fault(row, words_of(fault), times, until)

    def forget(self, uid: str) -> None:
        """Drop all of a resource that has gone."""
        for work in Work:
            self.clear(uid, work)

    def clear(self, uid: str, work: Work) -> None:
        """Note that it went well."""
        self._standing.pop((uid, work), None)

    def held_until(self, row: ResourceRow, work: Work) -> float:
        """Until when it is left alone; 0 for a resource without a fault, or changed since."""
        fault = self._standing.get((row.uid, work))
        return fault.until if fault is not None and fault.row == row else 0.0

    @property
    def next_due(self) -> float:
        """When something is to be tried again."""
        return min((fault.until for fault in self._standing.values()), default=float("inf"))

    def forget_due(self, now: float) -> None:
        """Drop what came due and was not noted anew: there was nothing left to try."""
        for key, fault in tuple(self._standing.items()):
            if fault.until <= now:
                del self._standing[key]

    def of(self, uid: str) -> str:
        """What stands against a resource, empty when nothing does."""
        return "; ".join(
            f"the server fails as it is {work}: {fault.told} ({_times(fault.times)})"
            for (owner, work), fault in self._standing.items()
            if owner == uid
        )


def pause_after(times: int, longest: float = LONGEST_PAUSE) -> float:
    """How long to wait after so many failures in a row, in seconds."""
    return min(FIRST_PAUSE * (1 << min(times - 1, 16)), longest)


def report(log: Logger, what: str, fault: BaseException) -> None:
    """Log a fault: in a line what the host or a user can mend, with its traceback a defect."""
    if isinstance(fault, OrchError | OSError | DiskFault):
        log.warning("%s: %s", what, fault)
    else:
        log.error("%s", what, exc_info=fault)


def _times(times: int) -> str:
    return "once" if times == 1 else f"{times} times in a row"


def words_of(fault: BaseException) -> str:
    """A fault in words. The text of a foreign one may hold a secret: its place is told instead."""
    if isinstance(fault, OrchError):
        return fault.fault
    if isinstance(fault, ValidationError):
        return "; ".join(".".join(map(str, e["loc"])) + ": " + e["msg"] for e in fault.errors())
    frames = extract_tb(fault.__traceback__)
    where = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(fault).__name__}{where}; its daemon.log tells more"
