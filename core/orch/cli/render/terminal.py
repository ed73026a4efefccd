"""A report on a terminal: colours, and tables that fit the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from orch.cli.render.report import STYLES, Heading, Lines, Table

if TYPE_CHECKING:
    from typing import TextIO

    from orch.cli.render.report import Block, Line, Report, Span


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
            on.print(_table(columns, rows))


def text_of(line: Line) -> Text:
    """A line as rich text."""
    return Text.assemble(*[_styled(span) for span in line])


def _styled(span: Span) -> Text:
    return Text(span.text, style=STYLES.get(span.style, ""))


def _table(columns: tuple[str, ...], rows: tuple[tuple[Span, ...], ...]) -> RichTable:
    table = RichTable(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column.upper(), overflow="fold")
    for row in rows:
        table.add_row(*[_styled(span) for span in row])
    return table


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
