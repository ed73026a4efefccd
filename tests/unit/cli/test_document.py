"""An imported spec: the source's comments and the ledger's notes stand where they belong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from orch.backend.contract import Reading
from orch.cli.render.document import source_comments, spec_text
from orch.types import Consequence, Fidelity, Ledger, LedgerEntry, Place


def written(document: dict[str, Any], *rows: LedgerEntry, places: Any = None) -> str:
    reading = Reading(document, Ledger(rows), places or {})
    return spec_text(reading, [Path("compose.yaml")], "compose")


def test_comments_of_the_source_come_along(tmp_path: Path) -> None:
    source = tmp_path / "compose.yaml"
    source.write_text("services:\n  # the front\n  # of it\n  web:\n    image: a:1  # pinned\n")
    places = {
        ("name",): Place(str(source), 1, 1),
        ("services",): Place(str(source), 4, 3),
        ("services", "web"): Place(str(source), 5, 5),
        ("services", "web", "image"): Place(str(source), 5, 12),
    }
    document = {"services": {"web": {"image": "a:1"}}}
    text = written(document, places=places)
    assert text.startswith("# Read from compose.yaml (compose).\n")
    assert "  # the front\n  # of it\n  web:\n    # pinned\n    image: a:1\n" in text
    assert yaml.safe_load(text) == document


def test_a_hash_inside_quotes_is_no_comment(tmp_path: Path) -> None:
    source = tmp_path / "compose.yaml"
    source.write_text('a: "x # y"\n')
    assert source_comments({("a",): Place(str(source), 1, 1)}) == {}


def test_a_loss_is_noted_where_it_was() -> None:
    path = ("services", "web", "cgroup_parent")
    row = LedgerEntry(path, Fidelity.LOST, Consequence.COSMETIC, reason="a host's own")
    text = written({"services": {"web": {"image": "a"}}}, row)
    assert "  # cgroup_parent: lost: a host's own\n  web:" in text
