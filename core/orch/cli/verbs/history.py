"""`orch history`: the revisions that were deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli.command import verb
from orch.cli.options import output_options, spec_options, target_options
from orch.cli.render import machine
from orch.cli.render.status import history_report

if TYPE_CHECKING:
    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.root import Settings


@verb("orch history", "orch history --name shop --output json")
@spec_options
@target_options
@output_options()
@click.pass_obj
def command(settings: Settings, *, spec: SpecChoice, target: TargetChoice, form: str) -> None:
    """List the revisions that were deployed, newest first, and how each ended."""
    from orch.cli.connect import connected_by_name

    with connected_by_name(target, spec, settings.out) as connection:
        releases = connection.session.releases()
        instance = connection.instance
        shape = machine.history(instance.name, instance.target, releases)
        settings.out.result(history_report(instance, releases), shape, form)
