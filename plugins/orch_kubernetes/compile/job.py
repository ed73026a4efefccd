"""A job as a Job, or as a CronJob when it has a schedule."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from orch.compile.losses import tell
from orch.types import Consequence, Fidelity
from orch_kubernetes import names
from orch_kubernetes.compile.placement import PlacementCompiler
from orch_kubernetes.compile.pod import Pod, PodCompiler
from orch_kubernetes.compile.scaling import use_priority
from orch_kubernetes.rules import JOB, UNSCHEDULED

if TYPE_CHECKING:
    from orch.compile.view import View
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope

CONCURRENCY = {"allow": "Allow", "forbid": "Forbid", "replace": "Replace"}
CLOCK = "before 1.25 schedules are read in the time zone of the cluster's controller"
RUNS = "before 1.22 a job that has no schedule can't be held back"
KEPT = "before 1.21 jobs that are done stay until somebody removes them"
LOOKS_EVERY = 10
MISSED = "the controller looks every ten seconds, and may miss a shorter deadline"
_UTC = ("UTC", "Etc/UTC")


class JobCompiler:
    """Writes one job."""

    def __init__(self, scope: Scope, name: str, view: View) -> None:
        self._scope, self._make, self._name, self._view = scope, scope.make, name, view
        clocked = view.value.schedule is not None
        self._kind = "CronJob" if clocked else "Job"
        api = scope.facts.cron_api if clocked else "batch/v1"
        self._resource = scope.begin(
            api, self._kind, f"job/{name}", names.object_name(name), rollout=True
        )
        self._spec: FieldPath = ("spec", "jobTemplate", "spec") if clocked else ("spec",)
        self._pod = Pod(scope, self._resource, (*self._spec, "template", "spec"), name)

    def compile(self) -> None:
        """The job with its pods."""
        view = self._view
        tell(self._make, view, JOB)
        said = names.label_value(self._name)
        self._resource.set(("metadata", "labels", names.SERVICE), said)
        self._runs()
        if view.value.schedule is None:
            tell(self._make, view, UNSCHEDULED)
            self._suspend()
        else:
            self._clock()
        PodCompiler(self._pod, view, ends=True).compile()
        self._restart()
        if view.placement is not None:
            PlacementCompiler(self._scope, self._pod, self._name).compile(view.placement)
        use_priority(self._scope, self._pod, view.priority)
        self._resource.hold_empty(view, ("kind",))

    def _runs(self) -> None:
        view = self._view
        for field, key in (
            ("completions", "completions"),
            ("parallelism", "parallelism"),
            ("backoff_limit", "backoffLimit"),
        ):
            self._resource.put((*self._spec, key), view.field(field))
        for field, key in (
            ("timeout", "activeDeadlineSeconds"),
            ("ttl", "ttlSecondsAfterFinished"),
        ):
            read = view.field(field)
            if read is not None and (field != "ttl" or self._scope.facts.has("job_ttl")):
                self._resource.put((*self._spec, key), read, value=ceil(read.value.seconds))
            elif read is not None:
                self._make.lose(read, KEPT, "remove it by hand", Consequence.COSMETIC)

    def _suspend(self) -> None:
        read = self._view.suspend
        if not read.authored:
            return
        if self._scope.facts.has("job_suspend"):
            self._resource.put((*self._spec, "suspend"), read)
        elif read.value:
            self._make.lose(read, RUNS, "use a cluster of 1.22 or later, or leave the job out")
        else:
            self._resource.rate(("kind",), read, Fidelity.NATIVE, "")

    def _clock(self) -> None:
        view, put = self._view, self._resource.put
        put("spec.schedule", view.schedule)
        put("spec.suspend", view.suspend)
        put("spec.concurrencyPolicy", view.concurrency, value=CONCURRENCY[view.value.concurrency])
        if view.starting_deadline is not None:
            late = ceil(view.value.starting_deadline.seconds)
            how: dict[str, Any] = {}
            if late < LOOKS_EVERY:
                how = {"outcome": Fidelity.DEGRADED, "reason": MISSED}
            put("spec.startingDeadlineSeconds", view.starting_deadline, value=late, **how)
        put("spec.successfulJobsHistoryLimit", view.history.succeeded)
        put("spec.failedJobsHistoryLimit", view.history.failed)
        if self._scope.facts.has("time_zone"):
            put("spec.timeZone", view.time_zone)
        else:
            utc = view.value.time_zone in _UTC
            mend = "use a cluster of 1.25 or later, or reckon in UTC"
            self._make.lose(view.time_zone, CLOCK, mend, Consequence.COSMETIC if utc else None)

    def _restart(self) -> None:
        policy, path = self._view.restart_policy, (*self._pod.base, "restartPolicy")
        self._resource.set(path, "Never")
        if policy is None:
            return
        condition = policy.value.condition
        if condition == "any":
            told = "a job that has succeeded is not run again"
            self._make.lose(policy.condition, told, "write on-failure")
            self._resource.set(path, "OnFailure")
        else:
            said = {"none": "Never", "on-failure": "OnFailure"}[condition]
            self._resource.put(path, policy.condition, value=said)
