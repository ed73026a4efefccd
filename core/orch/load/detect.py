"""Which format a file is written in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orch.errors import UsageFault
from orch.load.files import read_text, shown
from orch.load.hints import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orch.backend.contract import Reader

ORCH = "orch"
HEAD = 4096
_VERSION = re.compile(r"""^[\s{]*["']?apiVersion["']?\s*:\s*["']?orch/""", re.MULTILINE)
_CERTAIN, _NAMED, _POSSIBLE = 100, 95, 20


def is_ours(path: Path) -> bool:
    """Whether the file says itself that it is a spec of ours."""
    return _score(path, read_text(path)[:HEAD]) >= _NAMED


def format_of(path: Path, wanted: str | None, readers: Mapping[str, Reader]) -> str:
    """The name of the format, `orch` for our own.

    Raises UsageFault for an unknown `wanted`, and when two formats fit a file equally well.
    """
    if wanted is not None:
        return _known(wanted, readers)
    head = read_text(path)[:HEAD]
    scores = {ORCH: _score(path, head)}
    scores |= {name: reader.detect(path, head) for name, reader in readers.items()}
    best = max(scores.values())
    names = [name for name, score in scores.items() if score == best]
    if len(names) > 1 and best:
        raise UsageFault(
            f"this file may be {' or '.join(names)}",
            place=shown(path),
            mend=f"say which with --format, e.g. --format {names[0]}",
        )
    return names[0]


def _known(wanted: str, readers: Mapping[str, Reader]) -> str:
    if wanted == ORCH or wanted in readers:
        return wanted
    known = [ORCH, *readers]
    near = nearest(wanted, known)
    mend = f"did you mean {near}?" if near else f"choose one of {', '.join(known)}"
    raise UsageFault(f"there is no format {wanted!r}", mend=mend)


def _score(path: Path, head: str) -> int:
    if _VERSION.search(head):
        return _CERTAIN
    if path.name.split(".")[0] == ORCH:
        return _NAMED
    return _POSSIBLE if path.suffix in (".yaml", ".yml", ".json", "") else 1
