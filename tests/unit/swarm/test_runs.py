"""How a job with a schedule is judged by its runs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from orch_swarm import cron
from orch_swarm.runs import scheduled_status

if TYPE_CHECKING:
    from orch.types import Replica

NOW = 1_800_000_000.0


def job() -> dict[str, Any]:
    every_minute = {"minutes": list(range(60)), "hours": list(range(24)), "both": False}
    days = {"days": [], "months": [], "weekdays": [], "seconds": [0], "fixed": False}
    labels = {
        cron.NAME: "report",
        cron.SCHEDULE: "* * * * *",
        cron.CALENDAR: json.dumps({**every_minute, **days}),
    }
    return {"ID": "job", "Spec": {"Name": "report", "Labels": labels}, "UpdatedAt": ""}


def run(minute: int, phase: str, why: str = "") -> dict[str, Any]:
    labels = {cron.RUN_AT: str(NOW + 60 * minute)}
    if phase != cron.RUNNING:
        labels |= {cron.RUN_PHASE: phase, cron.RUN_TOLD: why}
    spec = {"Name": f"report-{minute}", "Labels": labels, "Mode": {"ReplicatedJob": {}}}
    return {"ID": f"run{minute}", "Spec": spec, "CreatedAt": "", "UpdatedAt": ""}


def replica(task: dict[str, Any]) -> Replica:
    raise AssertionError(task)


@pytest.mark.parametrize(
    ("runs", "healthy", "told"),
    [
        ([], True, []),
        ([run(0, cron.RUNNING)], True, ["00 running"]),
        ([run(0, cron.SPOILT, "exit 3")], False, ["00 failed: exit 3"]),
        (
            [run(0, cron.SPOILT, "exit 3"), run(1, cron.RUNNING)],
            False,
            ["01 running", "00 failed: exit 3"],
        ),
        ([run(0, cron.SPOILT, "exit 3"), run(1, cron.SUCCEEDED)], True, ["01 succeeded"]),
        ([run(0, cron.SUCCEEDED), run(1, cron.RUNNING)], True, ["01 running"]),
        (
            [run(0, cron.SPOILT), run(1, cron.STOPPED), run(2, cron.RUNNING)],
            True,
            ["02 running"],
        ),
    ],
)
def test_the_newest_run_that_has_ended_is_judged(
    runs: list[dict[str, Any]], told: list[str], *, healthy: bool
) -> None:
    seen = scheduled_status(job(), runs, {}, replica, NOW)
    assert seen.healthy is healthy
    minutes = [re.sub(r"^the run of \S+ \d\d:(\d\d):\d\d UTC", r"\1", part)
               for part in seen.message.split("; ")[1:]]  # fmt: skip
    assert minutes == told
