"""`orch diff`: changed fields alone, of the spec against the target or between revisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli import exits
from orch.cli.command import option, verb
from orch.cli.faults import Exit
from orch.cli.options import output_options, spec_options, target_options
from orch.cli.render import machine
from orch.errors import UsageFault
from orch.types import Operation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.connect import Connection
    from orch.cli.root import Settings
    from orch.types import Change, Release

    Difference = tuple[str, Operation, tuple[Change, ...]]


@verb(
    "orch diff                    # the spec against the target",
    "orch diff 3 5                # revision 3 against revision 5",
    "orch diff 3                  # revision 3 against the newest",
    "orch diff --output markdown  # for a merge request",
)
@click.argument("revisions", nargs=-1, type=int, metavar="[REVISION [REVISION]]")
@spec_options
@target_options
@option("--exit-code", is_flag=True, help="Exit with 3 when something differs.")
@output_options()
@click.pass_obj
def command(
    settings: Settings,
    *,
    revisions: tuple[int, ...],
    spec: SpecChoice,
    target: TargetChoice,
    exit_code: bool,
    form: str,
) -> None:
    """Show the changed fields alone: of the spec against the target, or between two revisions."""
    from orch.cli.connect import connected_by_name, connected_by_spec

    if len(revisions) > 2:  # noqa: PLR2004
        raise UsageFault("more than two revisions", mend="name the older and the newer one")
    connect = connected_by_name if revisions else connected_by_spec
    with connect(target, spec, settings.out) as connection:
        if revisions:
            differs = _between(connection, revisions, form)
        else:
            differs = _against_target(connection, form)
    if exit_code and differs:
        raise Exit(exits.CHANGES)


def _against_target(connection: Connection, form: str) -> bool:
    from orch.cli.planning import planned
    from orch.cli.render.plan import changes_report

    plan = planned(connection, "loose").plan
    connection.out.result(lambda: changes_report(plan), lambda: machine.plan(plan), form)
    return bool(plan.pending)


def _between(connection: Connection, revisions: tuple[int, ...], form: str) -> bool:
    releases = {release.number: release for release in connection.session.releases()}
    if not releases:
        raise UsageFault(f"{connection.instance.name} has no revisions", mend="deploy it first")
    numbers = revisions if len(revisions) > 1 else (revisions[0], max(releases))
    old, new = (_release(releases, number) for number in numbers)
    differences = list(_differences(connection, old, new))
    _show(connection, old, new, differences, form)
    return bool(differences)


def _release(releases: dict[int, Release], number: int) -> Release:
    if number not in releases:
        kept = ", ".join(str(n) for n in sorted(releases))
        raise UsageFault(f"there is no revision {number}", mend=f"these are kept: {kept}")
    return releases[number]


def _differences(connection: Connection, old: Release, new: Release) -> Iterator[Difference]:
    from orch.plan.diff import diff_bodies

    list_keys = connection.backend.capabilities().list_keys
    before = {item.id: item for item in old.inventory}
    after = {item.id: item for item in new.inventory}
    for id_ in dict.fromkeys([*after, *before]):
        if id_ not in before or id_ not in after:
            yield id_, Operation.CREATE if id_ in after else Operation.DELETE, ()
            continue
        kind = after[id_].kind
        changes = diff_bodies(before[id_].body, after[id_].body, list_keys, kind)
        if changes:
            yield id_, Operation.UPDATE, tuple(changes)


def _show(
    connection: Connection, old: Release, new: Release, found: list[Difference], form: str
) -> None:
    from orch.cli.render.plan import object_lines
    from orch.cli.render.report import Report

    report = Report(f"{connection.instance}: revision {old.number} → {new.number}")
    for id_, operation, changes in found:
        report.lines(object_lines(operation, id_, "", changes), code=True)
    if not found:
        report.line(f"Revisions {old.number} and {new.number} hold the same objects.")
    resources = [
        {
            "id": id_,
            "operation": operation.value,
            "changes": [machine.change(change) for change in changes],
        }
        for id_, operation, changes in found
    ]
    shape = {
        "version": 1,
        "app": connection.instance.name,
        "old_revision": old.number,
        "new_revision": new.number,
        "resources": resources,
    }
    connection.out.result(report, shape, form)
