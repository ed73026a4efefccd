"""An imported spec as YAML: it reads back as the same document, with comments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from orch.backend.contract import Reading
from orch.cli.render.document import spec_text
from orch.types import Consequence, Fidelity, Ledger, LedgerEntry, Place

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4),
    max_leaves=20,
)


def written(document: dict[str, Any], *rows: LedgerEntry, places: Any = None) -> str:
    reading = Reading(document, Ledger(rows), places or {})
    return spec_text(reading, [Path("compose.yaml")], "compose")


@given(st.dictionaries(st.text(min_size=1, max_size=8), documents, max_size=4))
def test_it_reads_back(document: dict[str, Any]) -> None:
    assert (yaml.safe_load(written(document)) or {}) == document


def test_words_that_yaml_takes_for_something_else_are_quoted() -> None:
    document = {"a": ["yes", "0444", "1e3", "null", "3", "2026-01-31", "- x", "a: b", "#x"]}
    assert yaml.safe_load(written(document)) == document


def test_comments_of_the_source_come_along(tmp_path: Path) -> None:
    source = tmp_path / "compose.yaml"
    source.write_text("services:\n  # the front\n  # of it\n  web:\n    image: a:1  # pinned\n")
    places = {
        ("services", "web"): Place(str(source), 4, 3),
        ("services", "web", "image"): Place(str(source), 5, 12),
    }
    text = written({"services": {"web": {"image": "a:1"}}}, places=places)
    assert '  # the front\n  # of it\n  web:\n    image: "a:1"  # pinned\n' in text


def test_a_loss_is_noted_where_it_was(tmp_path: Path) -> None:
    path = ("services", "web", "cgroup_parent")
    row = LedgerEntry(path, Fidelity.LOST, Consequence.COSMETIC, reason="a host's own")
    text = written({"services": {"web": {"image": "a"}}}, row)
    assert "  # lost: services.web.cgroup_parent: a host's own\n  web:" in text
    far = LedgerEntry(("x",), Fidelity.LOST, Consequence.COSMETIC, reason="gone")
    assert "# Not carried over:\n#   lost: x: gone\n" in written({"name": "a"}, far)
