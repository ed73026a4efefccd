"""`orch apply`: exactly what a saved plan says, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orch.cli.choices import RolloutChoice, TargetChoice
from orch.cli.command import option, verb
from orch.cli.options import output_options, rollout_options

if TYPE_CHECKING:
    from orch.cli.root import Settings
    from orch.cli.targets import Target
    from orch.types import Plan


@verb(
    "orch apply prod.plan",
    "orch apply prod.plan --timeout 10m --json",
)
@click.argument("planfile", type=click.Path(dir_okay=False, path_type=Path))
@option(
    "--option",
    "backend_option",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the backend, as it was given to orch plan.",
)
@option(
    "--base",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that paths of secrets start at. Default: the spec's, when it was planned.",
)
@rollout_options
@output_options("text", "json", "yaml", stream=True)
@click.pass_obj
def command(
    settings: Settings,
    *,
    planfile: Path,
    backend_option: tuple[str, ...],
    base: Path | None,
    rollout: RolloutChoice,
    form: str,
) -> int:
    """Do exactly what a saved plan says.

    A plan whose ground has moved since it was made is refused (exit code 8): plan again.
    """
    from orch.cli.carry_out import carry_out
    from orch.cli.connect import connected
    from orch.plan.file import load_plan

    plan = load_plan(planfile)
    target = _target(plan, planfile, backend_option)
    folder = base or Path(plan.folder)
    with connected(target, plan.instance, folder, settings.out) as connection:
        return carry_out(connection, plan, rollout, form)


def _target(plan: Plan, planfile: Path, options: tuple[str, ...]) -> Target:
    """The plan's own target: a name that is not its backend's is looked up again."""
    from orch.cli.targets import choose

    pairs = tuple((key, value) for key, _, value in (text.partition("=") for text in options))
    named = plan.instance.target != plan.backend
    choice = TargetChoice(
        backend=plan.backend,
        target=plan.instance.target if named else None,
        namespace=plan.instance.namespace,
        options=pairs,
    )
    return choose(choice, [Path(), planfile.parent])
