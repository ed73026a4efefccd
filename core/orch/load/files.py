"""Reading YAML and JSON: fast and without positions; see `positions` for the second reading."""

from __future__ import annotations

import os
import re
import select
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml_rs

from orch.errors import InvalidSpec, UsageFault
from orch.load.mergekeys import MERGE_KEY, merged
from orch.types import Diagnostic, Place

MAX_BYTES = 32 << 20
"""The largest file that is read: 30,000 services of 50 settings each need about as much."""
STDIN = Path("-")
PIPE_SECONDS = 5
"""How long a pipe is waited for to which nobody writes."""
_STREAMS = frozenset(map(Path, ("/dev", "/dev/fd", "/proc/self/fd")))
_ALIASES = yaml_rs.AliasLimits(max_total_replayed_events=1_000_000, max_replay_stack_depth=64)
_AT = re.compile(r"YAML parse error at line (\d+), column (\d+)")
# Where yaml_rs departs from the core schema of YAML 1.2: it takes `1_0`, `0b1`, `0X1` and `-0x1`
# for numbers, and passes over tags that it does not know.
_UNDERSCORED = re.compile(
    r"[\s,\[{:][-+]?(?=[^\s,\]}:]*_)(?:0[xo][\da-fA-F_]+|[.\d_][\d_.eE+-]*)(?=[\s,\]}:]|$)"
)
_ODD = re.compile(r"(?:^|[\s,\[{:])(?:![^=\s]|[-+]?0[XOBb][\da-fA-F_]|[-+]0[xo][\da-fA-F_])")
_NUMERIC = frozenset(".0123456789")
_MARKS = ("!", "0b", "0B", "0O", "0X", "-0x", "-0o", "+0x", "+0o")
_MENDS = {
    "tabs": "indent with spaces",
    "unclosed": "close it",
    "mapping values": "put the key on a line of its own, or quote text that holds ': '",
    "expected key": "check the indentation of this line and the one before",
    "unexpected character": "put the value in quotes",
    "escape character": "write the text in single quotes, or \\\\ for a backslash",
    "unknown anchor": "name the anchor with & before it is used",
    "recursion": "nest it less deeply",
    "flow construct": "close the bracket or brace before it",
    "indentation": "check that the quote is closed and the lines below are indented",
}


def shown(path: Path) -> str:
    """The name that messages give to a file."""
    return "<stdin>" if path == STDIN else str(path)


@cache
def _stdin() -> bytes:
    return sys.stdin.buffer.read(MAX_BYTES + 1)


@cache
def _pipe(path: Path) -> bytes:
    """What is written to a pipe, to its end. Raises UsageFault when nobody writes to it."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(handle, "rb") as pipe:  # noqa: PTH123  (a path can't be opened without waiting)
        first: bytes | None = None
        if not select.select([pipe], [], [], PIPE_SECONDS)[0]:
            first = pipe.read(1)  # None as long as a writer is there and takes its time
            if first == b"":
                raise UsageFault(
                    f"this is a pipe, and nobody has written to it for {PIPE_SECONDS} s",
                    place=shown(path),
                    mend="start what writes to it, or name a file",
                )
        os.set_blocking(handle, True)
        return (first or b"") + pipe.read(MAX_BYTES + 1)


def folder_of(path: Path) -> Path:
    """The folder that relative paths in a file start from: for a stream, the working directory."""
    return Path() if path == STDIN or path.parent in _STREAMS else path.parent


def read_text(path: Path) -> str:
    """The text of a file; `-` is standard input, which is read once and kept, as a pipe is.

    Raises UsageFault when it is missing, unreadable, too large or not text.
    """
    raw = _stdin() if path == STDIN else _read(path)
    name = shown(path)
    _check_size(len(raw), name)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = raw.count(b"\n", 0, fault.start) + 1
        raise _not_text(name, line, "this is not UTF-8 text") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise _not_text(name, line, "this is a binary file")
    return text


def _not_text(name: str, line: int, fault: str) -> UsageFault:
    mend = "give a YAML or JSON file in UTF-8"
    return UsageFault(fault, place=str(Place(name, line, 1)), mend=mend)


def _read(path: Path) -> bytes:
    name = shown(path)
    try:
        if path.is_fifo():
            return _pipe(path)
        if path.is_file():
            _check_size(path.stat().st_size, name)
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        fault, mend = "there is no such file", _near_file(path)
    except IsADirectoryError:
        fault, mend = "this is a folder", "name a file in it"
    except PermissionError:
        fault, mend = "this file may not be read by you", "change its permissions"
    except OSError as error:
        fault, mend = f"this file can't be read: {error.strerror}", "check the path"
    raise UsageFault(fault, place=name, mend=mend)


def _near_file(path: Path) -> str:
    from difflib import get_close_matches

    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"the folder {path.parent} can't be read either; check the path"
    near = get_close_matches(path.name, names, 1)
    return f"did you mean {path.parent / near[0]}?" if near else "check the path"


def _check_size(size: int, name: str) -> None:
    if size > MAX_BYTES:
        raise UsageFault(
            f"this file has more than {MAX_BYTES >> 20} MiB",
            place=name,
            mend="split the application, or move long contents to files of `configs`",
        )


def parse(text: str, name: str) -> dict[str, Any]:
    """The one mapping that a YAML or JSON text holds. Raises InvalidSpec."""
    documents = parse_documents(text, name)
    if not documents:
        raise _invalid(name, "this file is empty", "write a mapping such as `name: shop`")
    if len(documents) > 1:
        raise _invalid(
            name,
            f"this file holds {len(documents)} documents",
            "keep one, or give each its own file and -f",
        )
    if not isinstance(documents[0], dict):
        kind = "a list" if isinstance(documents[0], list) else "a single value"
        raise _invalid(name, f"this file holds {kind}", "write a mapping such as `name: shop`")
    return documents[0]


def parse_documents(text: str, name: str) -> list[Any]:
    """Every document of a YAML or JSON text that is not empty. Raises InvalidSpec."""
    try:
        if name.endswith(".json"):
            return _json(text, name)
        if _departs(text):
            from orch.load.positions import construct_documents

            return construct_documents(text, name)
        return _yaml(text, name)
    except RecursionError:
        raise _invalid(name, "this file is nested too deeply", "nest it less deeply") from None


def _departs(text: str) -> bool:
    """Whether the text may hold something that the fast parser reads in its own way."""
    if any(mark in text for mark in _MARKS) and _ODD.search(text):
        return True
    beside_digit = "0x" in text or any(
        left[-1:] in _NUMERIC or right[:1] in _NUMERIC for left, right in pairwise(text.split("_"))
    )
    return beside_digit and _UNDERSCORED.search(text) is not None


def _yaml(text: str, name: str) -> list[Any]:
    try:
        whole: Any = yaml_rs.loads(text, parse_datetime=False, alias_limits=_ALIASES)
    except yaml_rs.YAMLDecodeError as fault:
        raise InvalidSpec(_syntax(str(fault), text, name)) from None
    documents = whole if isinstance(whole, list) and not _is_one_list(text) else [whole]
    documents = [document for document in documents if document is not None]
    if MERGE_KEY not in text:
        return documents
    return [merged(document, name) for document in documents]


def _is_one_list(text: str) -> bool:
    """The fast parser gives a list for a list, and for several documents."""
    from orch.load.positions import count_documents

    return count_documents(text) < 2  # noqa: PLR2004  (several are two or more)


def _json(text: str, name: str) -> list[Any]:
    import json

    try:
        return [json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)]
    except json.JSONDecodeError as fault:
        if not text.strip():
            return []
        place = Place(name, fault.lineno, fault.colno)
        message = fault.msg[0].lower() + fault.msg[1:]
        diagnostic = Diagnostic(f"this is not JSON: {message}", place=place, mend="correct it here")
    except _DuplicateKeyError:
        raise InvalidSpec(_duplicates(text, name)) from None
    except ValueError as fault:
        diagnostic = Diagnostic(str(fault), place=Place(name), mend="write a finite number")
    raise InvalidSpec([diagnostic])


class _DuplicateKeyError(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    whole = dict(pairs)
    if len(whole) != len(pairs):
        raise _DuplicateKeyError
    return whole


def _no_constant(text: str) -> float:
    msg = f"{text} is no number of JSON"
    raise ValueError(msg)


def _syntax(message: str, text: str, name: str) -> list[Diagnostic]:
    if message.startswith("duplicate mapping key"):
        return _duplicates(text, name) or [Diagnostic(message, place=Place(name))]
    if message.startswith("alias replay limit"):
        fault = "the aliases of this file unfold to more than a million parts"
        return [Diagnostic(fault, place=Place(name), mend="use fewer aliases")]
    at = _AT.search(message)
    place = Place(name, int(at[1]), int(at[2])) if at else Place(name)
    reason = message.strip().rsplit("\n", 1)[-1]
    mend = next((mend for sign, mend in _MENDS.items() if sign in reason), "correct it here")
    return [Diagnostic(f"this is not YAML: {reason}", place=place, mend=mend)]


def _duplicates(text: str, name: str) -> list[Diagnostic]:
    from orch.load.positions import duplicate_keys

    return [
        Diagnostic(
            "this key stands here a second time",
            path,
            place,
            f"keep one; the first is at line {first.line}",
        )
        for path, place, first in duplicate_keys(text, name)
    ]


def _invalid(name: str, fault: str, mend: str) -> InvalidSpec:
    return InvalidSpec([Diagnostic(fault, place=Place(name), mend=mend)])
