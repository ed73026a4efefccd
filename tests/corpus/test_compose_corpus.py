"""Every Compose file of the corpus is read, or refused with place, fault and mend."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from orch.backend.discovery import installed
from orch.load.source import Source, load
from orch.load.write import ledger_comments, to_yaml
from tests.corpus.outcomes import CORPUS, ROOT, attempt, files, outcome_of, table

SCHEMAS = Path(os.environ.get("ORCH_SCHEMAS", ROOT.parent / "shared" / "schemas"))
SCHEMA = SCHEMAS / "compose/compose-spec.json"
PATHS = files() if CORPUS.is_dir() else []
# Refused, and the schema has nothing against them: what is wrong is not the form.
REASONS = {"file", "variable", "fragment", "cycle", "remote", "reference", "port"}
# Refused for what the schema can't know.
JUDGED = {
    "docker+cli/e2e/stack/testdata/stack-with-named-resources.yml": "mounts at relative paths",
}
# Read, though the schema refuses them.
LENIENT = {
    "docker+compose/pkg/e2e/testdata/TestPreStartHookInError/compose.yaml": "pre_start is newer",
    "docker+compose/pkg/e2e/testdata/TestPreStartHookReRunOnSpecChange/compose.yaml": (
        "pre_start is newer"
    ),
}


class _Loader(yaml.SafeLoader):
    """Passes over tags of Compose, and reads `yes` as text, as Compose does."""


_Loader.add_multi_constructor("!", lambda *_: None)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if "bool" not in tag and "timestamp" not in tag]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF")
)


@pytest.fixture(scope="module")
def schema() -> Any:
    if not SCHEMA.exists():
        pytest.skip(f"the Compose specification is not at {SCHEMAS}; ORCH_SCHEMAS names its folder")
    return jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))


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
def test_a_refusal_names_place_fault_and_mend(path: Path) -> None:
    outcome, _, message = attempt((path,), {})
    if outcome == "refused":
        for line in message.splitlines():
            assert re.search(r":\d+:\d+\)?: .+; .+|: .+; .+", line), line
            assert "Traceback" not in line


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_what_the_schema_accepts_is_read(path: Path, schema: Any) -> None:
    documents = [d for d in yaml.load_all(path.read_text(), _Loader) if d is not None]
    accepted = all(schema.is_valid(document) for document in documents)
    row = table()[name_of(path)]
    if accepted and row.outcome == "refused" and name_of(path) not in JUDGED:
        assert row.reason in REASONS
    if not accepted and row.outcome == "read":
        assert name_of(path) in LENIENT


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_what_import_writes_is_the_same_application(path: Path, tmp_path: Path) -> None:
    if table()[name_of(path)].outcome != "read":
        return
    readers = installed().readers
    reading = readers["compose"].read((path,), {"HOME": "/home/user"}, ())
    written = tmp_path / "orch.yaml"
    written.write_text(to_yaml(reading.document, ledger_comments(reading.ledger)))
    for name in ("configs", "secrets"):
        for entry in reading.document.get(name, {}).values():
            if "file" in entry:
                file = tmp_path / entry["file"]
                file.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path.parent / entry["file"], file)
    first = load(Source((path,), variables={"HOME": "/home/user"}), readers).app
    assert load(Source((written,)), readers).app == first


def test_outcomes_by_kind(capsys: pytest.CaptureFixture[str]) -> None:
    if not PATHS:
        pytest.skip(f"the corpus is not at {CORPUS}; ORCH_CORPUS names its place")
    rows = table().values()
    alone = Counter(f"{row.outcome} {row.reason}".strip() for row in rows)
    completed = Counter(row.completed for row in rows if row.outcome == "refused")
    with capsys.disabled():
        print("\nCompose files of the corpus, alone:", dict(alone))
        print("those refused, with what belongs to them:", dict(completed))
    assert sum(alone.values()) == len(PATHS)
    assert alone["read"] + completed["read"] >= 255
