"""Every verb, hook, field, exit code, outcome and consequence has its heading."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest

from orch.backend import hooks
from orch.cli import exits
from orch.cli.catalogue import SUMMARIES
from orch.spec import container
from orch.types import Consequence, Fidelity
from tests.docs.blocks import DOCS

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.insert(0, str(DOCS))

import generate


def headings(text: str) -> set[str]:
    return set(re.findall(r"^#{2,4} (.+)$", text, re.MULTILINE))


@pytest.fixture(scope="module")
def made() -> dict[str, set[str]]:
    return {name: headings(text) for name, text in generate.pages().items()}


def test_every_verb(made: dict[str, set[str]]) -> None:
    assert {f"orch {verb}" for verb in SUMMARIES} <= made["cli.md"]


def test_verbs_of_plugins(made: dict[str, set[str]]) -> None:
    assert {"orch server", "orch why"} <= made["cli.md"]


def test_every_hook(made: dict[str, set[str]]) -> None:
    assert made["hooks.md"] == {name for name in dir(hooks) if name.startswith("orch_")}


def test_every_exit_code(made: dict[str, set[str]]) -> None:
    codes = {int(heading.split(":")[0]) for heading in made["exit-codes.md"]}
    assert codes == {row.code for row in exits.TABLE} == {*range(10), 130}


def test_every_field(made: dict[str, set[str]]) -> None:
    """The walk over the model's JSON Schema is another one than the page's own."""
    assert set(schema_fields()) <= made["spec.md"]


def schema_fields() -> Iterator[str]:
    schema = json.loads((DOCS.parent / "specs/schema/orch-v1.json").read_text())
    bases = {b.__name__: b for b in vars(container).values() if isinstance(b, type)}
    bases |= {b.__name__: b for m in generate.occurrences() for b in m.__mro__}
    models = {**schema["$defs"], "Application": schema}
    for name, field in ((n, f) for n, m in models.items() for f in m.get("properties", {})):
        if (name, field) != ("Application", "environments"):  # no field: the file's overlays
            owners = [
                kind.__name__
                for kind in bases[name].__mro__
                if hasattr(kind, "model_fields")
                and any((f.alias or n) == field for n, f in generate.own_fields(kind).items())
            ]
            yield f"{owners[0]}.{field}"


def test_every_outcome_and_consequence() -> None:
    found = headings((DOCS / "reference/ledger.md").read_text())
    assert {*map(str, Fidelity), *map(str, Consequence)} <= found


def test_capabilities_of_every_backend(made: dict[str, set[str]]) -> None:
    assert made["capabilities.md"] == set(generate.installed().backends)


def test_every_field_has_a_description() -> None:
    bare = [".".join(path) for path, field in generate.fields() if not field.description]
    assert bare == []
