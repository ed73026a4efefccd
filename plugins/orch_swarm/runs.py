"""The runs of jobs with a schedule, as they are now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from orch.types import ServiceStatus
from orch_swarm import cron, names
from orch_swarm.sights import labels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orch.types import Instance, Replica
    from orch_swarm.sights import Swarm

Row = dict[str, Any]


def runs_of(swarm: Swarm, instance: Instance, job: str = "") -> list[Row]:
    """Services that a scheduler made, each for one run of a job; `job` is its id, or all."""
    return [
        row
        for row in swarm.rows("services")
        if names.owner_of(labels_of(row), instance.target) == instance
        and cron.RUN_OF in labels_of(row)
        and job in ("", labels_of(row)[cron.RUN_OF])
    ]


def scheduled_status(
    row: Row,
    runs: Sequence[Row],
    tasks: Mapping[str, Sequence[Row]],
    replica: Callable[[Row], Replica],
    now: float,
) -> ServiceStatus:
    """A job with a schedule: its newest run counts, and the tasks of all that are kept are shown.

    How it fares is judged by the newest run that has ended: the next one may begin at once.
    `tasks` are by the service's id; `now` is in seconds since the epoch.
    """
    job = cron.Job(row)
    seen = [cron.run_of(run, tasks.get(run["ID"], ())) for run in runs]
    newest = max(seen, key=lambda run: run.moment, default=None)
    ended = [run for run in seen if run.phase != cron.RUNNING]
    judged = max(ended, key=lambda run: run.moment, default=None)
    own = tasks.get(newest.row["ID"], ()) if newest else ()
    shown = [task for run in runs for task in tasks.get(run["ID"], ()) if task.get("NodeID")]
    return ServiceStatus(
        job.name,
        "job",
        job.number(cron.COMPLETIONS, 1) if newest else 0,
        sum(task["Status"]["State"] == "complete" for task in own),
        sum(task["Status"]["State"] not in cron.FAILED for task in own),
        judged is None or judged.phase != cron.SPOILT,
        "; ".join((_next(job, now), *_how(newest, judged))),
        replicas=tuple(replica(task) for task in shown),
    )


def _how(newest: cron.Run | None, judged: cron.Run | None) -> Iterator[str]:
    """How the newest run goes, and a failed one before it that still counts."""
    if newest is not None:
        yield _run(newest)
    if judged is not None and judged is not newest and judged.phase == cron.SPOILT:
        yield _run(judged)


def _run(run: cron.Run) -> str:
    why = f": {run.told}" if run.told else ""
    return f"the run of {_stamp(run.moment)} {run.phase}{why}"


def _next(job: cron.Job, now: float) -> str:
    from cronsim import CronSim

    schedule, zone = job.labels[cron.SCHEDULE], ZoneInfo(job.labels.get(cron.ZONE) or "UTC")
    if job.labels.get(cron.SUSPEND) == "true":
        return f"suspended ({schedule})"
    following = next(CronSim(schedule, datetime.fromtimestamp(now, zone)), None)
    return (
        f"next run at {_stamp(following.timestamp())}" if following else f"{schedule} never comes"
    )


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
