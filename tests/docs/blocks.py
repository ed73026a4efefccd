"""Fenced blocks of the pages, with where each stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# file: (\S+)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block; `file` is the name in its first line, empty when it has none."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def file(self) -> str:
        named = FILE.match(self.text)
        return named[1] if named else ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page written by hand."""
    written = [p for p in DOCS.rglob("*.md") if not {"generated", "_build"} & set(p.parts)]
    return sorted([*written, *ROOT.glob("*.md")])


def blocks(page: Path) -> list[Block]:
    """The page's blocks in their order."""
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in FENCE.finditer(text)
    ]


def all_blocks(language: str) -> list[Block]:
    """Blocks of one language over all pages."""
    return [block for page in pages() for block in blocks(page) if block.language == language]
