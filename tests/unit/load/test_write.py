"""Documents as YAML: ordered, readable, with comments, and the same when they are read again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch.load.files import parse
from orch.load.interpolate import interpolate
from orch.load.write import ledger_comments, to_yaml
from orch.types import Consequence, Fidelity, LedgerEntry

TEXTS = st.text(max_size=30) | st.sampled_from(
    [
        "yes",
        "null",
        "~",
        "1.10",
        "0x1F",
        "- a",
        "a: b",
        "a #b",
        "# a",
        " a",
        "a ",
        "a\nb",
        "a\nb\n",
        "a\n\n",
        "\n",
        "a\n  b\n c",
        "$X ${Y} $$",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "a:",
        ":a",
        "'a'",
        '"a"',
        "a,b",
        "[a]",
        "{a}",
        "?",
        "...",
        "---",
        "\ta",
        "a\tb",
        "\u2028",
        "\x85",
        "\ufeff",
        "é ü 漢",
    ]
)
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_is_read_again(value: Any) -> None:
    document = {"x-value": value}
    text = to_yaml(document)
    assert interpolate(parse(text, "orch.yaml"), {}).tree == document


def test_keys_stand_in_the_order_of_the_reference() -> None:
    document = {
        "volumes": {"b": {}, "a": {}},
        "services": {"web": {"x-a": 1, "ports": [{"published": 80, "target": 80}], "image": "a"}},
        "name": "app",
        "apiVersion": "orch/v1",
    }
    assert to_yaml(document).splitlines() == [
        "apiVersion: orch/v1",
        "name: app",
        "",
        "services:",
        "  web:",
        "    image: a",
        "    ports:",
        "      - {target: 80, published: 80}",
        "    x-a: 1",
        "",
        "volumes:",
        "  b: {}",
        "  a: {}",
    ]


def test_comments_stand_above_what_they_are_about() -> None:
    document = {"name": "app", "services": {"web": {"image": "a", "dns": ["1.1.1.1", "2.2.2.2"]}}}
    comments: dict[tuple[str | int, ...], str] = {
        (): "Made from compose.yaml.\nTwo lines.",
        ("services", "web", "image"): "the image",
        ("services", "web", "build", "network"): "lost",
        ("services", "web", "dns", 1): "second",
        ("models",): "gone",
    }
    assert to_yaml(document, comments).splitlines() == [
        "# Made from compose.yaml.",
        "# Two lines.",
        "# models: gone",
        "name: app",
        "",
        "services:",
        "  # build.network: lost",
        "  web:",
        "    # the image",
        "    image: a",
        "    # [1]: second",
        '    dns: ["1.1.1.1", "2.2.2.2"]',
    ]


@pytest.mark.parametrize(
    ("entry", "comment"),
    [
        (LedgerEntry(("a",), Fidelity.NATIVE, Consequence.DATA), None),
        (LedgerEntry(("a",), Fidelity.LOST, Consequence.DATA, reason="r"), "lost: r"),
        (
            LedgerEntry(("a",), Fidelity.DEGRADED, Consequence.DATA, reason="r", mend="m"),
            "degraded: r (m)",
        ),
        (LedgerEntry(("a",), Fidelity.LOST, Consequence.DATA, reason="r", default=True), None),
    ],
)
def test_comments_of_a_ledger(entry: LedgerEntry, comment: str | None) -> None:
    assert ledger_comments([entry]) == ({("a",): comment} if comment else {})
