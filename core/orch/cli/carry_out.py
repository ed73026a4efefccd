"""Carrying a plan out: ask where data is destroyed, watch, tell how it ended."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from orch.cli.failures import Failures
from orch.cli.interrupt import stop_asked
from orch.cli.render import machine
from orch.cli.render.out import ReaderGone
from orch.cli.render.outcome import outcome_report
from orch.cli.render.plan import plan_report
from orch.cli.render.progress import view_for
from orch.errors import OrchError, UsageFault
from orch.types import Outcome, Verdict

if TYPE_CHECKING:
    from orch.cli.choices import RolloutChoice
    from orch.cli.connect import Connection
    from orch.cli.render.progress import View
    from orch.types import Event, Plan, Status


def carry_out(connection: Connection, plan: Plan, rollout: RolloutChoice, form: str) -> int:
    """Show the plan on stderr, do it, and give the outcome on stdout; returns the exit code."""
    out = connection.out
    if form != "stream":
        out.tell(plan_report(plan))
    agree_to_destroy(connection, plan, yes=rollout.yes)
    failures = Failures(connection)
    view = view_for(out, form, plan.actions)
    outcome = _watched(connection, plan, rollout, view, failures)
    with suppress(ReaderGone):  # the code of what was done counts, read or not
        _tell(connection, outcome, failures, form)
    return outcome.exit_code


def agree_to_destroy(connection: Connection, plan: Plan, *, yes: bool) -> None:
    """Ask on a terminal before data is destroyed. Raises UsageFault where nobody can be asked."""
    lost = [action.id for action in plan.pending if action.destroys_data]
    if yes or not lost:
        return
    told = f"this destroys the data of {', '.join(lost)}"
    if not connection.out.rich_progress or not sys.stdin.isatty():
        raise UsageFault(told, place=str(connection.instance), mend="add --yes if that is meant")
    if not click.confirm(f"{told[:1].upper()}{told[1:]}. Go on?", err=True):
        raise UsageFault("nothing was done", place=str(connection.instance))


def _watched(
    connection: Connection, plan: Plan, rollout: RolloutChoice, view: View, failures: Failures
) -> Outcome:
    def on_event(event: Event) -> None:
        failures.on_event(event)
        view.on_event(event)

    view.start()
    try:
        with stop_asked(view.say) as cancel:
            return connection.session.apply(
                plan,
                on_event=on_event,
                timeout=rollout.timeout,
                cancel=cancel,
                rollback=rollout.rollback,
                wait=rollout.wait,
                concurrency=rollout.concurrency,
                lock_wait=rollout.lock_wait,
            )
    finally:
        view.stop()


def _tell(connection: Connection, outcome: Outcome, failures: Failures, form: str) -> None:
    out, instance = connection.out, connection.instance
    shape = machine.outcome(outcome, instance.name, instance.target)
    if form == "stream":
        out.json_line(shape)
        return
    report = outcome_report(outcome, instance, failures.logs, _status(connection, outcome))
    if form == "text" and outcome.exit_code:
        out.tell(report)
    else:
        out.result(report, shape, form)


def _status(connection: Connection, outcome: Outcome) -> Status | None:
    if outcome.verdict not in (Verdict.DONE, Verdict.UNCHANGED):
        return None
    try:
        return connection.session.status()
    except OrchError:
        return None  # the deploy is done; its addresses are only a courtesy
