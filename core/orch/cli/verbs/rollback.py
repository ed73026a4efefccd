"""`orch rollback`: back to an earlier revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli.command import verb
from orch.cli.options import output_options, rollout_options, spec_options, target_options

if TYPE_CHECKING:
    from orch.cli.choices import RolloutChoice, SpecChoice, TargetChoice
    from orch.cli.root import Settings


@verb("orch rollback", "orch rollback 3", "orch rollback 3 --name shop --target prod")
@click.argument("revision", type=int, required=False)
@spec_options
@target_options
@rollout_options
@output_options("text", "json", "yaml", stream=True)
@click.pass_obj
def command(
    settings: Settings,
    *,
    revision: int | None,
    spec: SpecChoice,
    target: TargetChoice,
    rollout: RolloutChoice,
    form: str,
) -> int:
    """Return to an earlier revision: to REVISION, or to the last good one before the current.

    Data that was written and jobs that ran since are not undone.
    """
    from orch.cli.carry_out import carry_out
    from orch.cli.connect import connected_by_name

    with connected_by_name(target, spec, settings.out) as connection:
        plan = connection.session.rollback_plan(revision)
        return carry_out(connection, plan, rollout, form)
