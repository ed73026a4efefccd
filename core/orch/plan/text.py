"""Texts of several lines as a reader wants to see them differ."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orch.types import Change


def is_text(change: Change) -> bool:
    """Whether a change is of a text with several lines, best shown as a unified diff."""
    sides = (change.old, change.new)
    return all(isinstance(side, str) or side is None for side in sides) and any(
        isinstance(side, str) and "\n" in side.rstrip("\n") for side in sides
    )


def text_diff(change: Change, context: int = 3) -> tuple[str, ...]:
    """The lines of a unified diff, without its two headers and without line ends."""
    old = (change.old or "").splitlines()
    new = (change.new or "").splitlines()
    return tuple(unified_diff(old, new, n=context, lineterm=""))[2:]
