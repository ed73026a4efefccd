"""`orch plan`: what a deploy would do, and the file by which exactly that is done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orch.cli import exits
from orch.cli.command import option, verb
from orch.cli.complete import complete_units
from orch.cli.faults import Exit
from orch.cli.options import OUTPUT, level_options, output_options, spec_options, target_options
from orch.cli.render import machine
from orch.cli.render.ledger import add_ledger, rows_of
from orch.cli.render.plan import plan_report

if TYPE_CHECKING:
    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.render.report import Report
    from orch.cli.root import Settings


@verb(
    "orch plan",
    "orch plan --target prod --env prod --out prod.plan && orch apply prod.plan",
    "orch plan --exit-code --output json    # exit code 3 when something would change",
    "orch plan --only web",
)
@spec_options
@target_options
@level_options
@option(
    "--only",
    multiple=True,
    metavar="SERVICE",
    shell_complete=complete_units,
    help="Plan these services and what they need, and remove nothing.",
)
@option("--prune/--no-prune", default=True, help="Remove what the spec no longer has, or leave it.")
@option(
    "--out",
    "file_out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Save the plan, for orch apply.",
)
@option("--exit-code", is_flag=True, help="Exit with 3 when something would change.")
@option("--all", "every", is_flag=True, heading=OUTPUT, help="What does not change, too.")
@option("--positions", is_flag=True, heading=OUTPUT, help="The place of every row of the ledger.")
@output_options()
@click.pass_obj
def command(
    settings: Settings,
    *,
    spec: SpecChoice,
    target: TargetChoice,
    level: str,
    only: tuple[str, ...],
    prune: bool,
    file_out: Path | None,
    exit_code: bool,
    every: bool,
    positions: bool,
    form: str,
) -> None:
    """Show what a deploy would do, field by field, and change nothing."""
    from orch.cli.connect import connected_by_spec
    from orch.cli.planning import planned, reading_rows

    with connected_by_spec(target, spec, settings.out) as connection:
        made = planned(connection, level, only=only, prune=prune)
        loaded = connection.spec
    rows = [
        *reading_rows(loaded),
        *rows_of(made.manifest.ledger, loaded.locate, every=every, positions=positions),
    ]

    def report() -> Report:
        told = plan_report(made.plan, unchanged=every)
        add_ledger(told, rows, title="What this target does not hold as the spec says")
        return told

    settings.out.result(report, lambda: machine.plan(made.plan, rows), form)
    if file_out is not None:
        from dataclasses import replace

        from orch.plan.file import save_plan

        save_plan(replace(made.plan, folder=str(loaded.base.absolute())), file_out)
        settings.out.say(f"saved; run: orch apply {file_out}")
    if exit_code and made.plan.pending:
        raise Exit(exits.CHANGES)
