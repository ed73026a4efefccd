"""A report as plain text, for a pipe or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.cli.render.report import Heading, Lines, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch.cli.render.report import Block, Report, Span


def to_text(report: Report) -> str:
    """The report as lines of text; nothing is wrapped or cut."""
    return "".join(f"{text}\n" for block in report.blocks for text in _block(block))


def _block(block: Block) -> list[str]:
    match block:
        case Heading(text):
            return ["", text]
        case Lines(lines):
            return ["".join([span.text for span in line]).rstrip() for line in lines]
        case Table(columns, rows):
            return _table(columns, rows) if rows else []


def _table(columns: Sequence[str], rows: Sequence[Sequence[Span]]) -> list[str]:
    cells = [[c.upper() for c in columns], *[[span.text for span in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
