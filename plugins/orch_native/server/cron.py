"""When a schedule fires. Pure: the last moment dealt with and the time come in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_MISSED = 10_000
_RECENT = 3600.0


@dataclass(frozen=True, slots=True)
class Due:
    """The latest moment that has come (None: none), how many before it were missed, the next."""

    moment: float | None
    missed: int
    following: float | None


def due(schedule: str, time_zone: str, last: float, now: float) -> Due:
    """What came due after `last` and not after `now`; times are seconds since the epoch.

    After a time without a server only the latest moment counts: at most one run is made up for.
    Raises ValueError for a schedule that is not valid.
    """
    latest: float | None = None
    passed = 0
    for moment in _moments(schedule, time_zone, last):
        if moment > now:
            return Due(latest, max(passed - 1, 0), moment)
        latest, passed = moment, passed + 1
        if passed >= _MOST_MISSED:
            return due(schedule, time_zone, now - _RECENT, now)
    return Due(latest, max(passed - 1, 0), None)


def _moments(schedule: str, time_zone: str, after: float) -> Iterator[float]:
    start = datetime.fromtimestamp(after, UTC).astimezone(ZoneInfo(time_zone))
    try:
        for moment in CronSim(schedule, start):
            yield moment.timestamp()
    except Exception as fault:
        if type(fault).__name__ == "CronSimError":
            raise ValueError(f"{schedule!r} is not a cron expression: {fault}") from None
        raise


def check(schedule: str, time_zone: str) -> None:
    """Raises ValueError when the expression or the zone is not valid."""
    try:
        ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{time_zone!r} is not a time zone that this host knows") from None
    next(_moments(schedule, time_zone, 0.0), None)
