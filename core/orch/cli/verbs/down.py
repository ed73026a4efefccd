"""`orch down`: remove an application, and its data only when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli.command import option, verb
from orch.cli.options import output_options, rollout_options, spec_options, target_options

if TYPE_CHECKING:
    from orch.cli.choices import RolloutChoice, SpecChoice, TargetChoice
    from orch.cli.root import Settings


@verb(
    "orch down",
    "orch down --name shop --target prod",
    "orch down --volumes --yes    # its data, too",
)
@spec_options
@target_options
@option("--volumes", is_flag=True, help="Remove volumes and the data in them, too.")
@rollout_options
@output_options("text", "json", "yaml", stream=True)
@click.pass_obj
def command(
    settings: Settings,
    *,
    spec: SpecChoice,
    target: TargetChoice,
    volumes: bool,
    rollout: RolloutChoice,
    form: str,
) -> int:
    """Remove an application: everything that orch made for it, and nothing else.

    Volumes and their data stay, unless --volumes is given; it asks only before data are lost.
    """
    from orch.cli.carry_out import carry_out
    from orch.cli.connect import connected_by_name

    with connected_by_name(target, spec, settings.out) as connection:
        plan = connection.session.down_plan(volumes=volumes)
        return carry_out(connection, plan, rollout, form)
