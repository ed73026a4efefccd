"""Secret values are taken out of every text before anybody sees it."""

from __future__ import annotations

import json
import re
import threading
from base64 import b64encode, urlsafe_b64encode
from dataclasses import replace
from typing import TYPE_CHECKING, Any
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
WIDTHS = (64, 76)
"""Characters in a line of base64: in PEM and in mail (RFC 7468, RFC 2045)."""
NO_TEXT = "\ufffd"
"""What stands for bytes that are no text once they are shown as text."""


class Redactor:
    """Knows every value that was read and blots it out, in the spellings that texts use."""

    def __init__(self) -> None:
        self._learning = threading.Lock()
        self._values: set[bytes] = set()
        self._spellings: set[str] = set()
        self._long: list[str] = []
        self._short: re.Pattern[str] | None = None

    def learn(self, values: Iterable[str | bytes]) -> None:
        """Remember values, so that no text which passes holds one."""
        # Whoever learns the same at once waits: a text may pass only once the spellings are known.
        with self._learning:
            self._learn({_bytes(value) for value in values} - self._values)

    def _learn(self, new: set[bytes]) -> None:
        if new:
            self._values |= new
            self._spellings |= {spelling for value in new for spelling in _spellings(value)}
            longest_first = sorted(self._spellings, key=len, reverse=True)
            self._long = [text for text in longest_first if len(text) >= SHORT]
            short = "|".join(re.escape(text) for text in longest_first if len(text) < SHORT)
            self._short = re.compile(rf"(?<!\w)(?:{short})(?!\w)") if short else None

    def text(self, text: str) -> str:
        """The text without secret values."""
        # A large value has thousands of spellings: to look for each is much faster than a pattern.
        for spelling in self._long:
            if spelling in text:
                text = text.replace(spelling, MARK)
        return self._short.sub(MARK, text) if self._short else text

    def value(self, value: Any) -> Any:
        """A JSON-shaped value without secret values; a tuple stays one."""
        if not self._spellings:
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
        if not self._spellings:
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


def _bytes(value: str | bytes) -> bytes:
    return value.encode(errors="surrogateescape") if isinstance(value, str) else value


def _spellings(data: bytes) -> set[str]:
    text = data.decode(errors="replace")
    long_lines = (line for line in text.splitlines() if len(line) >= LONG_LINE)
    lines = {line for line in long_lines if NO_TEXT not in line}
    plain = {text, text.strip(), *lines}
    coded = {
        spelling
        for one in plain
        for spelling in (
            json.dumps(one)[1:-1],
            json.dumps(one, ensure_ascii=False)[1:-1],
            repr(one)[1:-1],
            quote(one, safe=""),
            b64encode(one.encode()).decode(),
        )
    }
    return (plain | coded | _spellings_of_bytes(data)) - {""}


def _spellings_of_bytes(data: bytes) -> set[str]:
    if len(data) < LONG_LINE:
        return {b64encode(data).decode()}  # what else there is looks like any number or word
    whole = b64encode(data).decode()
    coded = {whole, urlsafe_b64encode(data).decode()}
    lines = (whole[at : at + width] for width in WIDTHS for at in range(0, len(whole), width))
    wrapped = {line for line in lines if len(line) >= LONG_LINE}
    unpadded = {text.rstrip("=") for text in coded}
    return wrapped | coded | unpadded | {data.hex(), data.hex().upper(), repr(data)[2:-1]}
