"""`orch server`, `orch why` and `orch promote`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orch.cli.command import Verb
from orch.cli.options import output_options, spec_options, target_options
from orch.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.render.report import Report
    from orch.cli.root import Settings

SHAPE = 1
_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_STATE = click.Path(file_okay=False, path_type=Path)


def register(root: click.Group) -> None:
    """Add the commands of the native backend."""
    for command in (server, why, promote):
        root.add_command(command)


def _verb(name: str, *examples: str) -> Callable[[Callable[..., Any]], Verb]:
    return click.command(name, cls=Verb, examples=examples, context_settings=_HELP)


def _state_option(function: Callable[..., Any]) -> Callable[..., Any]:
    told = "Folder of the server; by default $ORCH_STATE or ~/.local/state/orch."
    return click.option("--state", type=_STATE, help=told)(function)


# -- the server ----------------------------------------------------------------------------


@click.group("server", invoke_without_command=True, context_settings=_HELP)
@_state_option
@click.option("--foreground", is_flag=True, help="Stay in this terminal; Ctrl-C ends it.")
@click.option(
    "--docker-host", help="Address of the Docker engine, such as unix:///run/docker.sock."
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=VALUE",
    help="Label of this host for placement, `node.labels.NAME`; kept until others are given.",
)
@click.pass_context
def server(
    ctx: click.Context,
    *,
    state: Path | None,
    foreground: bool,
    docker_host: str | None,
    labels: tuple[str, ...],
) -> None:
    """Start the native server, see whether it runs, or end it.

    A deploy starts it by itself; what it runs goes on without it.
    """
    from orch_native.daemon import state_dir

    folder = (state or state_dir()).absolute()
    settings: Settings = ctx.obj
    if ctx.invoked_subcommand is not None:
        ctx.obj = (settings, folder)
        return
    given = {"docker_host": docker_host or "", "labels": ",".join(labels)}
    options = {name: value for name, value in given.items() if value}
    if foreground:
        _stay(folder, options)
    else:
        _start(settings, folder, options)


def _stay(state: Path, options: dict[str, str]) -> None:
    from orch_native.daemon_process import run

    raise SystemExit(run(state, options))


def _start(settings: Settings, state: Path, options: dict[str, str]) -> None:
    from orch_native import daemon
    from orch_native.daemon import parse_labels

    parse_labels(options.get("labels", ""))
    ran = daemon.running_pid(state)
    with daemon.ensure_running(state, options=options) as client:
        pid = client.about().pid
    word = "runs already" if ran == pid else "started"
    settings.out.write(f"the server {word}: process {pid}, state {state}\n")
    if ran == pid and options:
        raise UsageFault(
            "the server that runs goes on as it was started",
            place=", ".join(f"--{name.removesuffix('s').replace('_', '-')}" for name in options),
            mend="run `orch server stop` first; what it runs goes on",
        )


@server.command("status")
@_state_option
@output_options()
@click.pass_obj
def status(obj: tuple[Settings, Path], *, state: Path | None, form: str) -> None:
    """Tell whether the server runs, and what this node has. Exit code 9 when it does not run."""
    from orch.errors import Unreachable
    from orch_native import daemon
    from orch_native.client import NativeClient

    settings, state = obj[0], state.absolute() if state else obj[1]
    if daemon.running_pid(state) is None:
        raise Unreachable("no server runs", place=str(state), mend="`orch server` starts one")
    with NativeClient(daemon.socket_path(state)) as client:
        about, node, instances = client.about(), client.node(), client.instances()
    data = {
        "version": SHAPE,
        "server": {"version": about.version, "pid": about.pid, "state": about.state},
        "node": node,
        "instances": [f"{namespace}/{name}" for namespace, name in instances],
    }
    settings.out.result(_status_report(data), data, form)


def _status_report(data: dict[str, Any]) -> Report:
    from orch.cli.render.report import Report

    server, node = data["server"], data["node"]
    report = Report("native server")
    report.line(f"server {server['version']}, process {server['pid']}, state {server['state']}")
    size = f"{node['cpus'] / 1000:g} cpus, {node['memory'] / (1 << 30):.1f} GiB of memory"
    report.line(f"node {node['name']}: {size}")
    for name, driver in node["drivers"].items():
        told = driver["version"] if driver["available"] else f"not usable: {driver['reason']}"
        report.line(f"driver {name}: {told or 'ready'}")
    report.line(f"applications: {', '.join(data['instances']) or 'none'}")
    return report


@server.command("stop")
@click.option("--tasks", is_flag=True, help="Stop what it runs too, until the server starts again.")
@_state_option
@click.pass_obj
def stop(obj: tuple[Settings, Path], *, state: Path | None, tasks: bool) -> None:
    """End the server. What it runs goes on, unless --tasks is given."""
    from orch_native import daemon
    from orch_native.client import NativeClient

    settings, state = obj[0], state.absolute() if state else obj[1]
    if daemon.running_pid(state) is None:
        settings.out.write("no server runs\n")
        return
    with NativeClient(daemon.socket_path(state)) as client:
        client.stop(tasks=tasks)
    daemon.await_end(state, 180.0)
    settings.out.write("the server has ended" + (", its tasks too\n" if tasks else "\n"))


# -- why and promote -----------------------------------------------------------------------


@_verb("why", "orch why web", "orch why web-0-3f9a1c", "orch why web --output json")
@click.argument("replica")
@spec_options
@target_options
@output_options()
@click.pass_obj
def why(
    settings: Settings, *, replica: str, spec: SpecChoice, target: TargetChoice, form: str
) -> None:
    """Explain why a service or replica is where it is, or nowhere."""
    from orch.backend.contract import SupportsWhy
    from orch.cli.connect import connected_by_name
    from orch.cli.render.report import Report

    with connected_by_name(target, spec, settings.out) as connection:
        backend = connection.backend
        if not isinstance(backend, SupportsWhy):
            raise UsageFault(f"the backend {backend.name!r} can't explain its placements")
        lines = list(backend.why(connection.instance, replica))
    report = Report(f"why {replica}")
    for reason in lines:
        report.line(reason)
    data = {"version": SHAPE, "replica": replica, "reasons": lines}
    settings.out.result(report, data, form)


@_verb("promote", "orch promote web")
@click.argument("service")
@spec_options
@target_options
@click.pass_obj
def promote(settings: Settings, *, service: str, spec: SpecChoice, target: TargetChoice) -> None:
    """Let the healthy canary of a service go on to all its replicas."""
    from orch.cli.connect import connected_by_name
    from orch_native.backend import NativeBackend

    with connected_by_name(target, spec, settings.out) as connection:
        backend = connection.backend
        if not isinstance(backend, NativeBackend):
            raise UsageFault(f"the backend {backend.name!r} has no canaries that wait")
        backend.client.promote(connection.instance, service)
    settings.out.write(f"{service} is promoted; `orch wait` follows it\n")
