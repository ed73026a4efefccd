"""What the spec says of an action's service: how it may fail, and how long it may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY
from orch.plan.only import name_of
from orch.spec.deploy import UpdateConfig
from orch.spec.units import Duration
from orch.types import Operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.types import Action

GRACE = 30.0
"""Seconds that a platform gets, beyond the spec's deadline, to tell of it itself."""
_DEFAULTS = UpdateConfig()


class Demands:
    """Looks up a plan's document for the service or job that an action stands for."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._services: Mapping[str, Any] = document.get("services", EMPTY)
        self._jobs: Mapping[str, Any] = document.get("jobs", EMPTY)

    def on_failure(self, action: Action) -> str:
        """rollback, pause or continue; a failed deletion never takes back what runs well."""
        if action.operation is Operation.DELETE:
            return "pause"
        return str(self._update_config(action).get("failure_action", _DEFAULTS.failure_action))

    def patience(self, action: Action) -> float:
        """Seconds that a rollout may stay without progress."""
        job = self._jobs.get(name_of(action), EMPTY)
        if action.rollout and "timeout" in job:
            return Duration.parse(job["timeout"]).seconds + GRACE
        said = self._update_config(action).get("progress_deadline", _DEFAULTS.progress_deadline)
        return Duration.parse(said).seconds + GRACE

    def runs_once(self, action_or_item: Any) -> bool:
        """Whether it is a job without a schedule: done once, never taken back."""
        job = self._jobs.get(name_of(action_or_item))
        return action_or_item.rollout and job is not None and not job.get("schedule")

    def _update_config(self, action: Action) -> Mapping[str, Any]:
        service = self._services.get(name_of(action), EMPTY)
        deploy = service.get("deploy", EMPTY) or EMPTY
        found: Mapping[str, Any] = deploy.get("update_config", EMPTY) or EMPTY
        return found
