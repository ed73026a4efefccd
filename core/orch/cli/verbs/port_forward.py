"""`orch port-forward`: ports of a service, reached from here."""

from __future__ import annotations

import re
import threading
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import click

from orch.cli import exits
from orch.cli.command import option, verb
from orch.cli.complete import complete_services
from orch.cli.faults import Exit
from orch.cli.options import spec_options, target_options
from orch.errors import UsageFault

if TYPE_CHECKING:
    from orch.apply.forward import Listener
    from orch.backend.contract import SupportsForward
    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.connect import Connection
    from orch.cli.render.out import Out
    from orch.cli.root import Settings

_PORT = re.compile(r"(?:(?P<local>\d*):)?(?P<remote>[^:]+)")
_MOST = 65535


class Wish(NamedTuple):
    """Which local port is to lead to which one of the service; None for the same number."""

    local: int | None
    remote: str


@verb(
    "orch port-forward web 8080:80",
    "orch port-forward db 5432",
    "orch port-forward web :http 9090:metrics",
    "orch port-forward web 8080:80 --address 0.0.0.0",
)
@click.argument("service", shell_complete=complete_services)
@click.argument("ports", nargs=-1, required=True, metavar="[LOCAL:]REMOTE...")
@spec_options
@target_options
@option(
    "--address", default="127.0.0.1", show_default=True, help="Listen on this address of the host."
)
@option("--replica", metavar="INDEX|ID", help="To this replica alone. Default: a ready one.")
@click.pass_obj
def command(
    settings: Settings,
    *,
    service: str,
    ports: tuple[str, ...],
    spec: SpecChoice,
    target: TargetChoice,
    address: str,
    replica: str | None,
) -> None:
    """Listen here, and pass each connection on to a ready replica, until it is interrupted.

    REMOTE is a port of the service by number or name. LOCAL is the same number when it is left out,
    and a free one when it is empty or 0.
    """
    from orch.apply.forward import Listener
    from orch.cli.connect import connected_by_name, need_deployed

    wishes = [_wish(text) for text in ports]
    with connected_by_name(target, spec, settings.out) as connection:
        backend = _forwarding(connection)
        need_deployed(connection, [service])
        numbers = [backend.port_of(connection.instance, service, w.remote) for w in wishes]
        chosen = _replica(connection, service, replica)
        with ExitStack() as open_ones:
            listeners: list[Listener] = []
            for wish, number in zip(wishes, numbers, strict=True):
                local = number if wish.local is None else wish.local
                dial = partial(backend.dial, connection.instance, service, chosen, number)
                say = partial(_tell, settings.out, f"{service}:{number}")
                listeners.append(Listener(address, local, dial, say))
                open_ones.callback(listeners[-1].close)
            for listener, number in zip(listeners, numbers, strict=True):
                settings.out.write(f"{_shown(listener)} -> {service}:{number}\n")
                listener.start()
            _until_interrupted()


def _wish(text: str) -> Wish:
    found = _PORT.fullmatch(text)
    if found is None or int(found["local"] or 0) > _MOST:
        raise UsageFault(f"{text!r} is no port", mend="write [LOCAL:]REMOTE, such as 8080:80")
    return Wish(None if found["local"] is None else int(found["local"] or 0), found["remote"])


def _forwarding(connection: Connection) -> SupportsForward:
    from orch.backend.contract import SupportsForward

    backend = connection.backend
    if not isinstance(backend, SupportsForward):
        raise UsageFault(
            f"the backend {backend.name!r} can't forward ports", mend="publish the port in the spec"
        )
    return backend


def _replica(connection: Connection, service: str, wanted: str | None) -> str:
    """The id of the replica that is asked for, empty for any. Raises UsageFault for none ready."""
    seen = connection.session.status().services
    replicas = [r for s in seen if s.name == service for r in s.replicas]
    if wanted is not None:
        replicas = [r for r in replicas if wanted in (r.id, str(r.index))]
    ready = [replica for replica in replicas if replica.ready]
    if ready:
        return ready[0].id if wanted is not None else ""
    which = f"{service}[{wanted}]" if wanted else service
    states = ", ".join(f"{r.service}[{r.index}] is {r.state}" for r in replicas)
    raise UsageFault(f"{which} has no ready replica", mend=states or "see orch ps")


def _tell(out: Out, port: str, text: str) -> None:
    out.say(f"{port}: {text}")


def _shown(listener: Listener) -> str:
    address = f"[{listener.address}]" if ":" in listener.address else listener.address
    return f"{address}:{listener.port}"


def _until_interrupted() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        raise Exit(exits.INTERRUPTED) from None
