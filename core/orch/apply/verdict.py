"""How a deploy's end is told: what failed, what was left, how to go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orch.types import Operation, Verdict

if TYPE_CHECKING:
    from orch.apply.executor import Result
    from orch.types import Outcome, Plan

SHOWN = 5
"""Names told in a sentence before the rest is only counted."""


@dataclass(frozen=True, slots=True)
class Ending:
    """An outcome, and the ids of what was returned to an earlier release."""

    outcome: Outcome
    returned: frozenset[str] = frozenset()


def failure_text(result: Result) -> str:
    """What failed and why, all in one line."""
    return "; ".join(f"{id_}: {why}" for id_, why in result.failed.items())


def interruption_text(result: Result, verdict: Verdict) -> str:
    """What stands after an end before the end, and how to go on; empty after any other."""
    if verdict not in (Verdict.INTERRUPTED, Verdict.TIMED_OUT, Verdict.FAILED):
        return ""
    parts = [f"{len(result.done)} done" if result.done else "nothing was completed"]
    cut = [f"{id_} ({said})" if said else id_ for id_, said in result.cut.items()]
    if cut:
        parts.append(f"sent but not watched to the end: {_listed(cut)}")
    if result.not_started:
        parts.append(f"not started: {_listed(result.not_started)}")
    how = "" if verdict is Verdict.FAILED else "; run the same command again to go on"
    return ", ".join(parts) + how


def left_over(result: Result, plan: Plan) -> tuple[str, ...]:
    """Everything that was not seen to its end, in the order of the plan."""
    ended = {*result.done, *result.failed}
    return tuple(
        action.id
        for action in plan.actions
        if action.id not in ended and action.operation is not Operation.NOOP
    )


def _listed(ids: list[str]) -> str:
    shown = ", ".join(ids[:SHOWN])
    return f"{shown} and {len(ids) - SHOWN} more" if len(ids) > SHOWN else shown
