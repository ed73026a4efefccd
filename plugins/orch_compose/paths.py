"""Paths of files as the document gives them."""

from __future__ import annotations

import os.path


def relative(path: str, base: str) -> str:
    """A path from where the application stands, when it is below it; else as it is."""
    if path == base:
        return "."
    inside = path.startswith(base.rstrip("/") + "/")
    return f"./{os.path.relpath(path, base)}" if inside else path
