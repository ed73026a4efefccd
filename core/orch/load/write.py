"""A document as YAML that a person would write: ordered as the reference is, with comments."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY
from orch.load.interpolate import escape
from orch.spec.shape import Shape, root
from orch.types import Fidelity, parse_path, render_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orch.types import FieldPath, Key, LedgerEntry

_WIDTH = 88
_PLAIN = re.compile(r"[A-Za-z_/.](?:[\w./@=+%$~-]|:(?=[^\s:])| (?=[^\s#]))*")
_RESERVED = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n", ".inf", ".nan"))
_LAST_SHORT = 0xFFFF
_UNPRINTABLE = re.compile(
    r"[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_SPACED = frozenset(("services", "jobs"))


def to_yaml(document: Mapping[str, Any], comments: Mapping[FieldPath, str] = EMPTY) -> str:
    """Write a document, so that reading it again gives the same.

    Keys stand in the order of the reference. A dollar sign is doubled, because the file will be
    interpolated when it is read. A comment whose path is not in the document, or is inside a
    list, is written at the nearest part above, and begins with the rest of its path.
    """
    placed: dict[FieldPath, list[str]] = {}
    for path, text in comments.items():
        above = _nearest(document, path)
        rest = render_path(path[len(above) :])
        placed.setdefault(above, []).extend((f"{rest}: {text}" if rest else text).splitlines())
    lines = [f"# {line}".rstrip() for line in placed.get((), [])]
    lines += _Emitter(placed).mapping(escape(_plain(document)), (), root(), 0)
    return "\n".join(lines) + "\n"


def ledger_comments(ledger: Iterable[LedgerEntry]) -> dict[FieldPath, str]:
    """What a reader could not carry over as it was, as comments for `to_yaml`.

    An index counts the source's list, so the comment stands above the whole list. Where the
    source has other words than the spec, the comment names its place there, and stands at what
    came of it.
    """
    found: dict[FieldPath, str] = {}
    for entry in ledger:
        if entry.outcome is not Fidelity.NATIVE and not entry.default:
            mend = f" ({entry.mend})" if entry.mend else ""
            text = f"{entry.outcome}: {entry.reason}{mend}"
            path = entry.path
            if entry.outputs and str(path[0]) not in root().fields:
                path, text = parse_path(entry.outputs[0]), f"{render_path(path)}: {text}"
            found[path] = f"{found[path]}\n{text}" if path in found else text
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _nearest(document: Any, path: FieldPath) -> FieldPath:
    """The longest beginning of a path that the document has; a list is not entered."""
    value = document
    for depth, key in enumerate(path):
        if isinstance(key, int):
            return path[:depth]
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return path[:depth]
    return path


class _Emitter:
    """Values to lines; comments stand above what they are about."""

    def __init__(self, comments: Mapping[FieldPath, Sequence[str]]) -> None:
        self._comments = comments

    def mapping(
        self, value: Mapping[str, Any], path: FieldPath, shape: Shape | None, indent: int
    ) -> list[str]:
        lines: list[str] = []
        spaced = len(path) == 1 and path[0] in _SPACED
        for key in _ordered(value, shape):
            if lines and (spaced or (not path and isinstance(value[key], dict))):
                lines.append("")
            child = shape.child(key) if shape is not None else None
            lines += self._comment((*path, key), indent)
            lines += self._entry(f"{_scalar(key)}:", value[key], (*path, key), child, indent)
        return lines

    def _entry(
        self, head: str, value: Any, path: FieldPath, shape: Shape | None, indent: int
    ) -> list[str]:
        margin = " " * indent
        if isinstance(value, str) and _is_block(value):
            return [f"{margin}{head} {_chomping(value)}", *_block(value, indent + 2)]
        flow = None if self._commented_below(path) else _flow(value)
        if flow is not None and (
            not value
            or not isinstance(value, dict | list)
            or indent + len(head) + len(flow) < _WIDTH
        ):
            return [f"{margin}{head} {flow}"]
        if isinstance(value, list):
            return [f"{margin}{head}", *self._list(value, path, shape, indent + 2)]
        return [f"{margin}{head}", *self.mapping(value, path, shape, indent + 2)]

    def _list(
        self, value: Sequence[Any], path: FieldPath, shape: Shape | None, indent: int
    ) -> list[str]:
        lines: list[str] = []
        for index, item in enumerate(value):
            child = shape.child(index) if shape is not None else None
            lines += self._comment((*path, index), indent)
            lines += self._item(item, (*path, index), child, indent)
        return lines

    def _item(self, item: Any, path: FieldPath, shape: Shape | None, indent: int) -> list[str]:
        margin = " " * indent
        if isinstance(item, dict) and item:
            flow = _small(item, shape)
            if flow is not None and not self._commented_below(path):
                return [f"{margin}- {flow}"]
            first, *rest = self.mapping(item, path, shape, indent + 2)
            return [f"{margin}- {first.lstrip()}", *rest]
        if isinstance(item, list) and item and _flow(item) is None:
            return [f"{margin}-", *self._list(item, path, shape, indent + 2)]
        return self._entry("-", item, path, shape, indent)

    def _comment(self, path: FieldPath, indent: int) -> Iterator[str]:
        for line in self._comments.get(path, ()):
            yield f"{' ' * indent}# {line}".rstrip()

    def _commented_below(self, path: FieldPath) -> bool:
        size = len(path)
        return any(len(other) > size and other[:size] == path for other in self._comments)


def _ordered(value: Mapping[str, Any], shape: Shape | None) -> list[str]:
    """The model's fields first, in its order; names and `x-…` as they came."""
    fields = list(shape.fields) if shape is not None else []
    rank: dict[Key, int] = {name: number for number, name in enumerate(fields)}
    return sorted(value, key=lambda key: rank.get(key, len(fields)))


def _flow(value: Any) -> str | None:
    """A scalar, an empty part or a list of scalars on one line; None for all else."""
    if isinstance(value, list):
        if any(isinstance(item, dict | list) or _is_block(item) for item in value):
            return None
        return f"[{', '.join(_scalar(item, flow=True) for item in value)}]"
    if isinstance(value, dict):
        return None if value else "{}"
    return _scalar(value)


def _small(item: Mapping[str, Any], shape: Shape | None) -> str | None:
    """A mapping of a few scalars on one line."""
    if any(isinstance(value, dict | list) or _is_block(value) for value in item.values()):
        return None
    keys = _ordered(item, shape)
    parts = [f"{_scalar(key, flow=True)}: {_scalar(item[key], flow=True)}" for key in keys]
    text = f"{{{', '.join(parts)}}}"
    return text if len(text) < _WIDTH - 20 else None


def _scalar(value: Any, *, flow: bool = False) -> str:
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    text = str(value)
    plain = _PLAIN.fullmatch(text) and text.lower() not in _RESERVED and text != "."
    if plain and not re.match(r"\.\d", text) and not (flow and ":" in text):
        return text
    return _UNPRINTABLE.sub(_escaped, json.dumps(text, ensure_ascii=False))


def _escaped(match: re.Match[str]) -> str:
    """JSON's pair of surrogates means nothing to YAML, which has an escape of eight digits."""
    code = ord(match[0])
    return f"\\u{code:04x}" if code <= _LAST_SHORT else f"\\U{code:08x}"


def _is_block(value: Any) -> bool:
    """Whether a text is best written line by line, and can be."""
    if not isinstance(value, str) or "\n" not in value.strip("\n"):
        return False
    lines = value.split("\n")
    return not (
        _UNPRINTABLE.search(value)
        or value[0] in " \n"
        or any(line != line.rstrip() for line in lines)
    )


def _chomping(text: str) -> str:
    if not text.endswith("\n"):
        return "|-"
    return "|+" if text.endswith("\n\n") else "|"


def _block(text: str, indent: int) -> list[str]:
    lines = text.split("\n")
    if text.endswith("\n"):
        lines.pop()
    return [f"{' ' * indent}{line}".rstrip() for line in lines]
