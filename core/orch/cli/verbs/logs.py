"""`orch logs`: what replicas print, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli import exits
from orch.cli.command import option, verb
from orch.cli.complete import complete_units
from orch.cli.faults import Exit
from orch.cli.options import OUTPUT, Moment, output_options, spec_options, target_options
from orch.cli.render import machine
from orch.cli.render.logs import LogPrinter

if TYPE_CHECKING:
    from orch.backend.contract import SupportsLogs
    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.connect import Connection
    from orch.cli.root import Settings


@verb(
    "orch logs",
    "orch logs web --follow --tail 20",
    "orch logs --since 10m --timestamps",
    "orch logs web --replica 1 --no-prefix > web.log",
)
@click.argument("services", nargs=-1, shell_complete=complete_units)
@spec_options
@target_options
@option("--follow", "-F", is_flag=True, help="Go on with what is printed from now on.")
@option("--since", type=Moment(), help="From this time on: 10m ago, or 2026-01-31T12:00:00Z.")
@option("--tail", type=click.IntRange(min=0), metavar="N", help="The last N lines a replica.")
@option("--replica", "replicas", multiple=True, metavar="INDEX|ID", help="This replica alone.")
@option("--no-prefix", is_flag=True, heading=OUTPUT, help="Leave out service[index].")
@option("--timestamps", "-t", is_flag=True, heading=OUTPUT, help="When each line was printed.")
@output_options("text", stream=True)
@click.pass_obj
def command(
    settings: Settings,
    *,
    services: tuple[str, ...],
    spec: SpecChoice,
    target: TargetChoice,
    follow: bool,
    since: float | None,
    tail: int | None,
    replicas: tuple[str, ...],
    no_prefix: bool,
    timestamps: bool,
    form: str,
) -> None:
    """Print what replicas print, the oldest line first, each with its service[index]."""
    from orch.backend.contract import LogQuery
    from orch.cli.connect import connected_by_name, need_deployed

    with connected_by_name(target, spec, settings.out) as connection:
        backend = _readable(connection)
        need_deployed(connection, services)
        ids = _replica_ids(connection, services, replicas)
        lines = backend.logs(connection.instance, LogQuery(services, ids, follow, since, tail))
        printer = LogPrinter(connection, prefix=not no_prefix, timestamps=timestamps)
        try:
            for line in lines:
                if form == "stream":
                    settings.out.json_line(machine.log_line(line))
                else:
                    printer.show(line)
        except KeyboardInterrupt:
            raise Exit(exits.INTERRUPTED) from None


def _readable(connection: Connection) -> SupportsLogs:
    from orch.backend.contract import SupportsLogs
    from orch.errors import UsageFault

    backend = connection.backend
    if not isinstance(backend, SupportsLogs):
        raise UsageFault(f"the backend {backend.name!r} can't read logs")
    return backend


def _replica_ids(
    connection: Connection, services: tuple[str, ...], chosen: tuple[str, ...]
) -> tuple[str, ...]:
    """Ids of the chosen replicas, which may be given by index."""
    if not chosen:
        return ()
    from orch.errors import UsageFault

    known = [
        replica
        for service in connection.session.status().services
        if not services or service.name in services
        for replica in service.replicas
    ]
    ids = tuple(r.id for r in known if r.id in chosen or str(r.index) in chosen)
    if not ids:
        names = ", ".join(f"{r.service}[{r.index}]" for r in known) or "none"
        raise UsageFault(f"there is no replica {' or '.join(chosen)}", mend=f"there are: {names}")
    return ids
