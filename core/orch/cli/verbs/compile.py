"""`orch compile`: a backend's manifest and the ledger; no platform is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli.command import option, verb
from orch.cli.options import OUTPUT, level_options, output_options, spec_options, target_options
from orch.cli.render import machine
from orch.cli.render.ledger import add_ledger, rows_of, tally
from orch.cli.render.report import Report, Span

if TYPE_CHECKING:
    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.root import Settings
    from orch.types import LedgerEntry, Manifest


@verb(
    "orch compile",
    "orch compile --backend native --output json",
    "orch compile --all --positions",
    "orch compile --strict --output markdown > fidelity.md",
)
@spec_options
@target_options
@level_options
@option("--all", "every", is_flag=True, heading=OUTPUT, help="Native rows of the ledger too.")
@option("--positions", is_flag=True, heading=OUTPUT, help="The place of every row.")
@output_options()
@click.pass_obj
def command(
    settings: Settings,
    *,
    spec: SpecChoice,
    target: TargetChoice,
    level: str,
    every: bool,
    positions: bool,
    form: str,
) -> None:
    """Print what a backend makes of a spec, and what became of every field."""
    from orch.backend.discovery import installed
    from orch.cli.connect import target_of
    from orch.cli.planning import reading_rows, refuse_reading_losses
    from orch.cli.specfile import load_spec
    from orch.compile.compile import Level, compile_app, judge
    from orch.compile.levels import refusal

    loaded = load_spec(spec, settings.out)
    chosen = target_of(target, spec)
    backend = installed().backend(chosen.backend, chosen.options)
    try:
        manifest = compile_app(backend, loaded.app)
    finally:
        backend.close()
    rows = [
        *reading_rows(loaded),
        *rows_of(manifest.ledger, loaded.locate, every=every, positions=positions),
    ]
    settings.out.result(
        lambda: _report(manifest, rows, every=every),
        lambda: machine.manifest(manifest, rows),
        form,
    )
    refuse_reading_losses(loaded, level)
    judgement = judge(loaded.app, manifest, Level(level))
    if judgement.refused:
        placed = {row.path: row for row in rows}
        raise refusal([placed.get(row.path, row) for row in judgement.refused])


def _report(manifest: Manifest, rows: list[LedgerEntry], *, every: bool) -> Report:
    from orch.cli.render.yaml import yaml_text
    from orch.types import Fidelity

    report = Report(f"{manifest.app} on {manifest.backend}")
    for resource in manifest.resources:
        report.heading(resource.id)
        report.code(yaml_text(resource.body), indent="  ")
    for note in manifest.notes:
        report.line(Span("note: ", "dim"), note)
    least = Fidelity.NATIVE if every else Fidelity.EMULATED
    add_ledger(report, rows, title=f"Ledger: {_tally(rows, every=every)}", least=least)
    if not rows:
        report.line(Span("Ledger: ", "strong"), "every field that the spec sets is native.")
    return report


def _tally(rows: list[LedgerEntry], *, every: bool) -> str:
    return tally(rows) + ("" if every else "; all others are native")
