"""`orch unlock`: break the lock that a deploy left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli.command import verb
from orch.cli.options import spec_options, target_options

if TYPE_CHECKING:
    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.root import Settings


@verb("orch unlock", "orch unlock --name shop --target prod")
@spec_options
@target_options
@click.pass_obj
def command(settings: Settings, *, spec: SpecChoice, target: TargetChoice) -> None:
    """Break the lock that a deploy left behind; be sure that it does not run any more."""
    from orch.cli.connect import connected_by_name

    with connected_by_name(target, spec, settings.out) as connection:
        holder = connection.session.unlock()
    if holder:
        settings.out.write(f"the lock of {holder} is broken\n")
    else:
        settings.out.write(f"{connection.instance} was not locked\n")
