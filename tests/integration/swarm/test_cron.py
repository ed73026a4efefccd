"""Jobs by the clock on a real swarm: runs that come, end, are kept, and go."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from orch.backend.contract import LogQuery
from orch.types import Verdict
from orch_swarm import cron
from orch_swarm.backend import SwarmBackend
from orch_swarm.names import real_name
from orch_swarm.runs import runs_of
from orch_swarm.sights import Swarm
from tests.integration.swarm.conftest import OPTIONS
from tests.integration.swarm.images import python_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orch.testing.conformance import Trial
    from orch.types import ServiceStatus

__all__ = ["python_image"]
pytestmark = [pytest.mark.docker, pytest.mark.root]
PATIENCE = 90
EVERY_SECOND_ONE = "*/2 * * * * *"


@pytest.fixture
def backend(swarm: str, python_image: str) -> Iterator[SwarmBackend]:
    ways = {"scheduler_image": python_image, "socket": swarm.removeprefix("unix://")}
    made = SwarmBackend({"host": swarm, **OPTIONS, **ways})
    yield made
    made.close()


def runs(backend: SwarmBackend, trial: Trial) -> list[dict[str, Any]]:
    """The services of all runs that are kept, oldest first."""
    found = runs_of(Swarm(backend.client), trial.instance, "job/report")
    return sorted(found, key=lambda row: row["Spec"]["Name"])


def until(holds: Callable[[], bool], told: Callable[[], object] = str) -> None:
    """Wait for something that comes by the clock."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, told()
        time.sleep(0.2)


def report(trial: Trial) -> ServiceStatus:
    return trial.service("report")


def phases(backend: SwarmBackend, trial: Trial) -> list[str]:
    tasks = backend.client.listed("tasks")
    return [
        cron.run_of(row, [t for t in tasks if t["ServiceID"] == row["ID"]]).phase
        for row in runs(backend, trial)
    ]


def test_a_job_runs_each_minute_and_the_plan_stays_empty(
    trial: Trial, backend: SwarmBackend
) -> None:
    job = trial.shell("echo the report", schedule="* * * * *", time_zone="Europe/Berlin")
    document = {"jobs": {"report": job}}
    trial.deployed(document)
    assert "next run at" in report(trial).message
    until(lambda: "succeeded" in report(trial).message, lambda: report(trial))
    seen = report(trial)
    assert (seen.wanted, seen.ready, seen.healthy, len(seen.replicas)) == (1, 1, True, 1)
    assert trial.pending(document) == []
    assert trial.session().drift() == ()
    lines = backend.logs(trial.instance, LogQuery(services=("report",)))
    assert [line.text for line in lines] == ["the report"]
    outcome = trial.down()
    assert outcome.verdict is Verdict.DONE, outcome
    prefix = real_name(trial.instance, "x")[:-1]
    for kind in ("services", "configs", "networks"):
        names = [row.get("Spec", row)["Name"] for row in backend.client.listed(kind)]
        assert [name for name in names if name.startswith(prefix)] == []


def test_runs_that_overlap_are_allowed_forbidden_or_replaced(
    trial: Trial, backend: SwarmBackend
) -> None:
    def document(concurrency: str) -> dict[str, Any]:
        job = trial.shell("sleep 600", schedule=EVERY_SECOND_ONE, concurrency=concurrency)
        return {"jobs": {"report": job}}

    trial.deployed(document("forbid"))
    scheduler = LogQuery(services=("orch-cron",))

    def told() -> list[str]:
        return [line.text for line in backend.logs(trial.instance, scheduler)]

    until(lambda: any("still goes on" in text for text in told()), told)
    assert phases(backend, trial) == ["running"]
    trial.deployed(document("allow"))
    until(lambda: phases(backend, trial).count("running") >= 3, told)
    trial.deployed(document("replace"))
    until(lambda: "replaced by the next run" in " ".join(told()), told)
    until(lambda: phases(backend, trial).count("running") == 1, lambda: phases(backend, trial))


def test_failed_and_slow_runs_are_told_and_old_ones_go(trial: Trial, backend: SwarmBackend) -> None:
    def document(script: str, **more: Any) -> dict[str, Any]:
        kept = {"history": {"succeeded": 1, "failed": 1}, "backoff_limit": 0}
        # A busy engine takes longer than two seconds for a run: without this they pile up.
        more = {"schedule": EVERY_SECOND_ONE, "concurrency": "forbid", **kept, **more}
        return {"jobs": {"report": trial.shell(script, **more)}}

    trial.deployed(document("exit 3"))
    until(lambda: not report(trial).healthy, lambda: report(trial))
    assert "failed: " in report(trial).message
    until(lambda: len(runs(backend, trial)) >= 2)
    trial.deployed(document("sleep 600", timeout="1s"))
    until(lambda: "longer than its timeout of 1s" in report(trial).message)
    # One that is under way ends by its own timeout, also when its job has none any more.
    until(lambda: "running" in phases(backend, trial))
    trial.deployed(document("true", suspend=True))
    assert report(trial).message.startswith("suspended")
    until(lambda: "running" not in phases(backend, trial))
    kept = len(runs(backend, trial))
    trial.deployed(document("true"))
    until(lambda: "succeeded" in phases(backend, trial))
    # One that succeeded, one that failed, and the newest.
    until(lambda: len(runs(backend, trial)) <= 3, lambda: phases(backend, trial))
    assert kept >= 1


def test_a_lost_scheduler_is_made_up_for_once(trial: Trial, backend: SwarmBackend) -> None:
    job = trial.shell("true", schedule=EVERY_SECOND_ONE, concurrency="forbid")
    trial.deployed({"jobs": {"report": job}})
    until(lambda: len(runs(backend, trial)) >= 1)
    scheduler = real_name(trial.instance, "orch-cron")
    row = backend.client.one("services", scheduler)
    assert row is not None
    [task] = [
        t
        for t in backend.client.listed("tasks", service=[scheduler])
        if t["Status"]["State"] == "running"
    ]
    container = task["Status"]["ContainerStatus"]["ContainerID"]
    backend.client.post(f"/containers/{container}/kill", signal="SIGKILL")
    before = runs(backend, trial)[-1]["Spec"]["Name"]
    until(lambda: runs(backend, trial)[-1]["Spec"]["Name"] > before)
