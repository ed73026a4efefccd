"""A report as one self-contained HTML page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from orch.cli.render.report import Heading, Lines, Table

if TYPE_CHECKING:
    from orch.cli.render.report import Block, Line, Report, Span

_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}
pre,code{font:13px/1.5 ui-monospace,monospace}pre{overflow-x:auto;margin:.2rem 0}
table{border-collapse:collapse;margin:.5rem 0}
th,td{text-align:left;padding:.2rem .9rem .2rem 0;vertical-align:top;overflow-wrap:anywhere}
th{font-weight:600;border-bottom:1px solid #8886}
.heading,.strong{font-weight:600}.dim{opacity:.7}.good,.add{color:#1a7f37}
.change,.warn{color:#9a6700}.remove,.bad,.grave{color:#cf222e}.grave{font-weight:600}
.name{color:#0969da}
@media(prefers-color-scheme:dark){.good,.add{color:#3fb950}.change,.warn{color:#d29922}
.remove,.bad,.grave{color:#f85149}.name{color:#58a6ff}}
"""


def to_html(report: Report) -> str:
    """The report as a page that needs no other file."""
    title = escape(report.title or "orch")
    body = "\n".join(_block(block) for block in report.blocks)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Lines(lines, True):
            return f"<pre>{chr(10).join(_line(line) for line in lines)}</pre>"
        case Lines(lines):
            return "".join(f"<p>{_line(line)}</p>" for line in lines if line)
        case Table(columns, rows):
            return _table(columns, rows) if rows else ""


def _table(columns: tuple[str, ...], rows: tuple[tuple[Span, ...], ...]) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_span(c)}</td>' for c in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _line(line: Line) -> str:
    return "".join(_span(span) for span in line)


def _span(span: Span) -> str:
    text = escape(span.text)
    return f'<span class="{span.style}">{text}</span>' if span.style else text
