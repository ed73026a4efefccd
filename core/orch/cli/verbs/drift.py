"""`orch drift`: what was changed behind our back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli import exits
from orch.cli.command import verb
from orch.cli.faults import Exit
from orch.cli.options import output_options, spec_options, target_options
from orch.cli.render import machine
from orch.cli.render.status import drift_report

if TYPE_CHECKING:
    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.root import Settings


@verb("orch drift", "orch drift --name shop --output json")
@spec_options
@target_options
@output_options()
@click.pass_obj
def command(settings: Settings, *, spec: SpecChoice, target: TargetChoice, form: str) -> None:
    """Show what was changed on the target since the last deploy (exit code 3 when there is any).

    Looked at is what the target was told: what somebody does to a running container beneath it
    is the target's to notice and to mend.
    """
    from orch.cli.connect import connected_by_name

    with connected_by_name(target, spec, settings.out) as connection:
        drifted = connection.session.drift()
        instance = connection.instance
        shape = {
            "version": 1,
            "app": instance.name,
            "target": instance.target,
            "drifted": bool(drifted),
            "objects": [
                {
                    "id": row.id,
                    "kind": row.kind,
                    "name": row.name,
                    "missing": row.missing,
                    "changes": [machine.change(change) for change in row.changes],
                }
                for row in drifted
            ],
        }
        settings.out.result(drift_report(instance, drifted), shape, form)
    if drifted:
        raise Exit(exits.CHANGES)
