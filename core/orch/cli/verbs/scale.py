"""`orch scale`: another number of replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli.command import verb
from orch.cli.complete import complete_services
from orch.cli.options import output_options, rollout_options, spec_options, target_options
from orch.errors import UsageFault

if TYPE_CHECKING:
    from orch.cli.choices import RolloutChoice, SpecChoice, TargetChoice
    from orch.cli.root import Settings


@verb("orch scale web=3", "orch scale web=3 worker=0 --name shop")
@click.argument(
    "sizes", nargs=-1, required=True, metavar="SERVICE=N...", shell_complete=complete_services
)
@spec_options
@target_options
@rollout_options
@output_options("text", "json", "yaml", stream=True)
@click.pass_obj
def command(
    settings: Settings,
    *,
    sizes: tuple[str, ...],
    spec: SpecChoice,
    target: TargetChoice,
    rollout: RolloutChoice,
    form: str,
) -> int:
    """Change the number of replicas; the next deploy takes it back, and its plan says so."""
    from orch.cli.carry_out import carry_out
    from orch.cli.connect import connected_by_name, need_deployed

    wanted = dict(_size(text) for text in sizes)
    with connected_by_name(target, spec, settings.out) as connection:
        need_deployed(connection, tuple(wanted))
        plan = connection.session.scale_plan(wanted)
        return carry_out(connection, plan, rollout, form)


def _size(text: str) -> tuple[str, int]:
    name, _, count = text.rpartition("=")
    if not name or not count.isdecimal():
        raise UsageFault(f"{text!r} is not a size", mend="write SERVICE=N, such as web=3")
    return name, int(count)
