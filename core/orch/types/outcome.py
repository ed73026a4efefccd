"""What happens while a plan is applied, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY

if TYPE_CHECKING:
    from collections.abc import Mapping


class EventKind(StrEnum):
    """What an event tells; the last four end an action."""

    STARTED = "started"
    PROGRESS = "progress"
    WARNING = "warning"
    APPLIED = "applied"
    HEALTHY = "healthy"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a resource; `time` is seconds since the epoch, 0 when unset.

    For a rollout `data` holds `wanted`, `ready`, `updated` and may hold `reason`.
    """

    kind: EventKind
    id: str
    message: str = ""
    time: float = 0.0
    data: Mapping[str, Any] = EMPTY


class Verdict(StrEnum):
    """How a deploy ended."""

    DONE = "done"
    UNCHANGED = "unchanged"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a deploy: what was done, what was not, and why.

    `unreachable` tells that all that failed is the connection to the target.
    """

    verdict: Verdict
    revision: int
    done: tuple[str, ...] = ()
    failed: Mapping[str, str] = EMPTY
    not_started: tuple[str, ...] = ()
    message: str = ""
    unreachable: bool = False

    @property
    def exit_code(self) -> int:
        """0 done, 5 rolled back, 6 failed, 7 timed out, 9 cut off, 130 interrupted."""
        codes = {
            Verdict.ROLLED_BACK: 5,
            Verdict.FAILED: 9 if self.unreachable else 6,
            Verdict.TIMED_OUT: 7,
            Verdict.INTERRUPTED: 130,
        }
        return codes.get(self.verdict, 0)
