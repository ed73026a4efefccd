"""`orch explain`: what a field means, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli.command import option, verb
from orch.cli.complete import complete_backends, complete_fields
from orch.cli.options import output_options
from orch.cli.render.report import Report, Span
from orch.errors import UsageFault
from orch.types import Fidelity

if TYPE_CHECKING:
    from orch.backend.capabilities import Capabilities
    from orch.cli.fields import SpecField
    from orch.cli.render.shapes import FieldShape, SupportRow
    from orch.cli.root import Settings


@verb(
    "orch explain services.web.deploy.replicas",
    "orch explain probes.readiness --backend native",
    "orch explain update_config.order --output json",
)
@click.argument("field", required=False, shell_complete=complete_fields)
@option(
    "-b",
    "--backend",
    metavar="NAME",
    shell_complete=complete_backends,
    help="What becomes of it on this backend. Default: on every installed one.",
)
@output_options()
@click.pass_obj
def command(settings: Settings, *, field: str | None, backend: str | None, form: str) -> None:
    """Tell what a field means, its default, and what becomes of it on a backend.

    FIELD is a path or the end of one; without it the top-level fields are told.
    """
    from orch.cli.fields import find

    found = find(field) if field else _top()
    if not found:
        raise UsageFault(f"the spec has no field {field!r}", mend=_nearest(field or ""))
    support = _capabilities(backend)
    shapes = [_shape(one, support) for one in found]
    report = Report("Fields")
    for shape in shapes:
        _tell(report, shape)
    settings.out.result(report, {"version": 1, "fields": shapes}, form)


def _top() -> list[SpecField]:
    from orch.cli.fields import all_fields

    return [field for field in all_fields() if len(field.pattern) == 1]


def _nearest(field: str) -> str:
    from difflib import get_close_matches

    from orch.cli.fields import all_fields, beside

    names = {one.pattern[-1]: one.path for one in beside(field) or reversed(all_fields())}
    near = get_close_matches(field.rpartition(".")[2], names, 3)
    return f"did you mean {' or '.join(names[n] for n in near)}?" if near else "see orch explain"


def _capabilities(chosen: str | None) -> dict[str, Capabilities]:
    from orch.backend.discovery import installed, missing_modules

    plugins = installed()
    names = (
        [chosen]
        if chosen
        else [name for name, factory in plugins.backends.items() if not missing_modules(factory)]
    )
    found: dict[str, Capabilities] = {}
    for name in names:
        backend = plugins.backend(name)
        found[name] = backend.capabilities()
        backend.close()
    return found


def _shape(field: SpecField, support: dict[str, Capabilities]) -> FieldShape:
    from orch.cli.fields import children, leaf_pattern

    leaf = leaf_pattern(field)
    rows: list[SupportRow] = [
        {
            "backend": name,
            "outcome": capabilities.best(leaf).value,
            "reason": capabilities.reason(leaf),
        }
        for name, capabilities in support.items()
        if leaf
    ]
    return {
        "path": field.path,
        "type": field.shape.words,
        "default": field.default,
        "required": field.required,
        "description": field.description,
        "fields": children(field),
        "support": rows,
    }


def _tell(report: Report, shape: FieldShape) -> None:
    report.heading(shape["path"])
    report.line(f"  {shape['description']}")
    default = "required" if shape["required"] else f"default: {shape['default']}"
    report.line("  ", Span(f"{shape['type']}; {default}", "dim"))
    for row in shape["support"]:
        reason = f": {row['reason']}" if row["reason"] else ""
        held = "held natively" if row["outcome"] == Fidelity.NATIVE else row["outcome"]
        report.line("  on ", Span(row["backend"], "name"), f": {held}{reason}")
    rows: list[tuple[Span | str, ...]] = [
        (f"  {name}", description) for name, description in shape["fields"].items()
    ]
    report.table(("  field", "what it is"), rows)
