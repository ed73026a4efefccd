"""Each folder of cases is a reading: its files, and the document, rows or faults that come of it.

Run as a program, it writes what is expected anew; look at the difference before you keep it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orch.errors import InvalidSpec
from orch.load.write import to_yaml
from orch_compose import ComposeReader

CASES = Path(__file__).with_name("cases")
ORDER = ("compose.yaml", "override.yaml", "second.yaml")
VARIABLES = {"HOME": "/home/user"}


def outcome(case: Path) -> dict[str, str]:
    """What is expected: by file name, its text."""
    files = [case / name for name in ORDER if (case / name).is_file()]
    try:
        reading = ComposeReader().read(files, VARIABLES, ())
    except InvalidSpec as fault:
        return {"faults.txt": f"{fault}\n".replace(str(case), ".")}
    rows = [
        f"{row.outcome} {row.consequence} {'.'.join(map(str, row.path))}: {row.reason}"
        for row in reading.ledger.notable
    ]
    return {
        "document.txt": to_yaml(reading.document).replace(str(case), "/project"),
        "ledger.txt": "".join(f"{row}\n" for row in rows),
    }


def folders() -> list[Path]:
    return sorted(path for path in CASES.iterdir() if path.is_dir())


@pytest.mark.parametrize("case", folders(), ids=lambda case: case.name)
def test_case(case: Path) -> None:
    expected = {path.name: path.read_text() for path in case.glob("*.txt")}
    assert outcome(case) == expected


if __name__ == "__main__":
    for folder in folders():
        for stale in folder.glob("*.txt"):
            stale.unlink()
        for name, text in outcome(folder).items():
            (folder / name).write_text(text)
    sys.stdout.write(f"{len(folders())} cases\n")
