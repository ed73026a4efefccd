"""Quantities, shares and names."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from orch.spec.base import NAME_PATTERN
from orch_kubernetes.compile.container import escaped
from orch_kubernetes.reader import KubernetesReader
from orch_kubernetes.reader.env import filled
from orch_kubernetes.reader.values import cpus, quantity, share, size, spec_name

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("1", 1), (2, 2), (0.5, "0.5"), ("500m", "0.5"), ("1e3", 1000), ("1E", 10**18),
        ("1Ei", 2**60), ("128M", 128_000_000), ("64Mi", 64 * 2**20), (".5", "0.5"),
        ("100u", "0.0001"), ("+3k", 3000),
    ],
)  # fmt: skip
def test_quantity(raw: object, number: object) -> None:
    assert quantity(raw) == Decimal(str(number))


@pytest.mark.parametrize("raw", ["", "1KB", "one", "1 Gi", "--1", True, "1mm"])
def test_no_quantity(raw: object) -> None:
    assert quantity(raw) is None


def test_what_is_less_than_the_spec_counts_is_rounded_up() -> None:
    assert cpus(Decimal("0.0001")) == "0.001"
    assert size(Decimal("0.5")) == "1"


@pytest.mark.parametrize(
    ("raw", "of", "up", "number"),
    [(2, 10, True, 2), ("25%", 3, True, 1), ("25%", 3, False, 0), ("100%", 4, False, 4),
     ("3", 1, True, 3), ("x", 1, True, None), (None, 1, True, None), (True, 1, True, None)],
)  # fmt: skip
def test_share(raw: object, of: int, up: bool, number: int | None) -> None:
    assert share(raw, of, up=up) == number


@pytest.mark.parametrize("text", ["web", "web.toml", ".env", "a/b", "_x", "x" * 80, "…", "a b"])
def test_every_text_has_a_name(text: str) -> None:
    assert re.match(NAME_PATTERN, spec_name(text))


def test_names_of_different_texts_differ() -> None:
    texts = ["a/b", "a.b", "a-b", "a b", "a" * 70, "a" * 71]
    assert len({spec_name(text) for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("text", "result", "missing"),
    [("$(A)-$(A)", "1-1", False), ("$$(A)", "$(A)", False), ("$$", "$", False),
     ("$A $", "$A $", False), ("$(B)", "$(B)", True), ("$$$(A)", "$1", False)],
)  # fmt: skip
def test_references_are_filled_as_the_kubelet_does(text: str, result: str, missing: bool) -> None:
    assert filled(text, {"A": "1"}) == (result, missing)


@pytest.mark.parametrize(
    ("name", "head", "sure"),
    [
        ("web.yaml", "apiVersion: v1\nkind: Pod\n", 90),
        ("web.json", '{"apiVersion": "v1", "kind": "List"}', 90),
        ("web.json", '{\n "kind": "List",\n "apiVersion": "v1"}', 90),
        ("web.yaml", "# a note\n---\nkind: Pod\napiVersion: v1\n", 90),
        ("kustomization.yaml", "resources: [web.yaml]\n", 90),
        ("web.yaml", "apiVersion: orch/v1\nname: shop\n", 0),
        ("compose.yaml", "services:\n  web: {image: web}\n", 0),
        ("score.yaml", "apiVersion: score.dev/v1b1\nmetadata: {name: web}\n", 60),
        ("web.yaml", "services: {}\n# kind: Pod\n", 0),
    ],
)
def test_detection(tmp_path: Path, name: str, head: str, sure: int) -> None:
    assert KubernetesReader().detect(tmp_path / name, head) == sure


@pytest.mark.parametrize(
    "text", ["$(A)", "$$(A)", "$$", "$$$", "$A", "a$$b$(", "$", "${A}", "$ $("]
)
def test_what_compile_escapes_reads_as_it_was(text: str) -> None:
    assert filled(escaped(text), {"A": "1"}) == (text, False)
