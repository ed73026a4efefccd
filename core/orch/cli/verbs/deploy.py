"""`orch deploy`: plan, apply, and watch until it is healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli.command import option, verb
from orch.cli.complete import complete_units
from orch.cli.options import (
    level_options,
    output_options,
    rollout_options,
    spec_options,
    target_options,
)

if TYPE_CHECKING:
    from orch.apply.session import Planned
    from orch.cli.choices import RolloutChoice, SpecChoice, TargetChoice
    from orch.cli.connect import Connection
    from orch.cli.root import Settings


@verb(
    "orch deploy",
    "orch deploy -f compose.yaml",
    "orch deploy --target prod --env prod --timeout 10m",
    "orch deploy --only web --set TAG=1.4.3",
    "orch deploy --json | jq -r 'select(.type == \"outcome\").verdict'",
)
@spec_options
@target_options
@level_options
@option(
    "--only",
    multiple=True,
    metavar="SERVICE",
    shell_complete=complete_units,
    help="Deploy these services and what they need, and remove nothing.",
)
@option("--prune/--no-prune", default=True, help="Remove what the spec no longer has, or leave it.")
@rollout_options
@output_options("text", "json", "yaml", stream=True)
@click.pass_obj
def command(
    settings: Settings,
    *,
    spec: SpecChoice,
    target: TargetChoice,
    level: str,
    only: tuple[str, ...],
    prune: bool,
    rollout: RolloutChoice,
    form: str,
) -> int:
    """Bring a target to what the spec says, and watch it until it is healthy.

    A rollout that fails is returned to the last good release (exit code 5).
    """
    from orch.cli.carry_out import carry_out
    from orch.cli.connect import connected_by_spec
    from orch.cli.planning import planned

    with connected_by_spec(target, spec, settings.out) as connection:
        made = planned(connection, level, only=only, prune=prune)
        if form != "stream":
            _tell_losses(connection, made)
        return carry_out(connection, made.plan, rollout, form)


def _tell_losses(connection: Connection, made: Planned) -> None:
    from orch.cli.planning import reading_rows
    from orch.cli.render.ledger import add_ledger, rows_of
    from orch.cli.render.report import Report

    report = Report()
    loaded = connection.spec
    rows = [*reading_rows(loaded), *rows_of(made.manifest.ledger, loaded.locate)]
    add_ledger(report, rows, title="What this target does not hold as the spec says")
    connection.out.tell(report)
