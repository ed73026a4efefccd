"""Tables on terminals of several widths."""

from __future__ import annotations

from io import StringIO

import pytest

from orch.cli.render.report import Report, Span
from orch.cli.render.terminal import console, show

COLUMNS = ("replica", "state", "address", "id", "message")
ROW = ("web[0]", "running", "10.201.1.6:8080", "web-0-bc224f", "exit code 1; starts again in 5s")


def shown(width: int, columns: tuple[str, ...] = COLUMNS, row: tuple[str, ...] = ROW) -> list[str]:
    report, stream = Report(), StringIO()
    report.table(columns, [tuple(Span(cell) for cell in row)])
    on = console(stream, color=False)
    on.width = width
    show(report, on)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("width", [40, 60, 70, 80, 120])
def test_names_and_numbers_are_never_folded(width: int) -> None:
    text = " ".join(" ".join(shown(width)).split())
    for word in (*ROW[:-1], *(column.upper() for column in COLUMNS)):
        assert word in text


def test_long_text_folds_in_its_column_while_there_is_room() -> None:
    lines = shown(70)
    assert max(map(len, lines)) <= 70
    at = lines[0].index("MESSAGE")
    assert len(lines) > 2
    assert all(line[:at].strip() == "" and line[at] != " " for line in lines[2:])


def test_rows_stay_whole_for_the_terminal_to_wrap_when_there_is_none() -> None:
    head, row = shown(40)
    assert row.endswith(ROW[-1])
    assert head.index("ID") == row.index("web-0-bc224f")
