"""A report as Markdown, for a merge request or a wiki."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.cli.render.report import Heading, Lines, Table

if TYPE_CHECKING:
    from orch.cli.render.report import Block, Line, Report


def to_markdown(report: Report) -> str:
    """The report with its title as a heading of the second level."""
    parts = [f"## {report.title}"] if report.title else []
    parts += [text for block in report.blocks if (text := _block(block))]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"### {text}"
        case Lines(lines, True):
            return _fenced([_plain(line) for line in lines])
        case Lines(lines):
            return "  \n".join(_escaped(_plain(line)) for line in lines).strip()
        case Table(columns, rows):
            return _table(columns, [[span.text for span in row] for row in rows])


def _fenced(lines: list[str]) -> str:
    body = "\n".join(lines).strip("\n")
    fence = "`" * 3
    while fence in body:
        fence += "`"
    return f"{fence}diff\n{body}\n{fence}"


def _table(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    head = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines = [*head, *[" | ".join(_cell(text) for text in row) for row in rows]]
    return "\n".join(f"| {text} |" for text in lines)


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|").replace("\n", "<br>")


def _escaped(text: str) -> str:
    for character in "\\*_`<[":
        text = text.replace(character, f"\\{character}")
    return text


def _plain(line: Line) -> str:
    return "".join(span.text for span in line)
