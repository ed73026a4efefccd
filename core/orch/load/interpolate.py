"""Variables in values, by the grammar of Compose: `$V`, `${V:-default}`, `${V:?fault}` and more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from orch.types import Diagnostic, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.types import FieldPath, Key

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_BRACE = re.compile(r"\$\$|\$\{|\}")
MAX_DEPTH = 32
"""How deep defaults may hold further variables."""


class Interpolation(NamedTuple):
    """A tree with its variables replaced.

    `touched` are the paths of the values that held one: they are text, whatever they look like,
    and the caller decides which of them may be numbers (see `scalar_of`).
    """

    tree: Any
    diagnostics: tuple[Diagnostic, ...]
    touched: tuple[FieldPath, ...]


def interpolate(tree: Any, variables: Mapping[str, str], path: FieldPath = ()) -> Interpolation:
    """Replace variables in every text value of a JSON-shaped tree; keys stay as they are.

    `path` is where the tree stands in its document. The tree is not altered. A variable that is
    unset and has no default becomes empty text with one warning; unset required variables and
    text that is no variable are errors, all of them in one go.
    """
    walk = _Walk(variables, list(path))
    replaced = walk.value(tree)
    return Interpolation(replaced, tuple(walk.diagnostics), tuple(walk.touched))


def expand(text: str, variables: Mapping[str, str]) -> tuple[str, tuple[Diagnostic, ...]]:
    """Replace the variables of one text."""
    done = interpolate(text, variables)
    return done.tree, done.diagnostics


def escape(tree: Any) -> Any:
    """Double every `$`, so that interpolation gives the same tree back."""
    if isinstance(tree, str):
        return tree.replace("$", "$$")
    if isinstance(tree, dict):
        return {key: escape(item) for key, item in tree.items()}
    return [escape(item) for item in tree] if isinstance(tree, list) else tree


class _Malformed(Exception):
    """Text after a `$` that is no variable."""

    def __init__(self, part: str) -> None:
        self.part = part


class _Walk:
    def __init__(self, variables: Mapping[str, str], path: list[Key]) -> None:
        self._variables, self._path = variables, path
        self._warned: set[str] = set()
        self.diagnostics: list[Diagnostic] = []
        self.touched: list[FieldPath] = []

    def value(self, value: Any) -> Any:
        if type(value) is str:
            return self._text(value) if "$" in value else value
        if type(value) is dict:
            return self._items(value, value.items(), dict)
        return self._items(value, enumerate(value), _in_order) if type(value) is list else value

    def _items(self, whole: Any, items: Any, rebuild: Any) -> Any:
        changed: dict[Any, Any] = {}
        for key, item in items:
            if type(item) is str and "$" not in item:
                continue
            self._path.append(key)
            new = self.value(item)
            self._path.pop()
            if new is not item:
                changed[key] = new
        if not changed:
            return whole
        pairs = whole.items() if rebuild is dict else enumerate(whole)
        return rebuild((key, changed.get(key, item)) for key, item in pairs)

    def _text(self, text: str) -> str:
        try:
            replaced = self._expand(text, 0)
        except _Malformed as malformed:
            self._malformed(malformed.part)
            return text
        if text.replace("$$", "").count("$"):
            self.touched.append(tuple(self._path))
        return replaced

    def _expand(self, text: str, depth: int) -> str:
        if depth > MAX_DEPTH:
            raise _Malformed(text)
        parts: list[str] = []
        at = 0
        while (dollar := text.find("$", at)) >= 0:
            parts.append(text[at:dollar])
            value, at = self._variable(text, dollar, depth)
            parts.append(value)
        parts.append(text[at:])
        return "".join(parts)

    def _variable(self, text: str, dollar: int, depth: int) -> tuple[str, int]:
        """The value of what begins at this `$`, and where the text goes on after it."""
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            return "$", dollar + 2
        if following == "{":
            end = _closing(text, dollar)
            return self._braced(text[dollar : end + 1], depth), end + 1
        name = _NAME.match(text, dollar + 1)
        if name is None:
            raise _Malformed(text[dollar : dollar + 2])
        return self._plain(name[0]), name.end()

    def _braced(self, part: str, depth: int) -> str:
        body = part[2:-1]
        name = _NAME.match(body)
        if name is None:
            raise _Malformed(part)
        if name.end() == len(body):
            return self._plain(body)
        operator = _OPERATOR.match(body, name.end())
        if operator is None:
            raise _Malformed(part)
        return self._operated(name[0], operator[0], body[operator.end() :], depth)

    def _operated(self, name: str, operator: str, argument: str, depth: int) -> str:
        value = self._variables.get(name)
        given = bool(value) if operator[0] == ":" else value is not None
        if operator[-1] == "+":
            return self._expand(argument, depth + 1) if given else ""
        if given:
            return value or ""
        if operator[-1] == "-":
            return self._expand(argument, depth + 1)
        self._required(name, self._expand(argument, depth + 1))
        return ""

    def _plain(self, name: str) -> str:
        value = self._variables.get(name)
        if value is None:
            self._unset(name)
        return value or ""

    def _unset(self, name: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            fault = f"the variable {name} is not set, so empty text stands in its place"
            mend = f"set it, or write ${{{name}:-default}}"
            self._report(fault, mend, Severity.WARNING)

    def _required(self, name: str, message: str) -> None:
        state = "empty" if name in self._variables else "not set"
        fault = f"the variable {name} is {state}"
        mend = f"set {name} in the environment, in .env or with --set {name}=VALUE"
        self._report(f"{fault}: {message}" if message else fault, mend, Severity.ERROR)

    def _malformed(self, part: str) -> None:
        mend = "write ${NAME}, or $$ for a dollar sign"
        self._report(f"{part!r} is not a variable", mend, Severity.ERROR)

    def _report(self, fault: str, mend: str, severity: Severity) -> None:
        self.diagnostics.append(Diagnostic(fault, tuple(self._path), mend=mend, severity=severity))


def _in_order(pairs: Any) -> list[Any]:
    return [item for _, item in pairs]


def _closing(text: str, start: int) -> int:
    """Where the brace opened at `start` closes; those of variables inside are passed over."""
    depth = 0
    for brace in _BRACE.finditer(text, start):
        if brace[0] == "${":
            depth += 1
        elif brace[0] == "}":
            depth -= 1
            if depth == 0:
                return brace.start()
    raise _Malformed(text[start:])
