"""Two running deployments side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.cli.render import machine
from orch.cli.render.report import Report, Span, printable
from orch.cli.render.values import clock, told
from orch.types import Op, render_path

if TYPE_CHECKING:
    from orch.cli.render.shapes import LiveCompareShape, LiveShape
    from orch.compare.live import Deployed, LiveComparison
    from orch.types import Change

_NONE = Span("–", "dim")
Row = tuple[Span | str, ...]


def live_report(compared: LiveComparison) -> Report:
    """How each side stands, service by service, and every field in which they differ."""
    sides = (compared.left, compared.right)
    report = Report(f"{sides[0].instance} beside {sides[1].instance}")
    heads = [str(side.instance) for side in sides]
    report.table(("", *heads), [*_summary(*sides), *_services(compared)])
    if compared.changes:
        report.heading("Fields that differ")
        report.table(("field", *heads), [_field(change) for change in compared.changes])
    else:
        report.line("Both were deployed from the same spec.")
    for side in sides:
        if side.drifted:
            report.heading(f"Changed by somebody else on {side.instance}")
            report.table(
                ("object", "field"), [_drifted(row.id, row.changes) for row in side.drifted]
            )
    return report


def _summary(left: Deployed, right: Deployed) -> list[Row]:
    sides = (left, right)
    return [
        ("backend", *(side.backend for side in sides)),
        ("revision", *(_revision(side) for side in sides)),
        ("healthy", *(_health(side) for side in sides)),
        ("changed by others", *(_drift(side) for side in sides)),
    ]


def _revision(side: Deployed) -> Span | str:
    release = side.release
    if release is None:
        return Span("not deployed by orch", "dim")
    return f"{release.number}, {clock(release.when)} by {printable(release.who)}"


def _health(side: Deployed) -> Span:
    if not side.status.services:
        return _NONE
    return Span("yes", "good") if side.status.healthy else Span("no", "bad")


def _drift(side: Deployed) -> Span | str:
    if side.release is None:
        return _NONE
    count = len(side.drifted)
    return Span(f"{count} object{'s' if count > 1 else ''}", "warn") if count else "nothing"


def _services(compared: LiveComparison) -> list[Row]:
    rows: list[Row] = []
    for name in compared.names:
        sides = (compared.left, compared.right)
        rows.append((name, *(_state(side, name) for side in sides)))
        images = [printable(str(side.unit(name).get("image", ""))) for side in sides]
        if any(images):
            rows.append((f"  image of {name}", *(image or _NONE for image in images)))
    return rows


def _state(side: Deployed, name: str) -> Span:
    seen = side.service(name)
    if seen is None:
        return Span("runs", "dim") if name in side.names else Span("not there", "warn")
    message = f": {printable(seen.message)}" if seen.message else ""
    return Span(f"{seen.ready}/{seen.wanted}{message}", "good" if seen.healthy else "bad")


def _field(change: Change) -> Row:
    left = _NONE if change.op is Op.ADD else told(change.old)
    right = _NONE if change.op is Op.REMOVE else told(change.new)
    return render_path(change.path), left, right


def _drifted(id_: str, changes: tuple[Change, ...]) -> Row:
    return id_, ", ".join(render_path(change.path) for change in changes) or "it is missing"


def live_shape(compared: LiveComparison) -> LiveCompareShape:
    """The same for machines."""
    return {
        "version": 1,
        "differs": compared.differs,
        "left": _side(compared.left),
        "right": _side(compared.right),
        "changes": [machine.change(change) for change in compared.changes],
    }


def _side(side: Deployed) -> LiveShape:
    return {
        "backend": side.backend,
        "namespace": side.instance.namespace,
        "revision": side.release.number if side.release else 0,
        "when": side.release.when if side.release else 0.0,
        "who": side.release.who if side.release else "",
        "drifted": [row.id for row in side.drifted],
        "status": machine.status(side.status),
    }
