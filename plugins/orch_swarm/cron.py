"""When jobs with a schedule run, and what becomes of their runs. Pure: the time comes in.

This file is carried to the swarm as it stands, beside `scheduler.py`, and so needs nothing but
Python's standard library. What is to be run, and when, stands in the labels of the jobs.
"""

from __future__ import annotations

import calendar
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Row = dict[str, Any]
LONGEST_NAME = 63
NAMESPACE, APP, ID, NAME = "orch.namespace", "orch.app", "orch.id", "orch.name"
SCHEDULE, CALENDAR, ZONE = "orch.schedule", "orch.calendar", "orch.time-zone"
CONCURRENCY, SUSPEND = "orch.concurrency", "orch.suspend"
STARTING_DEADLINE, TIMEOUT, TTL = "orch.starting-deadline", "orch.timeout", "orch.ttl"
COMPLETIONS, REGISTRY = "orch.completions", "orch.registry"
KEEP_SUCCEEDED, KEEP_FAILED = "orch.history.succeeded", "orch.history.failed"
RUN_OF, RUN_AT, RUN_PHASE, RUN_TOLD = (
    "orch.run-of",
    "orch.run-at",
    "orch.run-phase",
    "orch.run-told",
)
ENDED = ("complete", "shutdown", "failed", "rejected", "remove", "orphaned")
FAILED = ("failed", "rejected", "orphaned")
"""States of tasks."""
RUNNING, SUCCEEDED, SPOILT, STOPPED = "running", "succeeded", "failed", "stopped"
"""Phases of runs."""
_LAST, _LAST_WEEKDAY = -1000, -1001
_FARTHEST = timedelta(days=400)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


# -- the calendar ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Calendar:
    """A cron expression, spread out. Days and weekdays may hold the marks of `L`, `LW` and `#`.

    With `both`, day and weekday must fit, else one of them. A `fixed` time of day keeps to the
    clock on the wall: one that the clock skips comes when it goes on, one that it shows twice
    comes once.
    """

    seconds: Sequence[int]
    minutes: Sequence[int]
    hours: Sequence[int]
    days: Sequence[int]
    months: Sequence[int]
    weekdays: Sequence[Any]
    both: bool
    fixed: bool

    def fits_day(self, day: date) -> bool:
        """Whether anything falls on that day."""
        if day.month not in self.months:
            return False
        number, weekday = self._fits_number(day), self._fits_weekday(day)
        return (number and weekday) if self.both else (number or weekday)

    def _fits_number(self, day: date) -> bool:
        first, last = calendar.monthrange(day.year, day.month)
        weekend = max(0, (first + last - 1) % 7 - 4)
        return (
            day.day in self.days
            or (_LAST in self.days and day.day == last)
            or (_LAST_WEEKDAY in self.days and day.day == last - weekend)
        )

    def _fits_weekday(self, day: date) -> bool:
        nth = (day.day + 6) // 7
        last = day.day + 7 > calendar.monthrange(day.year, day.month)[1]
        for number in {day.isoweekday(), day.isoweekday() % 7}:
            if number in self.weekdays or [number, nth] in self.weekdays:
                return True
            if last and [number, _LAST] in self.weekdays:
                return True
        return False


def latest(when: Calendar, zone: ZoneInfo, after: float, until: float) -> float | None:
    """The last moment that comes after `after` and not after `until`, seconds of the epoch."""
    floor = max(after, until - _FARTHEST.total_seconds())
    walk = _fixed if when.fixed else _flowing
    return next(walk(when, zone, floor, until), None)


def _fixed(when: Calendar, zone: ZoneInfo, floor: float, until: float) -> Iterator[float]:
    """Moments by the clock on the wall, the last one first."""
    day = datetime.fromtimestamp(until, zone).date() + timedelta(days=1)
    first = datetime.fromtimestamp(floor, zone).date() - timedelta(days=1)
    while day >= first:
        for wall in _times_of(when, day) if when.fits_day(day) else ():
            moment = _real(wall, zone)
            if floor < moment <= until:
                yield moment
        day -= timedelta(days=1)


def _times_of(when: Calendar, day: date) -> Iterator[datetime]:
    midnight = datetime.combine(day, clock())
    for hour in sorted(when.hours, reverse=True):
        for minute in sorted(when.minutes, reverse=True):
            for second in sorted(when.seconds, reverse=True):
                yield midnight.replace(hour=hour, minute=minute, second=second)


def _real(wall: datetime, zone: ZoneInfo) -> float:
    """The first time that the clock shows this, or what comes after it when it never does."""
    while True:
        moment = wall.replace(tzinfo=zone)
        if moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall:
            return moment.timestamp()
        wall += timedelta(minutes=1)


def _flowing(when: Calendar, zone: ZoneInfo, floor: float, until: float) -> Iterator[float]:
    """Moments minute by minute, whatever the clock on the wall does, the last one first."""
    minute = until - until % 60
    while minute + 60 > floor:
        local = datetime.fromtimestamp(minute, zone)
        if not when.fits_day(local.date()):
            minute = local.replace(hour=0, minute=0, fold=0).timestamp() - 60
            continue
        if local.hour in when.hours and local.minute in when.minutes:
            for second in sorted(when.seconds, reverse=True):
                if floor < minute + second <= until:
                    yield minute + second
        minute -= 60


# -- jobs and their runs -----------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One run of a job: a service of its own, named after the moment that it stands for."""

    row: Row
    moment: float
    phase: str
    told: str = ""
    ended: float = 0.0

    @property
    def started(self) -> float:
        """When it was made."""
        return seconds_of(self.row["CreatedAt"])

    @property
    def timeout(self) -> str:
        """How long it may take: what its job said when it was made, whatever that says now."""
        return str(self.row["Spec"]["Labels"].get(TIMEOUT, ""))


@dataclass(frozen=True)
class Job:
    """A job with a schedule, as its labels tell it."""

    row: Row

    @property
    def labels(self) -> Mapping[str, str]:
        """All of them."""
        labels: Mapping[str, str] = self.row["Spec"]["Labels"]
        return labels

    @property
    def name(self) -> str:
        """What the spec calls it."""
        return self.labels.get(NAME, "")

    def number(self, label: str, usual: int) -> int:
        """A label that is a whole number."""
        return int(self.labels.get(label) or usual)

    def span(self, label: str) -> float | None:
        """A label that is a duration, in seconds."""
        return span_of(self.labels.get(label) or "")

    def due(self, after: float, now: float) -> float | None:
        """The last moment of its schedule since `after`."""
        when = Calendar(**json.loads(self.labels[CALENDAR]))
        return latest(when, ZoneInfo(self.labels.get(ZONE) or "UTC"), after, now)


@dataclass(frozen=True)
class Step:
    """What is done next: `start` a run, `stop` one, `remove` one, or `skip` a moment."""

    kind: str
    moment: float = 0.0
    run: Run | None = None
    told: str = ""
    phase: str = SPOILT


def decide(job: Job, runs: Sequence[Run], floor: float, now: float) -> Iterator[Step]:
    """What a job needs now; moments up to `floor` are dealt with. Pure."""
    active = [run for run in runs if run.phase == RUNNING]
    for run in active:
        limit = span_of(run.timeout)
        if limit is not None and now - run.started > limit:
            yield Step("stop", run=run, told=f"it took longer than its timeout of {run.timeout}")
    last = max([floor, seconds_of(job.row["UpdatedAt"]), *(run.moment for run in runs)])
    moment = job.due(last, now)
    if moment is not None:
        yield from _fire(job, active, moment, now)
    yield from _history(job, runs, now)


def _fire(job: Job, active: Sequence[Run], moment: float, now: float) -> Iterator[Step]:
    deadline, late = job.span(STARTING_DEADLINE), now - moment
    concurrency = job.labels.get(CONCURRENCY, "allow")
    if job.labels.get(SUSPEND) == "true":
        yield Step("skip", moment, told="it is suspended")
    elif deadline is not None and late > deadline:
        yield Step("skip", moment, told=f"{late:.0f} s late, over its starting_deadline")
    elif active and concurrency == "forbid":
        yield Step("skip", moment, told=f"{name_of(active[-1].row)} still goes on")
    else:
        for run in active if concurrency == "replace" else ():
            yield Step("stop", run=run, told="replaced by the next run", phase=STOPPED)
        yield Step("start", moment)


def _history(job: Job, runs: Sequence[Run], now: float) -> Iterator[Step]:
    """Ended runs beyond the history go, but for the newest: it tells what has been dealt with."""
    newest_first = sorted(runs, key=lambda run: run.moment, reverse=True)
    ended = [run for run in newest_first if run.phase != RUNNING]
    good = [run for run in ended if run.phase == SUCCEEDED]
    bad = [run for run in ended if run.phase != SUCCEEDED]
    surplus = good[job.number(KEEP_SUCCEEDED, 3) :] + bad[job.number(KEEP_FAILED, 1) :]
    ttl = job.span(TTL)
    for run in ended:
        old = ttl is not None and now - run.ended > ttl
        if (run in surplus or old) and run is not newest_first[0]:
            yield Step("remove", run=run)


def run_of(row: Row, tasks: Sequence[Row]) -> Run:
    """A run as its service and tasks show it."""
    labels, job = row["Spec"]["Labels"], row["Spec"]["Mode"].get("ReplicatedJob") or {}
    moment = float(labels.get(RUN_AT) or 0)
    if RUN_PHASE in labels:
        ended = seconds_of(row["UpdatedAt"])
        return Run(row, moment, labels[RUN_PHASE], labels.get(RUN_TOLD, ""), ended)
    newest = max((seconds_of(t["Status"].get("Timestamp", "")) for t in tasks), default=0.0)
    done = sum(t["Status"]["State"] == "complete" for t in tasks)
    if done >= job.get("TotalCompletions", 1):
        return Run(row, moment, SUCCEEDED, "", newest)
    for slot in slots_of(tasks):
        if is_lost(slot):
            return Run(row, moment, SPOILT, slot[-1]["Status"].get("Err") or "", newest)
    return Run(row, moment, RUNNING)


def slots_of(tasks: Sequence[Row]) -> list[list[Row]]:
    """Tasks by the slot, or node, that they stand for, oldest first."""
    found: dict[Any, list[Row]] = {}
    for task in tasks:
        found.setdefault(task.get("Slot") or task.get("NodeID"), []).append(task)
    return [sorted(slot, key=lambda t: str(t["CreatedAt"])) for slot in found.values()]


def is_lost(slot: Sequence[Row]) -> bool:
    """Whether a slot has failed for good: its newest task failed, and none takes its place.

    A task is told to shut down in the very step that makes the next one. How many have failed
    tells nothing: the engine forgets old ones.
    """
    newest = slot[-1]
    return newest["Status"]["State"] in FAILED and newest.get("DesiredState") == "shutdown"


def run_spec(job: Job, moment: float) -> Row:
    """The service of a run: the job's own, asked for its completions."""
    spec: Row = json.loads(json.dumps(job.row["Spec"]))
    labels = job.labels
    kept = (NAMESPACE, APP, NAME, TIMEOUT)
    spec["Labels"] = {key: labels[key] for key in kept if key in labels}
    spec["Labels"] |= {RUN_OF: labels[ID], RUN_AT: str(moment)}
    stamp = datetime.fromtimestamp(moment, UTC).strftime("%Y%m%d-%H%M%S")
    spec["Name"] = f"{_short(spec['Name'], LONGEST_NAME - len(stamp) - 1)}-{stamp}"
    mode = spec["Mode"]["ReplicatedJob"]
    spec["Mode"] = {"ReplicatedJob": {**mode, "TotalCompletions": job.number(COMPLETIONS, 1)}}
    spec["TaskTemplate"]["ForceUpdate"] = 0
    return spec


def _short(name: str, room: int) -> str:
    if len(name) <= room:
        return name
    return f"{name[: room - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def stopped_spec(run: Run, step: Step) -> Row:
    """The service of a run that goes on no more, with the reason."""
    spec: Row = json.loads(json.dumps(run.row["Spec"]))
    spec["Labels"] |= {RUN_PHASE: step.phase, RUN_TOLD: step.told}
    mode = spec["Mode"]["ReplicatedJob"]
    spec["Mode"] = {"ReplicatedJob": {**mode, "TotalCompletions": 0}}
    return spec


def name_of(row: Row) -> str:
    """What a service is really called."""
    return str(row["Spec"]["Name"])


def span_of(text: str) -> float | None:
    """Seconds of a duration as Go writes it, `1h30m`; None for what is none."""
    parts = re.findall(r"([\d.]+)(ms|h|m|s)", text)
    return sum(float(count) * _UNITS[unit] for count, unit in parts) if parts else None


def seconds_of(stamp: str) -> float:
    """Seconds since the epoch of the engine's time stamps, 0 for none."""
    match = re.fullmatch(r"(.+?)(\.\d+)?(Z|[+-]\d\d:\d\d)", stamp)
    if not match:
        return 0.0
    whole = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    return whole.timestamp() + float(match[2] or 0)
