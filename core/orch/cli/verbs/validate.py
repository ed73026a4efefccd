"""`orch validate`: every fault of a spec at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli import exits
from orch.cli.command import verb
from orch.cli.faults import Exit
from orch.cli.options import output_options, spec_options
from orch.cli.render import machine
from orch.cli.render.diagnostics import diagnostics_report
from orch.cli.render.report import Report, Span
from orch.cli.specfile import files_of, read_spec
from orch.errors import InvalidSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch.cli.choices import SpecChoice
    from orch.cli.render.shapes import ValidateShape
    from orch.cli.root import Settings
    from orch.load.source import Loaded
    from orch.types import Diagnostic


@verb(
    "orch validate",
    "orch validate -f orch.yaml -f prod.yaml --env prod",
    "orch validate -f compose.yaml --output json",
)
@spec_options
@output_options("text", "json", "yaml")
@click.pass_obj
def command(settings: Settings, *, spec: SpecChoice, form: str) -> None:
    """Check a spec and tell all its faults, each with its place and how to mend it."""
    out = settings.out
    files = [str(path) for path in spec.files or files_of(spec)]
    try:
        loaded = read_spec(spec)
    except InvalidSpec as fault:
        if form == "text":
            raise
        out.result(Report(), _shape(files, None, fault.diagnostics), form)
        raise Exit(exits.USAGE) from None
    if loaded.warnings and form == "text":
        out.tell(diagnostics_report(loaded.warnings))
    out.result(_report(files, loaded), _shape(files, loaded, loaded.warnings), form)


def _report(files: list[str], loaded: Loaded) -> Report:
    app, report = loaded.app, Report()
    counts = [
        f"{len(things)} {name if len(things) > 1 else name[:-1]}"
        for name in ("services", "jobs", "routes", "volumes", "networks", "configs", "secrets")
        if (things := getattr(app, name))
    ]
    told = f" is valid: {app.name}, {', '.join(counts) or 'nothing in it'}"
    report.line(Span(" + ".join(files), "strong"), told)
    return report


def _shape(
    files: list[str], loaded: Loaded | None, diagnostics: Sequence[Diagnostic]
) -> ValidateShape:
    return {
        "version": 1,
        "valid": loaded is not None,
        "app": loaded.app.name if loaded else "",
        "files": files,
        "services": list(loaded.app.services) if loaded else [],
        "jobs": list(loaded.app.jobs) if loaded else [],
        "diagnostics": [machine.diagnostic(row) for row in diagnostics],
    }
