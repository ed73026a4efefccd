"""An imported spec as YAML that a person goes on with: the source's comments come along."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from orch.errors import UsageFault
from orch.load.files import read_text, shown
from orch.load.write import ledger_comments, to_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch.backend.contract import Reading
    from orch.types import FieldPath, Place

_COMMENT_LINE = re.compile(r"\s*#\s?(.*)")
_REACH = 40
"""Rows between a key and the first row of its value: comments and empty ones."""
_TRAILING = re.compile(r"\s#\s?(.*)$")


def spec_text(reading: Reading, files: Sequence[Path], format_: str) -> str:
    """The document as YAML, with the source's comments and a note at each field that suffered."""
    names = " and ".join(path.name if path.name != "-" else shown(path) for path in files)
    comments: dict[FieldPath, str] = {(): f"Read from {names} ({format_})."}
    for source in (source_comments(reading.places), ledger_comments(reading.ledger)):
        for path, text in source.items():
            comments[path] = f"{comments[path]}\n{text}" if path in comments else text
    return to_yaml(reading.document, comments)


def source_comments(places: Mapping[FieldPath, Place]) -> dict[FieldPath, str]:
    """Comments above and behind each line of the source, at the first path that it became."""
    sources: dict[str, list[str]] = {}
    taken: set[tuple[str, int]] = set()
    found: dict[FieldPath, str] = {}
    for path, place in sorted(places.items(), key=lambda item: (item[1], len(item[0]))):
        rows = sources.setdefault(place.file, _rows(place.file))
        row = _row_of(rows, path, place.line - 1)
        if row < 0 or (place.file, row) in taken:
            continue
        taken.add((place.file, row))
        text = "\n".join([*_above(rows, row), *_behind(rows[row])])
        if text:
            found[path] = text
    return found


def _row_of(rows: list[str], path: FieldPath, row: int) -> int:
    """The row of the key whose value begins in `row` or in a row after the key; -1 for none."""
    key = path[-1] if path else ""
    if isinstance(key, int):
        return row if row < len(rows) else -1
    written = re.compile(rf"""\s*(?:-\s+)?["']?{re.escape(key)}["']?\s*:""")
    for index in range(min(row, len(rows) - 1), max(row - _REACH, -1), -1):
        if written.match(rows[index]):
            return index
    return -1


def _rows(file: str) -> list[str]:
    try:
        return read_text(Path(file)).splitlines()
    except UsageFault:
        return []


def _above(rows: list[str], index: int) -> list[str]:
    """The comment lines just above a row."""
    found: list[str] = []
    while index and (match := _COMMENT_LINE.fullmatch(rows[index - 1])):
        found.insert(0, match[1].rstrip())
        index -= 1
    return found


def _behind(row: str) -> list[str]:
    """What follows a `#` in a row; where it could stand inside quotes, nothing."""
    match = _TRAILING.search(row)
    if match is None or any(quote in match[1] for quote in "\"'"):
        return []
    return [match[1].strip()]
