"""`orch wait`: until services are healthy, completed or gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli.command import option, verb
from orch.cli.complete import complete_units
from orch.cli.options import Seconds, output_options, spec_options, target_options
from orch.cli.render import machine
from orch.cli.render.progress import view_for
from orch.cli.render.status import status_report

if TYPE_CHECKING:
    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.root import Settings


@verb(
    "orch wait",
    "orch wait migrate --for completed --timeout 10m",
    "orch wait --for gone --name shop",
)
@click.argument("services", nargs=-1, shell_complete=complete_units)
@spec_options
@target_options
@option(
    "--for",
    "condition",
    type=click.Choice(("healthy", "completed", "gone")),
    default="healthy",
    show_default=True,
    help="What is waited for.",
)
@option(
    "--timeout",
    type=Seconds(),
    default="5m",
    show_default=True,
    help="Give up after this time (exit code 7).",
)
@output_options("text", "json", "yaml", stream=True)
@click.pass_obj
def command(
    settings: Settings,
    *,
    services: tuple[str, ...],
    spec: SpecChoice,
    target: TargetChoice,
    condition: str,
    timeout: float,
    form: str,
) -> None:
    """Wait until services (all of them when none is named) are healthy, completed or gone."""
    from orch.cli.connect import connected_by_name, need_deployed

    out = settings.out
    with connected_by_name(target, spec, out) as connection:
        if condition != "gone":
            need_deployed(connection, services)
        view = view_for(out, form, ())
        view.start()
        try:
            seen = connection.session.wait(
                services=services, condition=condition, timeout=timeout, on_event=view.on_event
            )
        finally:
            view.stop()
        if form == "stream":
            out.json_line({"type": "status", **machine.status(seen)})
        else:
            out.result(status_report(seen, connection.instance), machine.status(seen), form)
