"""What became of each Compose file of the corpus; run as a program, it writes the table anew."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from orch.backend.discovery import installed
from orch.errors import OrchError
from orch.load.source import Source, load
from orch.types import Fidelity

ROOT = Path(__file__).parents[2]
CORPUS = Path(os.environ.get("ORCH_CORPUS", ROOT.parent / "shared" / "corpus")) / "compose"
TABLE = Path(__file__).with_name("compose_outcomes.tsv")
HEAD = "path\toutcome\tlost\treason\twith\tcompleted"
# Files that are laid over others, by the layout of their repositories.
BASES = {
    "docker-compose-tests.override.yml": ("docker-compose-tests.yml",),
    "docker-compose.override.yml": ("docker-compose.yml",),
    "docker-compose.override.windows.yml": ("docker-compose.yml", "docker-compose.override.yml"),
    "docker-compose.prod.yml": ("docker-compose.yml",),
    "docker-compose-windows.prod.yml": ("docker-compose.yml",),
    "docker-compose.logging.yml": ("docker-compose.yml",),
    "docker-compose.nginx.yml": ("docker-compose.yml",),
    "docker-compose.without-nginx.yml": ("docker-compose.yml",),
    "docker-compose.traefik.yml": (),
    "compose.observability.yaml": ("compose.yaml",),
    "compose.profiling.yaml": ("compose.yaml",),
    "compose.agent.yaml": ("compose.yaml", "compose.observability.yaml"),
    "compose.tests.yaml": ("compose.yaml",),
    "compose.full.yaml": ("compose.yaml", "compose.observability.yaml"),
    "second.yaml": ("first.yaml",),
}
KINDS = (
    ("file", re.compile(r"there is no (such )?file|there is no such|this file is empty")),
    ("variable", re.compile(r"the variable \w+ is not set")),
    ("fragment", re.compile(r"has neither image nor build|has no service|reset")),
    ("cycle", re.compile(r"wait for each other|include each other|extend each other")),
    ("remote", re.compile(r"on another machine|remote:")),
    ("port", re.compile(r"is published already")),
    ("reference", re.compile(r"there is no (service|network|volume|config|secret)")),
)
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")
_SOURCE = re.compile(r"-\s*[\"']?\$\{?([A-Za-z_]\w*)\}?[^:\s]*:/")
_MISSING = re.compile(r"there is no (?:such )?file")
_NAMED = re.compile(r"(?:: |no file )(/[^:;]+?)(?:: there is no such file|;|$)", re.MULTILINE)


class Outcome(NamedTuple):
    """One row: as the file stands, and with what its repository would have beside it."""

    path: str
    outcome: str
    lost: int
    reason: str
    with_: str = ""
    completed: str = ""

    @classmethod
    def parse(cls, line: str) -> Outcome:
        path, outcome, lost, reason, with_, completed = line.split("\t")
        return cls(path, outcome, int(lost), reason, with_, completed)

    def line(self) -> str:
        return "\t".join(str(part) for part in self)


def files() -> list[Path]:
    """Every file of the corpus."""
    return sorted(path for path in CORPUS.rglob("*") if path.is_file())


def attempt(paths: tuple[Path, ...], variables: dict[str, str]) -> tuple[str, int, str]:
    """Load through the whole of core: outcome, lost rows, and the message of a refusal."""
    source = Source(files=paths, variables={"HOME": "/home/user", **variables})
    try:
        loaded = load(source, installed().readers)
    except OrchError as fault:
        return "refused", 0, str(fault)
    rows = loaded.ledger.notable if loaded.ledger else ()
    return "read", sum(row.outcome is Fidelity.LOST for row in rows), ""


def kind_of(message: str) -> str:
    """The kind of a refusal: that of its first fault which is of a known kind, else `invalid`."""
    found = [kind for kind, sign in KINDS if sign.search(message)]
    lines = message.splitlines()
    known = all(any(sign.search(line) for _, sign in KINDS) for line in lines)
    return found[0] if found and known else "invalid"


def outcome_of(path: Path) -> Outcome:
    """One file alone; when that is refused, once more with what belongs to it."""
    name = str(path.relative_to(CORPUS))
    outcome, lost, message = attempt((path,), {})
    if outcome == "read":
        return Outcome(name, outcome, lost, "")
    with_, completed = _complete(path)
    return Outcome(name, outcome, lost, kind_of(message), with_, completed)


def _complete(path: Path) -> tuple[str, str]:
    """Lay the file over its base; give missing files no content and unset variables the text 1."""
    repository = CORPUS / path.relative_to(CORPUS).parts[0]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "repository"
        shutil.copytree(repository, copy)
        inside = copy / path.relative_to(repository)
        bases = [inside.with_name(base) for base in BASES.get(path.name, ())]
        used = [base.name for base in bases]
        text = "".join(file.read_text() for file in copy.rglob("*.y*ml"))
        names = sorted(set(_VARIABLE.findall(text)))
        variables = {n: str(1000 + i) if "PORT" in n else "1" for i, n in enumerate(names)}
        variables |= dict.fromkeys(_SOURCE.findall(text), "/stand-in")
        outcome, _, message = attempt((*bases, inside), {})
        if outcome == "refused" and "variable" in message:
            used.append("variables")
            outcome, _, message = attempt((*bases, inside), variables)
        given = variables if "variables" in used else {}
        for _ in range(4):
            if outcome == "read" or not _MISSING.search(message):
                break
            if "files" not in used:
                used.append("files")
            _stand_in(message, copy)
            outcome, _, message = attempt((*bases, inside), given)
    return " ".join(used), outcome if outcome == "read" else kind_of(message)


def _stand_in(message: str, folder: Path) -> None:
    for missing in _NAMED.findall(message):
        path = Path(missing.strip())
        if path.is_relative_to(folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def table() -> dict[str, Outcome]:
    """The table as it was agreed on."""
    lines = TABLE.read_text().splitlines()[1:]
    return {outcome.path: outcome for outcome in map(Outcome.parse, lines)}


if __name__ == "__main__":
    rows = [outcome_of(path).line() for path in files()]
    TABLE.write_text("\n".join([HEAD, *rows]) + "\n")
    sys.stdout.write(f"{len(rows)} rows\n")
