"""`orch restart`: new replicas of the same kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli.command import verb
from orch.cli.complete import complete_services
from orch.cli.options import output_options, rollout_options, spec_options, target_options

if TYPE_CHECKING:
    from orch.cli.choices import RolloutChoice, SpecChoice, TargetChoice
    from orch.cli.root import Settings


@verb("orch restart", "orch restart web worker")
@click.argument("services", nargs=-1, shell_complete=complete_services)
@spec_options
@target_options
@rollout_options
@output_options("text", "json", "yaml", stream=True)
@click.pass_obj
def command(
    settings: Settings,
    *,
    services: tuple[str, ...],
    spec: SpecChoice,
    target: TargetChoice,
    rollout: RolloutChoice,
    form: str,
) -> int:
    """Restart services (all of them when none is named), as their update policy says."""
    from orch.cli.carry_out import carry_out
    from orch.cli.connect import connected_by_name, need_deployed

    with connected_by_name(target, spec, settings.out) as connection:
        need_deployed(connection, services)
        plan = connection.session.restart_plan(services)
        return carry_out(connection, plan, rollout, form)
