"""`orch top`: the use of cpu and memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from orch.cli.command import option, verb
from orch.cli.options import Seconds, output_options, spec_options, target_options
from orch.cli.render.status import usage_report
from orch.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.connect import Connection
    from orch.cli.root import Settings
    from orch.types import Status

    Usage = Mapping[str, Mapping[str, float]]


@verb("orch top", "orch top --once --output json")
@spec_options
@target_options
@option("--once", is_flag=True, help="Once, also on a terminal.")
@option("--interval", type=Seconds(), default="2s", show_default=True, help="How often.")
@output_options()
@click.pass_obj
def command(
    settings: Settings,
    *,
    spec: SpecChoice,
    target: TargetChoice,
    once: bool,
    interval: float,
    form: str,
) -> None:
    """Show what each replica uses of cpu (cores) and memory; on a terminal again and again."""
    from orch.cli.connect import connected_by_name

    with connected_by_name(target, spec, settings.out) as connection:
        if form != "text" or once or not settings.out.rich_result:
            seen, usage = _measure(connection)
            settings.out.result(usage_report(seen, usage), _shape(seen, usage), form)
        else:
            _watch(connection, interval)


def _measure(connection: Connection) -> tuple[Status, Usage]:
    from orch.backend.contract import SupportsMetrics

    backend = connection.backend
    if not isinstance(backend, SupportsMetrics):
        raise UsageFault(f"the backend {backend.name!r} measures nothing")
    return connection.session.status(), backend.metrics(connection.instance)


def _watch(connection: Connection, interval: float) -> None:
    from rich.live import Live

    from orch.cli.render.terminal import as_renderable, console

    out = connection.out
    screen = console(out.stdout, color=out.colored(out.stdout))
    try:
        with Live(console=screen, auto_refresh=False, screen=True) as live:
            while True:
                live.update(as_renderable(usage_report(*_measure(connection))), refresh=True)
                time.sleep(interval)
    except KeyboardInterrupt:
        out.show(usage_report(*_measure(connection)))


def _shape(seen: Status, usage: Usage) -> dict[str, object]:
    rows = [
        {
            "service": replica.service,
            "index": replica.index,
            "id": replica.id,
            "cpu": float(usage[replica.id].get("cpu", 0)),
            "memory": float(usage[replica.id].get("memory", 0)),
        }
        for service in seen.services
        for replica in service.replicas
        if replica.id in usage
    ]
    return {"version": 1, "app": seen.app, "target": seen.target, "replicas": rows}
