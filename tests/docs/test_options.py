"""Every `--option KEY=…` that a page or a message names is one that a backend takes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from orch.backend.discovery import installed
from tests.docs.blocks import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAMED = re.compile(r"--option\s+([a-z_]+)=")


def texts() -> Iterator[Path]:
    yield ROOT / "README.md"
    for folder, kind in (("docs", "*.md"), ("core", "*.py"), ("plugins", "*.py")):
        yield from (ROOT / folder).rglob(kind)


NAMED = sorted({name for path in texts() for name in _NAMED.findall(path.read_text())})


@pytest.mark.parametrize("name", NAMED)
def test_it_is_an_option_of_a_backend(name: str) -> None:
    taken = {key for factory in installed().backends.values() for key in factory.options}
    assert name in taken


def test_options_are_found() -> None:
    assert {"take_over", "load_balancer", "version"} <= set(NAMED)
