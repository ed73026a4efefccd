"""`orch status`: whether an application is healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli.command import verb
from orch.cli.options import output_options, spec_options, target_options
from orch.cli.render import machine
from orch.cli.render.status import status_report

if TYPE_CHECKING:
    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.root import Settings


@verb(
    "orch status",
    "orch status --name shop --target prod",
    "orch status --output json | jq .healthy",
)
@spec_options
@target_options
@output_options()
@click.pass_obj
def command(settings: Settings, *, spec: SpecChoice, target: TargetChoice, form: str) -> None:
    """Show whether an application is healthy, service by service, and where it answers."""
    from orch.cli.connect import connected_by_name

    with connected_by_name(target, spec, settings.out) as connection:
        seen = connection.session.status()
        settings.out.result(status_report(seen, connection.instance), machine.status(seen), form)
