"""Each folder of cases is a reading: manifests, and the document, rows or faults that come of it.

Run as a program, it writes what is expected anew; look at the difference before you keep it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orch.errors import InvalidSpec
from orch.load.document import app_from_document
from orch.load.resolve import resolve
from orch.load.write import to_yaml
from orch.types import render_path
from orch_kubernetes.reader import KubernetesReader

CASES = Path(__file__).with_name("cases")


def outcome(case: Path) -> dict[str, str]:
    """What is expected: by file name, its text."""
    files = sorted(path for path in case.iterdir() if path.suffix in (".yaml", ".json"))
    try:
        reading = KubernetesReader().read(files, {}, ())
    except InvalidSpec as fault:
        return {"faults.txt": f"{fault}\n".replace(str(case), ".")}
    rows = [
        f"{row.outcome} {row.consequence} {render_path(row.path)}: {row.reason}"
        for row in reading.ledger.notable
    ]
    return {
        "document.txt": to_yaml(reading.document),
        "ledger.txt": "".join(f"{row}\n" for row in rows),
    }


def folders() -> list[Path]:
    return sorted(path for path in CASES.iterdir() if path.is_dir())


@pytest.mark.parametrize("case", folders(), ids=lambda case: case.name)
def test_case(case: Path) -> None:
    expected = {path.name: path.read_text() for path in case.glob("*.txt")}
    assert outcome(case) == expected


@pytest.mark.parametrize("case", folders(), ids=lambda case: case.name)
def test_what_is_read_is_a_spec(case: Path) -> None:
    if (case / "faults.txt").exists():
        return
    files = sorted(path for path in case.iterdir() if path.suffix in (".yaml", ".json"))
    app = app_from_document(dict(KubernetesReader().read(files, {}, ()).document))
    assert not resolve(app, ())[1]


if __name__ == "__main__":
    for folder in folders():
        for stale in folder.glob("*.txt"):
            stale.unlink()
        for name, text in outcome(folder).items():
            (folder / name).write_text(text)
    sys.stdout.write(f"{len(folders())} cases\n")
