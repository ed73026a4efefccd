"""`orch events`: what happened on the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli import exits
from orch.cli.command import option, verb
from orch.cli.faults import Exit
from orch.cli.options import Moment, output_options, spec_options, target_options
from orch.cli.render import machine
from orch.cli.render.event import event_text
from orch.cli.render.values import clock
from orch.errors import UsageFault

if TYPE_CHECKING:
    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.root import Settings


@verb("orch events", "orch events --follow", "orch events --since 1h --json")
@spec_options
@target_options
@option("--follow", "-F", is_flag=True, help="Go on with what happens from now on.")
@option("--since", type=Moment(), help="From this time on: 10m ago, or 2026-01-31T12:00:00Z.")
@output_options("text", stream=True)
@click.pass_obj
def command(
    settings: Settings,
    *,
    spec: SpecChoice,
    target: TargetChoice,
    follow: bool,
    since: float | None,
    form: str,
) -> None:
    """Show what happened to an application on its target, the oldest first."""
    from orch.backend.contract import SupportsEvents
    from orch.cli.connect import connected_by_name

    with connected_by_name(target, spec, settings.out) as connection:
        backend = connection.backend
        if not isinstance(backend, SupportsEvents):
            raise UsageFault(f"the backend {backend.name!r} keeps no events")
        try:
            for event in backend.events(connection.instance, follow=follow, since=since):
                if form == "stream":
                    settings.out.json_line(machine.event(event))
                else:
                    stamp = f"{clock(event.time)}  " if event.time else ""
                    settings.out.write(f"{stamp}{event_text(event)}\n")
        except KeyboardInterrupt:
            raise Exit(exits.INTERRUPTED) from None
