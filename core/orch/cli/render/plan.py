"""A plan as a person reads it: each step with its reason and its changed fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.cli.render.report import Report, Span, line, printable
from orch.cli.render.values import is_text_block, text_diff, told
from orch.types import Op, Operation, render_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orch.cli.render.report import Line
    from orch.types import Action, Change, Plan

SIGNS = {
    Operation.CREATE: ("+", "add"),
    Operation.ADOPT: ("»", "change"),
    Operation.UPDATE: ("~", "change"),
    Operation.REPLACE: ("±", "change"),
    Operation.DELETE: ("-", "remove"),
    Operation.RESTART: ("↻", "change"),
    Operation.RETRY: ("↻", "change"),
    Operation.NOOP: (" ", "dim"),
}
_WORDS = {
    Operation.CREATE: "to create",
    Operation.ADOPT: "to adopt",
    Operation.UPDATE: "to update",
    Operation.REPLACE: "to replace",
    Operation.DELETE: "to delete",
    Operation.RESTART: "to restart",
    Operation.RETRY: "to retry",
    Operation.NOOP: "unchanged",
}
_NEW_FIELDS = 12


def plan_report(plan: Plan, *, unchanged: bool = False) -> Report:
    """Every step that changes something; with `unchanged` also those that do not, and why."""
    report = Report(f"Plan for {plan.instance}")
    report.line(Span(f"{plan.instance.name}", "strong"), f" on {_where(plan)}{_revision(plan)}")
    for action in plan.actions:
        if unchanged or action.operation is not Operation.NOOP:
            report.lines(_action(action, plan), code=True)
    for warning in plan.warnings:
        report.line(Span("warning: ", "warn"), printable(str(warning)))
    for note in plan.notes:
        report.line(Span("note: ", "dim"), printable(note))
    report.line(*_summary(plan))
    return report


def changes_report(plan: Plan) -> Report:
    """The changed fields alone."""
    report = Report(f"Changes for {plan.instance}")
    for action in plan.pending:
        report.lines(_action(action, plan), code=True)
    report.line(*_summary(plan))
    return report


def object_lines(
    operation: Operation, id_: str, reason: str, changes: Iterable[Change]
) -> list[Line]:
    """One object with its changed fields."""
    return [_header(operation, id_, reason), *_changes(changes)]


def counted(actions: Iterable[Action]) -> dict[Operation, int]:
    """How many steps of each kind."""
    counts = dict.fromkeys(Operation, 0)
    for action in actions:
        counts[action.operation] += 1
    return counts


def _where(plan: Plan) -> str:
    place = f"{plan.instance.target}/{plan.instance.namespace}"
    return place if plan.instance.target == plan.backend else f"{place} ({plan.backend})"


def _revision(plan: Plan) -> str:
    if not plan.pending:
        return f", revision {plan.base_revision}" if plan.base_revision else ""
    if plan.base_revision:
        return f", revision {plan.base_revision} → {plan.revision}"
    return f", first revision ({plan.revision})"


def _action(action: Action, plan: Plan) -> list[Line]:
    header = _header(action.operation, action.id, action.reason)
    if action.name and action.name != action.id.rpartition("/")[2]:
        header = (*header, Span(f" as {action.name}", "dim"))
    if action.destroys_data:
        header = (*header, Span("  DESTROYS DATA", "grave"))
    if action.operation is Operation.CREATE and not action.changes:
        return [header, *_created(action.body or {}, _said(action, plan.document))]
    return [header, *_changes(action.changes)]


def _header(operation: Operation, id_: str, reason: str) -> Line:
    sign, style = SIGNS[operation]
    told_reason = Span(f"  ({printable(reason)})", "dim") if reason else Span("")
    return line(Span(f"{sign} {operation.value} ", style), Span(id_, "strong"), told_reason)


def _said(action: Action, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the author wrote of a new object, empty where its body has other words for that."""
    section = document.get(f"{action.kind}s")
    name = action.id.partition("/")[2]
    said = section.get(name) if isinstance(section, dict) else None
    if not isinstance(said, dict):
        return {}
    shared = said.keys() & (action.body or {}).keys()
    return said if 2 * len(shared) > len(said) else {}


def _created(body: Mapping[str, Any], said: Mapping[str, Any]) -> list[Line]:
    """The fields of a new object: those that the author wrote, the rest counted."""
    chosen = _as_said(body, said) if said else body
    rows = [
        line("    ", Span("+ ", "add"), f"{printable(key)}: ", told(value))
        for key, value in chosen.items()
    ]
    hidden = len(rows) - _NEW_FIELDS
    if hidden > 1:
        rows[_NEW_FIELDS:] = [line(Span(f"    … and {hidden} more fields", "dim"))]
    if rest := len(body) - len(chosen):
        what = "1 field" if rest == 1 else f"{rest} fields"
        rows.append(line(Span(f"    … {what} more by default; see orch compile", "dim")))
    return rows


def _as_said(value: Any, said: Any) -> Any:
    """The part of a value that was said, in the words of the value."""
    if isinstance(value, dict) and isinstance(said, dict) and said:
        return {key: _as_said(value[key], said[key]) for key in said if key in value}
    if isinstance(value, list | tuple) and isinstance(said, list | tuple):
        same = len(value) == len(said)
        return [_as_said(*pair) for pair in zip(value, said, strict=True)] if same else value
    return value


def _changes(changes: Iterable[Change]) -> list[Line]:
    return [row for change in changes for row in change_lines(change)]


def change_lines(change: Change) -> list[Line]:
    """One changed field: old → new, or a difference of lines for longer text."""
    path = printable(render_path(change.path)) or "(whole)"
    drift = Span("  (drift: changed there since the last deploy)", "warn")
    tail = (drift,) if change.drift else ()
    if is_text_block(change.old, change.new):
        return [
            line("    ", Span("~ ", "change"), f"{path}:", *tail),
            *text_diff(change.old, change.new, "        "),
        ]
    sign, style = {Op.ADD: ("+", "add"), Op.REMOVE: ("-", "remove")}.get(change.op, ("~", "change"))
    return [line("    ", Span(f"{sign} ", style), f"{path}: ", *_values(change), *tail)]


def _values(change: Change) -> tuple[Span, ...]:
    old, new = Span(told(change.old), "remove"), Span(told(change.new), "add")
    if change.op is Op.ADD:
        return (new,)
    return (old,) if change.op is Op.REMOVE else (old, Span(" → "), new)


def _summary(plan: Plan) -> tuple[Span, ...]:
    counts = counted(plan.actions)
    if not plan.pending:
        same = counts[Operation.NOOP]
        are = "1 object is" if same == 1 else f"{same} objects are"
        return (Span("Nothing to do: ", "good"), Span(f"{are} as the spec says."))
    told_counts = ", ".join(f"{n} {_WORDS[kind]}" for kind, n in counts.items() if n)
    return (Span("Plan: ", "strong"), Span(f"{told_counts}."))
