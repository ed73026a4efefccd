"""A spec as YAML that a person goes on with: the source's comments, and notes on what is lost."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch.types import Fidelity, render_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orch.backend.contract import Reading
    from orch.types import FieldPath, LedgerEntry, Place

_COMMENT_LINE = re.compile(r"^\s*#")
_TRAILING = re.compile(r"\s#\s?(.*)$")
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@-]*")


def spec_text(reading: Reading, files: Sequence[Path], format_: str) -> str:
    """The document as YAML in block style, ending with a newline."""
    names = " and ".join(path.name for path in files)
    comments = _comments(reading.places)
    homeless = _place_notes(reading, comments)
    head = [f"# Read from {names} ({format_})."]
    if homeless:
        head += ["# Not carried over:", *[f"#   {note}" for note in homeless]]
    return "\n".join([*head, *_mapping(reading.document, (), "", comments)]) + "\n"


@dataclass(slots=True)
class _Comment:
    """Lines that stand above a key, and what stands after its value."""

    above: list[str] = field(default_factory=list)
    after: str = ""


_Comments = dict["FieldPath", _Comment]


def _comments(places: Mapping[FieldPath, Place]) -> _Comments:
    """The source's own comments, each at the first document path that its line became."""
    lines: dict[str, list[str]] = {}
    taken: set[tuple[str, int]] = set()
    found: _Comments = {}
    for path, place in sorted(places.items(), key=lambda item: (item[1], len(item[0]))):
        source = lines.setdefault(place.file, _source(place.file))
        if not 0 < place.line <= len(source) or (place.file, place.line) in taken:
            continue
        taken.add((place.file, place.line))
        above, after = _above(source, place.line - 1), _after(source[place.line - 1])
        if above or after:
            found[path] = _Comment(above, after)
    return found


def _source(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _above(source: list[str], index: int) -> list[str]:
    start = index
    while start and _COMMENT_LINE.match(source[start - 1]):
        start -= 1
    return [row.strip() for row in source[start:index]]


def _after(row: str) -> str:
    """What follows a `#` outside quotes; a row with a quote after it is left alone."""
    match = _TRAILING.search(row)
    if match is None or any(quote in match[1] for quote in "\"'"):
        return ""
    return f"# {match[1].strip()}"


def _place_notes(reading: Reading, comments: _Comments) -> list[str]:
    """Put a note at the nearest key for each row that is not whole; return those without one."""
    homeless = []
    for row in reading.ledger.notable:
        if row.outcome.rank < Fidelity.DEGRADED.rank:
            continue
        note = _note(row)
        home = _nearest(reading.document, row.path)
        if home:
            comments.setdefault(home, _Comment()).above.append(f"# {note}")
        else:
            homeless.append(note)
    return homeless


def _note(row: LedgerEntry) -> str:
    mend = f"; {row.mend}" if row.mend else ""
    text = f"{row.outcome.value}: {render_path(row.path)}: {row.reason}{mend}"
    return " ".join(text.split())


def _nearest(document: Any, path: FieldPath) -> FieldPath:
    """The longest beginning of the path that the document holds."""
    for length, key in enumerate(path):
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            return path[:length]
    return path


def _mapping(
    value: Mapping[str, Any], path: FieldPath, indent: str, comments: _Comments
) -> Iterator[str]:
    for key, item in value.items():
        here = (*path, key)
        yield from _lead(here, indent, comments)
        yield from _entry(f"{indent}{_scalar(key)}:", item, here, indent, comments)


def _list(
    value: Sequence[Any], path: FieldPath, indent: str, comments: _Comments
) -> Iterator[str]:
    for index, item in enumerate(value):
        here = (*path, index)
        yield from _lead(here, indent, comments)
        if isinstance(item, dict) and item:
            rows = list(_mapping(item, here, f"{indent}  ", comments))
            first = next(i for i, row in enumerate(rows) if not _COMMENT_LINE.match(row))
            rows[first] = f"{indent}- {rows[first][len(indent) + 2 :]}"
            yield from rows
        else:
            yield from _entry(f"{indent}-", item, here, indent, comments)


def _entry(
    head: str, item: Any, path: FieldPath, indent: str, comments: _Comments
) -> Iterator[str]:
    tail = f"  {comments[path].after}" if path in comments and comments[path].after else ""
    if isinstance(item, dict) and item:
        yield f"{head}{tail}"
        yield from _mapping(item, path, f"{indent}  ", comments)
    elif isinstance(item, list | tuple) and item:
        yield f"{head}{tail}"
        yield from _list(item, path, f"{indent}  ", comments)
    elif _is_block(item):
        yield f"{head} |{'' if item.endswith(chr(10)) else '-'}{tail}"
        rows = item.removesuffix("\n").split("\n")
        yield from (f"{indent}  {row}" if row else "" for row in rows)
    else:
        yield f"{head} {_scalar(item)}{tail}"


def _lead(path: FieldPath, indent: str, comments: _Comments) -> Iterator[str]:
    if len(path) == 1:
        yield ""
    if path in comments:
        yield from (f"{indent}{row}" for row in comments[path].above)


def _is_block(item: Any) -> bool:
    """Whether a literal block holds the text unchanged."""
    if not isinstance(item, str) or "\n" not in item or item.endswith("\n\n"):
        return False
    printable = all(c.isprintable() or c in "\n\t" for c in item)
    return printable and not item.startswith((" ", "\n", "\t"))


def _scalar(value: Any) -> str:
    """A scalar as YAML; JSON's quoting where a bare word would be read as something else."""
    import json

    import yaml

    if isinstance(value, str) and _PLAIN.fullmatch(value) and yaml.safe_load(value) == value:
        return value
    if isinstance(value, dict | list | tuple):
        return "{}" if isinstance(value, dict) else "[]"
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
