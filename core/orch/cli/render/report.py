"""A report: what a verb has to tell, before it is known how it will be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

STYLES = {
    "heading": "bold",
    "strong": "bold",
    "dim": "dim",
    "good": "green",
    "add": "green",
    "change": "yellow",
    "remove": "red",
    "bad": "red",
    "grave": "bold red",
    "warn": "yellow",
    "name": "cyan",
}
"""What a style means, and how a terminal shows it."""


class Span(NamedTuple):
    """A piece of text with one style of `STYLES`, or none."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of what follows."""

    text: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines that stay as they are; `code` says that their columns matter, `diff` that +/- do."""

    lines: tuple[Line, ...]
    code: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column names; an empty table shows nothing."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Span, ...], ...]


Block = Heading | Lines | Table


@dataclass(slots=True)
class Report:
    """Blocks in the order in which they are read."""

    title: str = ""
    blocks: list[Block] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """Begin a part."""
        self.blocks.append(Heading(text))

    def line(self, *spans: Span | str) -> None:
        """Add one line."""
        self.blocks.append(Lines((line(*spans),)))

    def lines(self, lines: list[Line], *, code: bool = False) -> None:
        """Add several lines that belong together."""
        if lines:
            self.blocks.append(Lines(tuple(lines), code))

    def code(self, text: str, *, indent: str = "") -> None:
        """Add text whose columns matter."""
        self.lines([(Span(indent + row),) for row in text.splitlines()], code=True)

    def table(self, columns: tuple[str, ...], rows: list[tuple[Span | str, ...]]) -> None:
        """Add a table."""
        spans = tuple(tuple(as_span(cell) for cell in row) for row in rows)
        self.blocks.append(Table(columns, spans))


def as_span(cell: Span | str) -> Span:
    """A bare text as a span without a style."""
    return cell if isinstance(cell, Span) else Span(cell)


def line(*spans: Span | str) -> Line:
    """Spans side by side."""
    return tuple(as_span(span) for span in spans)


def printable(text: str) -> str:
    """Text from elsewhere, so that it can't steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
