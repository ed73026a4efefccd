"""Every manifest of the corpus is read, or refused with place, fault and mend."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from orch.backend.discovery import installed
from orch.load.detect import HEAD, format_of
from orch.load.source import Source, load
from orch.load.write import ledger_comments, to_yaml
from tests.corpus.kubernetes_outcomes import CORPUS, FOLDERS, attempt, files, outcome_of, table

if TYPE_CHECKING:
    from pathlib import Path

PATHS = files() if (CORPUS / FOLDERS[0]).is_dir() else []
_TOLD = re.compile(r":\d+(:\d+)?\)?: .+; .+|: .+; .+")


def name_of(path: Path) -> str:
    return str(path.relative_to(CORPUS))


def test_the_corpus_is_there() -> None:
    if not PATHS:
        pytest.skip(f"the corpus is not at {CORPUS}; ORCH_CORPUS names its place")
    assert set(table()) == {name_of(path) for path in PATHS}


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_the_outcome_is_the_agreed_one(path: Path) -> None:
    assert outcome_of(path) == table()[name_of(path)]


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_the_format_is_recognised(path: Path) -> None:
    head = path.read_text()[:HEAD]
    whole = re.search(r"^\W*apiVersion\W", head, re.MULTILINE) and "kind" in head
    if whole:
        assert format_of(path, None, installed().readers) == "kubernetes"


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_a_refusal_names_place_fault_and_mend(path: Path) -> None:
    outcome, _, message = attempt((path,))
    if outcome == "refused":
        for line in message.splitlines():
            assert _TOLD.search(line), line
            assert str(path) in line
            assert "Traceback" not in line


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_what_import_writes_is_the_same_application(path: Path, tmp_path: Path) -> None:
    if table()[name_of(path)].outcome != "read":
        return
    readers = installed().readers
    reading = readers["kubernetes"].read((path,), {}, ())
    written = tmp_path / "orch.yaml"
    written.write_text(to_yaml(reading.document, ledger_comments(reading.ledger)))
    first = load(Source((path,)), readers).app
    assert load(Source((written,)), readers).app == first


def test_outcomes_by_kind(capsys: pytest.CaptureFixture[str]) -> None:
    if not PATHS:
        pytest.skip(f"the corpus is not at {CORPUS}; ORCH_CORPUS names its place")
    rows = table().values()
    alone = Counter(f"{row.outcome} {row.reason}".strip() for row in rows)
    folders = Counter(row.folder for row in rows if row.outcome == "refused")
    with capsys.disabled():
        print("\nManifests of the corpus, alone:", dict(alone))
        print("those refused, with the files beside them:", dict(folders))
    assert sum(alone.values()) == len(PATHS)
    assert alone["read"] >= 225
    assert alone["refused invalid"] == 0
