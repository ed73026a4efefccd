"""What loading says of each folder in `cases`, word by word.

A case is the files of a project, `expected.txt`, and `source.json` when it needs more than
`orch.yaml`. `ORCH_UPDATE=1` writes what is said now into `expected.txt`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orch.errors import OrchError, UsageFault
from orch.load.source import Source, document_of, load

CASES = sorted(Path(__file__).with_name("cases").iterdir())


def outcome(source: Source) -> str:
    try:
        loaded = load(source, {})
    except UsageFault as fault:
        return f"{type(fault).__name__} {fault.exit_code}\n{fault}\n"
    except OrchError as fault:  # pragma: no cover  (a file's fault is always the user's to mend)
        return f"not a usage fault: {fault!r}"
    warnings = "".join(f"{warning}\n" for warning in loaded.warnings)
    return f"{warnings}{json.dumps(document_of(loaded.app), indent=1, ensure_ascii=False)}\n"


def source_of(case: Path) -> Source:
    told = case / "source.json"
    given = json.loads(told.read_text()) if told.exists() else {}
    files = tuple(Path(file) for file in given.pop("files", ["orch.yaml"]))
    return Source(files, profiles=tuple(given.pop("profiles", ())), **given)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case)
    said = outcome(source_of(case))
    expected = case / "expected.txt"
    if os.environ.get("ORCH_UPDATE"):
        expected.write_text(said)
    assert said == expected.read_text()
