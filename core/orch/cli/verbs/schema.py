"""`orch schema`: the JSON Schema of the spec, or of an output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orch.cli.command import verb

if TYPE_CHECKING:
    from orch.cli.root import Settings

SPEC = "spec"
OUTPUTS = (
    "validate",
    "compile",
    "compare",
    "compare-live",
    "import",
    "explain",
    "plan",
    "diff-revisions",
    "outcome",
    "event",
    "status",
    "ps",
    "log",
    "history",
    "drift",
    "top",
    "backends",
)


@verb(
    "orch schema > orch.schema.json",
    "orch schema plan    # of `orch plan --output json`",
)
@click.argument("of", type=click.Choice((SPEC, *OUTPUTS)), default=SPEC)
@click.pass_obj
def command(settings: Settings, *, of: str) -> None:
    """Print the JSON Schema of the spec, for editors, or of an output, for programs."""
    settings.out.json(_spec() if of == SPEC else output_schema(of))


def output_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of an output by its name in `render.shapes.SHAPES`."""
    from pydantic import TypeAdapter

    from orch.cli.render.shapes import SHAPES

    schema = TypeAdapter(SHAPES[name]).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _spec() -> dict[str, Any]:
    from orch.spec.schema import json_schema

    return json_schema()
