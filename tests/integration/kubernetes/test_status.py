"""What a status tells of things that the cluster makes by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orch.testing.conformance import Trial
    from tests.kubernetes_api.server import Api

Row = dict[str, Any]
CRON = ("batch", "cronjobs", "shop", "report")
FAILED = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
COMPLETE = {"type": "Complete", "status": "True"}


def run(api: Api, number: int, *conditions: Row) -> None:
    """A run as the controller of schedules makes it, and how it has gone."""
    owner = api.platform.objects[CRON]
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"report-{number}",
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "CronJob",
                    "name": "report",
                    "uid": owner["metadata"]["uid"],
                }
            ],
        },
        "spec": owner["spec"]["jobTemplate"]["spec"],
    }
    key = ("batch", "jobs", "shop", f"report-{number}")
    row = api.platform.create(key, body, "kube-controller-manager")
    row["metadata"]["creationTimestamp"] = f"2026-01-01T00:0{number}:00Z"
    api.platform.status(key, {"active": 0 if conditions else 1, "conditions": list(conditions)})


def test_a_failed_run_counts_until_the_next_one_has_ended(
    trial: Trial, kubernetes_api: Api
) -> None:
    report = trial.shell("sleep 600", schedule="* * * * *")
    trial.deployed({"jobs": {"report": report}})
    kubernetes_api.controllers.asleep.set()
    assert trial.service("report").healthy
    run(kubernetes_api, 1)
    assert trial.service("report").healthy
    run(kubernetes_api, 2, FAILED)
    seen = trial.service("report")
    assert (seen.healthy, seen.message) == (False, "* * * * *: BackoffLimitExceeded")
    run(kubernetes_api, 3)
    seen = trial.service("report")
    assert not seen.healthy
    assert seen.message == "* * * * *; the run before it: BackoffLimitExceeded"
    run(kubernetes_api, 4, COMPLETE)
    seen = trial.service("report")
    assert (seen.healthy, seen.message) == (True, "* * * * *")
