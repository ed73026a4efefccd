"""A report on a terminal: colours, and tables that fit the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from orch.cli.render.report import STYLES, Heading, Lines, Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from orch.cli.render.report import Block, Line, Report, Span

_GAP = "  "
_SHORT = 20
"""A column of at most so many characters holds names and numbers, which are never folded."""
_PROSE = 10
"""The least room in which longer text can be read."""


def console(stream: TextIO, *, color: bool) -> Console:
    """A console on this stream; rich itself learns the width."""
    return Console(
        file=stream,
        no_color=not color,
        highlight=False,
        emoji=False,
        markup=False,
        soft_wrap=False,
        force_terminal=True,
        color_system="auto" if color else None,
    )


def show(report: Report, on: Console) -> None:
    """Print every block."""
    for block in report.blocks:
        _show(block, on)


def _show(block: Block, on: Console) -> None:
    match block:
        case Heading(text):
            on.print()
            on.print(Text(text, style=STYLES["heading"]))
        case Lines(lines):
            for line in lines:
                on.print(text_of(line), soft_wrap=True)
        case Table(columns, rows) if rows:
            if _folds_words(columns, rows, on.width):
                for row in _unfolded(columns, rows):
                    on.print(row, soft_wrap=True)
            else:
                on.print(_table(columns, rows))


def text_of(line: Line) -> Text:
    """A line as rich text."""
    return Text.assemble(*[_styled(span) for span in line])


def _styled(span: Span) -> Text:
    return Text(span.text, style=STYLES.get(span.style, ""))


def _table(columns: tuple[str, ...], rows: tuple[tuple[Span, ...], ...]) -> RichTable:
    table = RichTable(box=None, padding=(0, len(_GAP), 0, 0), header_style="dim", pad_edge=False)
    for column, width in zip(columns, _widths(columns, rows), strict=True):
        table.add_column(column.upper(), overflow="fold", no_wrap=width <= _SHORT)
    for row in rows:
        table.add_row(*[_styled(span) for span in row])
    return table


def _widths(columns: tuple[str, ...], rows: tuple[tuple[Span, ...], ...]) -> list[int]:
    cells = [columns, *([span.text for span in row] for row in rows)]
    return [max(cell_len(row[i]) for row in cells) for i in range(len(columns))]


def _folds_words(columns: tuple[str, ...], rows: tuple[tuple[Span, ...], ...], room: int) -> bool:
    """Whether no width of the long columns leaves whole what stands in the short ones."""
    widths = _widths(columns, rows)
    least = sum(width if width <= _SHORT else _PROSE for width in widths)
    return least + len(_GAP) * (len(columns) - 1) > room


def _unfolded(columns: tuple[str, ...], rows: tuple[tuple[Span, ...], ...]) -> Iterator[Text]:
    """Each row as one long line, which the terminal wraps where it ends."""
    widths = _widths(columns, rows)
    head = [Text(column.upper(), style="dim") for column in columns]
    for row in (head, *([_styled(span) for span in row] for row in rows)):
        for cell, width in zip(row[:-1], widths, strict=False):
            cell.pad_right(width - cell.cell_len)
        line = Text(_GAP).join(row)
        line.rstrip()
        yield line


def as_renderable(report: Report) -> Group:
    """The whole report as one thing to draw again and again."""
    parts: list[Text | RichTable] = []
    for block in report.blocks:
        match block:
            case Heading(text):
                parts.append(Text(text, style=STYLES["heading"]))
            case Lines(lines):
                parts.extend(text_of(line) for line in lines)
            case Table(columns, rows) if rows:
                parts.append(_table(columns, rows))
    return Group(*parts)
