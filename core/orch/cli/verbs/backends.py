"""`orch backends`: what is installed, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli.command import verb
from orch.cli.options import output_options
from orch.cli.render.report import Report, Span

if TYPE_CHECKING:
    from orch.backend.contract import BackendFactory
    from orch.backend.discovery import Plugins
    from orch.cli.render.shapes import BackendRow, BackendsShape
    from orch.cli.root import Settings


@verb("orch backends", "orch backends --output json")
@output_options()
@click.pass_obj
def command(settings: Settings, *, form: str) -> None:
    """List the backends, whether each can be used, and how to install what is missing."""
    from orch.backend.discovery import installed

    plugins = installed()
    shape = _shape(plugins)
    settings.out.result(_report(shape), shape, form)


def _shape(plugins: Plugins) -> BackendsShape:
    return {
        "version": 1,
        "backends": [_row(factory) for factory in plugins.backends.values()],
        "readers": list(plugins.readers),
        "secret_providers": list(plugins.secret_providers),
        "broken": [
            {"name": b.name, "distribution": b.distribution, "fault": b.fault}
            for b in plugins.broken
        ],
    }


def _row(factory: BackendFactory) -> BackendRow:
    from orch.backend.discovery import missing_modules

    missing = missing_modules(factory)
    return {
        "name": factory.name,
        "summary": factory.summary,
        "available": not missing,
        "missing": list(missing),
        "install": f"pip install 'anyorch[{factory.extra}]'" if missing else "",
        "options": dict(factory.options),
    }


def _report(shape: BackendsShape) -> Report:
    report = Report("Backends")
    report.table(("backend", "state", "what it is"), [_told(row) for row in shape["backends"]])
    for row in shape["backends"]:
        if row["options"]:
            report.heading(f"Options of {row['name']} (--option KEY=VALUE, or in targets.yaml)")
            report.table(("key", "what it sets"), list(row["options"].items()))
    report.heading("Also installed")
    report.line(f"formats read: orch, {', '.join(shape['readers']) or 'no other'}")
    report.line(f"secret providers: {', '.join(shape['secret_providers']) or 'none'}")
    for broken in shape["broken"]:
        owner = f" of {broken['distribution']}" if broken["distribution"] else ""
        plugin = f"the plugin {broken['name']}{owner} could not be loaded: {broken['fault']}"
        report.line(Span("warning: ", "warn"), plugin)
    return report


def _told(row: BackendRow) -> tuple[Span | str, ...]:
    state = Span("ready", "good")
    if not row["available"]:
        state = Span(f"not installed; run: {row['install']}", "warn")
    return (Span(row["name"], "name"), state, row["summary"])
