"""A job of the spec as a job-mode service of Swarm."""

from __future__ import annotations

from typing import Any

from orch.types import Fidelity
from orch_swarm import names
from orch_swarm.losses import JOB, UNSCHEDULED, tell
from orch_swarm.placement import PlacementCompiler
from orch_swarm.schedules import write_schedule
from orch_swarm.unit import UnitCompiler

NONE_ASKED = "a job that is suspended is asked for no completions"


class JobCompiler(UnitCompiler):
    """A job: a service whose tasks end."""

    losses = JOB
    kind = "job"

    def _mode(self) -> None:
        view, job = self.view, self.view.value
        self.resource.set("Mode", "replicated-job")
        self.resource.put("MaxConcurrent", view.parallelism)
        if job.schedule is None:
            self._once()
        else:
            # Each run is a copy of it that the scheduler makes: a deploy runs nothing.
            self.resource.set("TotalCompletions", 0)
            write_schedule(self.resource, view)
        if view.placement is not None:
            PlacementCompiler(self.make, self.resource).compile(view.placement)
        self._retries()

    def _once(self) -> None:
        view, job = self.view, self.view.value
        tell(self.make, view, UNSCHEDULED)
        self.resource.put("TotalCompletions", view.completions)
        if view.suspend.authored:
            asked = 0 if job.suspend else job.completions
            how: dict[str, Any] = {
                "outcome": Fidelity.EMULATED,
                "reason": "it is asked for no completions",
            }
            self.put(("TotalCompletions",), view.suspend, asked, **how)
        if job.timeout is not None:
            told: dict[str, Any] = {
                "outcome": Fidelity.DEGRADED,
                "reason": "the deploy fails after this time; the run itself goes on",
            }
            self.put(("Labels", names.TIMEOUT), view.timeout, str(job.timeout), **told)

    def _retries(self) -> None:
        """The backoff limit is Swarm's number of attempts, counted for each completion."""
        view, job = self.view, self.view.value
        self._restart(view.restart_policy)
        policy = job.restart_policy
        if policy is not None and policy.condition == "any":
            self.make.lose(
                view.restart_policy.condition, "a job that has succeeded is not run again"
            )
            self.resource.set(("RestartPolicy", "Condition"), "on-failure")
        elif policy is None:
            condition = "on-failure" if job.backoff_limit else "none"
            self.resource.set(("RestartPolicy", "Condition"), condition)
        if policy is None or policy.max_attempts is None:
            self.put(
                ("RestartPolicy", "MaxAttempts"),
                view.backoff_limit,
                job.backoff_limit,
                outcome=Fidelity.DEGRADED,
                reason="retries are counted for each completion",
            )
        else:
            self.make.lose(view.backoff_limit, "restart_policy.max_attempts is counted instead")
