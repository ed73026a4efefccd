"""Secret values are taken out of every text before anybody sees it."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from orch.errors import OrchError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orch.types import Event

MARK = "***"
SHORT = 4
"""A value shorter than this is only found where it stands as a word of its own."""
LONG_LINE = 8
"""A line of a value is searched for on its own from this length on."""

T = TypeVar("T")


class Redactor:
    """Knows every value that was read and blots it out, in the spellings that texts use."""

    def __init__(self) -> None:
        self._spellings: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, values: Iterable[str]) -> None:
        """Remember values, so that no text which passes holds one."""
        new = {spelling for value in values for spelling in _spellings(value)} - self._spellings
        if new:
            self._spellings |= new
            longest_first = sorted(self._spellings, key=len, reverse=True)
            self._pattern = re.compile("|".join(_matching(text) for text in longest_first))

    def text(self, text: str) -> str:
        """The text without secret values."""
        return self._pattern.sub(MARK, text) if self._pattern else text

    def value(self, value: Any) -> Any:
        """A JSON-shaped value without secret values; a tuple stays one."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)([self.value(item) for item in value])
        return value

    def event(self, event: Event) -> Event:
        """An event without secret values."""
        if self._pattern is None:
            return event
        return replace(event, message=self.text(event.message), data=self.value(event.data))

    def error(self, fault: BaseException) -> OrchError:
        """The same fault to raise anew, its texts cleaned and its cause left behind."""
        if not isinstance(fault, OrchError):
            return OrchError(self.text(f"{type(fault).__name__}: {fault}"))
        fault.fault, fault.mend = self.text(fault.fault), self.text(fault.mend)
        fault.place = self.text(fault.place)
        fault.args = (fault.fault,)
        fault.__cause__ = fault.__context__ = None
        return fault


def _spellings(value: str) -> set[str]:
    lines = {line for line in value.splitlines() if len(line) >= LONG_LINE}
    plain = {value, value.strip(), *lines} - {""}
    coded = {
        spelling
        for text in plain
        for spelling in (
            json.dumps(text)[1:-1],
            json.dumps(text, ensure_ascii=False)[1:-1],
            repr(text)[1:-1],
            quote(text, safe=""),
            b64encode(text.encode()).decode(),
        )
    }
    return plain | coded


def _matching(spelling: str) -> str:
    exact = re.escape(spelling)
    return exact if len(spelling) >= SHORT else rf"(?<!\w){exact}(?!\w)"
