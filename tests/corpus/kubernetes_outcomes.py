"""What became of each manifest of the corpus; run as a program, it writes the table anew."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from orch.backend.discovery import installed
from orch.errors import OrchError
from orch.load.source import Source, load
from orch.types import Fidelity
from tests.corpus.outcomes import CORPUS as COMPOSE

CORPUS = COMPOSE.parent
FOLDERS = ("kubernetes", "kubernetes-kustomization")
TABLE = Path(__file__).with_name("kubernetes_outcomes.tsv")
HEAD = "path\toutcome\tlost\treason\tfolder"
KINDS = (
    ("nothing-runs", re.compile(r"nothing here runs")),
    ("kustomization", re.compile(r"kustomization, which has to be rendered")),
    ("template", re.compile(r"template of (Helm|OpenShift), which has to be rendered")),
    ("patch", re.compile(r"has no containers")),
    ("image", re.compile(r"is not an image")),
    ("no-object", re.compile(r"is no object of Kubernetes")),
)


class Outcome(NamedTuple):
    """One row: the file alone, and all files of its folder together."""

    path: str
    outcome: str
    lost: int
    reason: str
    folder: str

    @classmethod
    def parse(cls, line: str) -> Outcome:
        path, outcome, lost, reason, folder = line.split("\t")
        return cls(path, outcome, int(lost), reason, folder)

    def line(self) -> str:
        return "\t".join(str(part) for part in self)


def files() -> list[Path]:
    """Every file of the corpus."""
    found = (path for folder in FOLDERS for path in (CORPUS / folder).rglob("*"))
    return sorted(path for path in found if path.is_file())


def attempt(paths: tuple[Path, ...]) -> tuple[str, int, str]:
    """Load through the whole of core: outcome, lost rows, and the message of a refusal."""
    try:
        loaded = load(Source(files=paths, format="kubernetes"), installed().readers)
    except OrchError as fault:
        return "refused", 0, str(fault)
    rows = loaded.ledger.notable if loaded.ledger else ()
    return "read", sum(row.outcome is Fidelity.LOST for row in rows), ""


def kind_of(message: str) -> str:
    """The kind of a refusal: that of its first fault which is of a known kind, else `invalid`."""
    return next((kind for kind, sign in KINDS if sign.search(message)), "invalid")


@cache
def _folder(folder: Path) -> str:
    beside = tuple(sorted(path for path in folder.iterdir() if path.is_file()))
    outcome, _, message = attempt(beside)
    return outcome if outcome == "read" else kind_of(message)


def outcome_of(path: Path) -> Outcome:
    """One file alone, and with those beside it."""
    outcome, lost, message = attempt((path,))
    reason = "" if outcome == "read" else kind_of(message)
    return Outcome(str(path.relative_to(CORPUS)), outcome, lost, reason, _folder(path.parent))


def table() -> dict[str, Outcome]:
    """The table as it was agreed on."""
    lines = TABLE.read_text().splitlines()[1:]
    return {outcome.path: outcome for outcome in map(Outcome.parse, lines)}


if __name__ == "__main__":
    rows = [outcome_of(path).line() for path in files()]
    TABLE.write_text("\n".join([HEAD, *rows]) + "\n")
    sys.stdout.write(f"{len(rows)} rows\n")
