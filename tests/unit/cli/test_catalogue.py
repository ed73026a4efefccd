"""The list of verbs in the help is that of the files."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import click
import pytest

import orch.cli.verbs
from orch.cli.catalogue import SUMMARIES, module_of
from orch.cli.command import OWN, Verb
from orch.cli.render.shapes import SHAPES
from orch.cli.verbs.schema import OUTPUTS


def command(name: str) -> Verb:
    found: Verb = import_module(module_of(name)).command
    return found


def test_every_file_is_in_the_catalogue() -> None:
    folder = Path(orch.cli.verbs.__file__).parent
    files = {path.stem.rstrip("_").replace("_", "-") for path in folder.glob("*.py")} - {"--init"}
    assert files == set(SUMMARIES)


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_verb_has_purpose_examples_and_described_options(name: str) -> None:
    verb = command(name)
    assert verb.name == name
    assert verb.examples
    assert all(f"orch {name}" in example for example in verb.examples)
    options = [p for p in verb.params if isinstance(p, click.Option) and not p.hidden]
    assert [p.name for p in options if not p.help] == []
    text = verb.get_help(click.Context(verb, info_name=f"orch {name}"))
    assert "Examples:" in text
    assert OWN in text


def test_every_output_has_a_schema() -> None:
    assert set(OUTPUTS) == set(SHAPES)


def test_every_output_is_told_in_the_reference(project: Path) -> None:
    page = (project / "docs/reference/output.md").read_text()
    for name, shape in SHAPES.items():
        assert f"\n### {name}\n" in page
        part = page.partition(f"\n### {name}\n")[2].partition("\n#")[0]
        told = set(re.findall(r"`([a-z_]+)`", part))
        keys = set(shape.__annotations__) - {"version", "type", "app", "target"}
        assert keys <= told | {"ledger"}, f"{name}: {keys - told} is not told"
