"""When an ended replica is started again, and when it is given up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orch.spec.deploy import RestartPolicy

LONGEST_PAUSE = 300.0
STEADY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows an end: another start after `pause` seconds, or none and why."""

    again: bool
    pause: float = 0.0
    streak: int = 0
    reason: str = ""


def decide(
    policy: RestartPolicy | None, *, is_job: bool, failed: bool, ran: float, streak: int, limit: int
) -> Verdict:
    """Judge an end. `streak` counts the restarts since it last ran steadily for the window.

    The pause doubles with each restart of a streak up to five minutes, and `limit` bounds the
    restarts of a job whose policy names no bound of its own.
    """
    if is_job and (not failed or policy is None):
        return Verdict(again=False)
    condition = policy.condition if policy else "any"
    if condition == "none" or (condition == "on-failure" and not failed):
        return Verdict(again=False)
    delay = policy.delay.seconds if policy else 5.0
    steady = policy.window.seconds if policy and policy.window else STEADY_SECONDS
    streak = 0 if ran >= steady else streak
    bound = policy.max_attempts if policy else None
    if is_job and bound is None:
        bound = limit
    if bound is not None and streak >= bound:
        return Verdict(again=False, reason=f"given up after {streak} restarts")
    pause = min(delay * 2 ** min(streak, 16), max(delay, LONGEST_PAUSE))
    return Verdict(again=True, pause=pause, streak=streak + 1)
