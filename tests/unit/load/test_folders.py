"""Folders as specs, and documents that move to another folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from orch.load.defaults import spread
from orch.load.move import moved


def test_a_folder_is_the_files_in_it(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "deep/c.json", ".hidden/d.yaml", ".e.yaml", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in spread([tmp_path])]
    assert found == ["a.yml", "b.yaml", "deep/c.json"]


def test_the_spec_of_a_folder_counts_before_all_else_in_it(tmp_path: Path) -> None:
    for name in ("compose.yaml", "compose.override.yaml", "values.yaml"):
        (tmp_path / name).touch()
    names = [path.name for path in spread([tmp_path])]
    assert names == ["compose.yaml", "compose.override.yaml"]


def test_files_and_streams_stay_as_they_are(tmp_path: Path) -> None:
    files = (Path("-"), tmp_path / "none.yaml")
    assert spread(files) == files


def test_an_empty_folder_stays_for_the_message(tmp_path: Path) -> None:
    assert spread([tmp_path]) == (tmp_path,)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("db.txt", "../deploy/db.txt"),
        ("../db.txt", "../db.txt"),
        ("/etc/db.txt", "/etc/db.txt"),
        ("https://example.com/web.git", "https://example.com/web.git"),
    ],
)
def test_paths_start_from_where_the_document_goes(tmp_path: Path, path: str, expected: str) -> None:
    document = {
        "services": {"web": {"build": {"context": path}, "image": "db.txt"}},
        "jobs": {"once": {"build": {"context": path}}},
        "configs": {"a": {"file": path}, "b": {"content": "db.txt"}},
        "secrets": {"c": {"provider": "file", "path": path}},
    }
    made = moved(document, tmp_path / "deploy", tmp_path / "spec")
    assert made["services"]["web"] == {"build": {"context": expected}, "image": "db.txt"}
    assert made["jobs"]["once"]["build"]["context"] == expected
    assert made["configs"] == {"a": {"file": expected}, "b": {"content": "db.txt"}}
    assert made["secrets"]["c"]["path"] == expected
    assert document["configs"]["a"] == {"file": path}


def test_a_document_that_stays_is_the_same(tmp_path: Path) -> None:
    document = {"secrets": {"c": {"provider": "file", "path": "db.txt"}}}
    assert moved(document, tmp_path, tmp_path / "x" / "..") == document
