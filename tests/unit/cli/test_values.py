"""Values on a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch.cli.render.report import printable
from orch.cli.render.values import since, size, told


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("web:1", "web:1"),
        ("", '""'),
        ("a b", '"a b"'),
        (True, "true"),
        (None, "null"),
        ({"a": [1]}, '{"a": [1]}'),
        ("1 }", '"1 }"'),
    ],
)
def test_told(value: object, shown: str) -> None:
    assert told(value) == shown


def test_long_values_are_cut() -> None:
    assert len(told("x" * 1000)) == 160
    assert told("x" * 1000).endswith("…")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-3, "0s"), (5, "5s"), (119, "119s"), (120, "2m"), (7200, "2h")]
)
def test_since(seconds: float, shown: str) -> None:
    assert since(seconds) == shown


@pytest.mark.parametrize(("count", "shown"), [(5, "5B"), (2048, "2.0Ki"), (3 << 30, "3.0Gi")])
def test_size(count: float, shown: str) -> None:
    assert size(count) == shown


@given(st.text())
def test_printable_text_has_no_control_characters(text: str) -> None:
    assert all(c.isprintable() or c in "\n\t" for c in printable(text))
