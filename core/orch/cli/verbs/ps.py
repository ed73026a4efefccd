"""`orch ps`: every replica."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli.command import verb
from orch.cli.complete import complete_units
from orch.cli.options import output_options, spec_options, target_options
from orch.cli.render import machine
from orch.cli.render.status import replicas_report

if TYPE_CHECKING:
    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.root import Settings


@verb("orch ps", "orch ps web", "orch ps --output json | jq -r '.replicas[].id'")
@click.argument("services", nargs=-1, shell_complete=complete_units)
@spec_options
@target_options
@output_options()
@click.pass_obj
def command(
    settings: Settings,
    *,
    services: tuple[str, ...],
    spec: SpecChoice,
    target: TargetChoice,
    form: str,
) -> None:
    """List every replica: its state, node, address and age."""
    from orch.cli.connect import connected_by_name, need_deployed

    with connected_by_name(target, spec, settings.out) as connection:
        if services:
            need_deployed(connection, services)
        seen = connection.session.status()
        chosen = [
            replica
            for service in seen.services
            if not services or service.name in services
            for replica in service.replicas
        ]
        settings.out.result(replicas_report(seen, chosen), machine.replicas(seen, chosen), form)
