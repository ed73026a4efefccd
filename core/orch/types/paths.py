"""Where a field stands in a document, and how a person writes that."""

from __future__ import annotations

import re

Key = str | int
FieldPath = tuple[Key, ...]


_NEEDS_QUOTES = re.compile(r'[.\[\]" ]')


def render_path(path: FieldPath) -> str:
    """Write a path as a person does: `services.web.ports[0].target`, `configs["web.toml"]`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif key and not _NEEDS_QUOTES.search(key):
            text += f".{key}" if text else key
        else:
            text += f'["{key}"]'
    return text


_PART = re.compile(r'\["([^"]*)"\]|\[(\d+)\]|\.?([^.\["\]]+)')


def parse_path(text: str) -> FieldPath:
    """Read back what `render_path` wrote: `a.b[0]["c.d"]` as its keys."""
    return tuple(
        int(index) if index else (quoted or name) for quoted, index, name in _PART.findall(text)
    )
