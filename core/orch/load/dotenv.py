r"""Files of variables (`.env`, and Compose's `env_file`), by Compose's rules.

A line is `KEY=VALUE` or `KEY: VALUE`, with `export ` before it if one likes. Single quotes keep
everything as it is; double quotes know `\n`, `\t` and the like; both may span lines. Outside
single quotes variables are replaced. A `#` after white space begins a comment. A key alone takes
its value from the variables given, and is left out when they have none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from orch.load.interpolate import expand
from orch.types import Diagnostic, Place, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

_BLANK = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\r?\n)*[ \t]*(?:#[^\n]*)?")
_KEY = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.\-\[\]]*)[ \t]*([=:]?)[ \t]*")
_BARE = re.compile(r"[^\n]*")
_QUOTED = {
    "'": re.compile(r"'([^']*)'", re.DOTALL),
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL),
}
_TAIL = re.compile(r"[ \t]*(?:#[^\n]*)?\r?(?:\n|$)")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_LONE_DOLLAR = re.compile(r"\$\$|\$(?![A-Za-z_{])")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class Variables(NamedTuple):
    """What a file of variables holds."""

    values: dict[str, str]
    diagnostics: tuple[Diagnostic, ...]


def read_variables(text: str, name: str, outer: Mapping[str, str]) -> Variables:
    """Read a file's text; `name` is for messages, `outer` are variables that win over its own."""
    return _Reading(text, name, outer).whole()


class _Reading:
    def __init__(self, text: str, name: str, outer: Mapping[str, str]) -> None:
        self._text, self._name, self._outer = text.removeprefix("\ufeff"), name, outer
        self._values: dict[str, str] = {}
        self._diagnostics: list[Diagnostic] = []

    def whole(self) -> Variables:
        at = self._skip(0)
        while at < len(self._text):
            at = self._skip(self._line(at))
        return Variables(self._values, tuple(self._diagnostics))

    def _skip(self, at: int) -> int:
        blank = _BLANK.match(self._text, at)
        return blank.end() if blank else at

    def _line(self, at: int) -> int:
        key = _KEY.match(self._text, at)
        if key is None:
            self._fault(at, "this is not KEY=VALUE", "write KEY=VALUE, or # before a comment")
            return self._line_end(at)
        if not key[2]:
            return self._lone(key[1], at, key.end())
        quote = self._text[key.end() : key.end() + 1]
        if quote in _QUOTED:
            return self._quoted(key[1], quote, key.end())
        return self._unquoted(key[1], key.end())

    def _lone(self, key: str, start: int, at: int) -> int:
        end = self._line_end(at)
        if _COMMENT.sub("", self._text[at:end]).strip():
            self._fault(start, "this is not KEY=VALUE", "write KEY=VALUE, or # before a comment")
        elif key in self._outer:
            self._values[key] = self._outer[key]
        return end

    def _unquoted(self, key: str, at: int) -> int:
        bare = _BARE.match(self._text, at)
        raw = bare[0] if bare else ""
        self._values[key] = self._expanded(_COMMENT.sub("", raw).strip(), at)
        return at + len(raw)

    def _quoted(self, key: str, quote: str, at: int) -> int:
        quoted = _QUOTED[quote].match(self._text, at)
        if quoted is None:
            self._fault(at, f"the quote {quote} is not closed", f"end the value with {quote}")
            return self._line_end(at)
        inner = quoted[1]
        self._values[key] = inner if quote == "'" else self._unescaped(inner, at)
        tail = _TAIL.match(self._text, quoted.end())
        if tail is None:
            self._fault(quoted.end(), "there is text after the closing quote", "remove it")
            return self._line_end(quoted.end())
        return tail.end()

    def _unescaped(self, text: str, at: int) -> str:
        """Escapes first name the character, and an escaped dollar stays a dollar."""

        def character(match: re.Match[str]) -> str:
            if match[1] == "$":
                return "$$"
            return _ESCAPES.get(match[1], match[1] if match[1] in "\"\\'" else match[0])

        return self._expanded(_ESCAPE.sub(character, text), at)

    def _expanded(self, text: str, at: int) -> str:
        if "$" not in text:
            return text
        text = _LONE_DOLLAR.sub("$$", text)
        value, faults = expand(text, {**self._values, **self._outer})
        for fault in faults:
            self._fault(at, fault.fault, fault.mend, fault.severity)
        return value

    def _line_end(self, at: int) -> int:
        end = self._text.find("\n", at)
        return len(self._text) if end < 0 else end

    def _fault(self, at: int, fault: str, mend: str, severity: Severity = Severity.ERROR) -> None:
        line = self._text.count("\n", 0, at) + 1
        column = at - (self._text.rfind("\n", 0, at) + 1) + 1
        place = Place(self._name, line, column)
        self._diagnostics.append(Diagnostic(fault, place=place, mend=mend, severity=severity))
