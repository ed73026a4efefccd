"""`orch exec`: a command in a replica, as if it ran here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orch.cli.command import option, verb
from orch.cli.complete import complete_services
from orch.cli.options import spec_options, target_options
from orch.errors import UsageFault

if TYPE_CHECKING:
    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.connect import Connection
    from orch.cli.root import Settings
    from orch.types import Replica


@verb(
    "orch exec web sh",
    "orch exec db pg_dump shop > shop.sql",
    "orch exec --replica 1 web -- ps -ef",
    "tar c . | orch exec web tar x -C /srv",
)
@click.argument("service", shell_complete=complete_services)
@click.argument(
    "command_line", nargs=-1, required=True, metavar="COMMAND [ARG]...", type=click.UNPROCESSED
)
@spec_options
@target_options
@option("--replica", metavar="INDEX|ID", help="In this replica. Default: the first ready one.")
@option("-i", "--interactive", is_flag=True, hidden=True)
@option(
    "-t/-T",
    "--tty/--no-tty",
    default=None,
    help="With a terminal, or without. Default: with one when stdin and stdout are one.",
)
@click.pass_obj
def command(
    settings: Settings,
    *,
    service: str,
    command_line: tuple[str, ...],
    spec: SpecChoice,
    target: TargetChoice,
    replica: str | None,
    interactive: bool,  # noqa: ARG001  (people write -it: stdin is always joined)
    tty: bool | None,
) -> int:
    """Run a command in a replica; its exit code is ours.

    Options of orch stand before SERVICE; whatever follows it belongs to the command.
    """
    from orch.backend.contract import SupportsExec
    from orch.cli.connect import connected_by_name, need_deployed

    with connected_by_name(target, spec, settings.out) as connection:
        backend = connection.backend
        if not isinstance(backend, SupportsExec):
            raise UsageFault(f"the backend {backend.name!r} can't run commands in replicas")
        need_deployed(connection, [service])
        chosen = _choose(connection, service, replica)
        terminal = _wants_terminal(tty)
        words = command_line[1:] if command_line[0] == "--" else command_line
        return backend.exec(connection.instance, service, chosen.id, words, tty=terminal)


command.allow_interspersed_args = False


def _wants_terminal(tty: bool | None) -> bool:
    if tty and not sys.stdin.isatty():
        raise UsageFault("stdin is no terminal", mend="leave out -t")
    return sys.stdin.isatty() and sys.stdout.isatty() if tty is None else tty


def _choose(connection: Connection, service: str, replica: str | None) -> Replica:
    seen = connection.session.status().services
    replicas = [r for s in seen if s.name == service for r in s.replicas]
    if replica is not None:
        replicas = [r for r in replicas if replica in (r.id, str(r.index))]
    running = [r for r in replicas if r.ready] or [r for r in replicas if r.state == "running"]
    if running:
        return running[0]
    states = ", ".join(f"{r.service}[{r.index}] is {r.state}" for r in replicas)
    which = f"{service}[{replica}]" if replica else service
    raise UsageFault(f"{which} has no running replica", mend=states or "see orch ps")
