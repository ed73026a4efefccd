"""Values of the spec and of a platform, short enough for a line."""

from __future__ import annotations

import json
from difflib import unified_diff
from typing import Any

from orch.cli.render.report import Line, Span, line, printable

LIMIT = 160
_BARE = set("-_./:@+")


def told(value: Any, limit: int = LIMIT) -> str:
    """A value on one line, as JSON where a bare word would be mistaken; long ones are cut."""
    if isinstance(value, str) and value and all(c.isalnum() or c in _BARE for c in value):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    text = printable(text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def is_text_block(*values: Any) -> bool:
    """Whether a value is text of several lines, to be shown as a difference of lines."""
    return any(isinstance(v, str) and "\n" in v.rstrip("\n") for v in values)


def text_diff(old: Any, new: Any, indent: str, context: int = 2) -> list[Line]:
    """A small unified diff of two texts."""
    before, after = (str(v).splitlines() if v is not None else [] for v in (old, new))
    rows = list(unified_diff(before, after, lineterm="", n=context))[2:]
    shown = [_diff_line(row, indent) for row in rows]
    ends = str(old or "").endswith("\n") != str(new or "").endswith("\n")
    if ends and old is not None and new is not None:
        shown.append(line(Span(f"{indent}\\ the newline at the end differs", "dim")))
    return shown


def _diff_line(row: str, indent: str) -> Line:
    style = {"+": "add", "-": "remove", "@": "dim"}.get(row[:1], "")
    return line(Span(f"{indent}{printable(row)}", style))


def since(seconds: float) -> str:
    """A span of time as a person says it: 45s, 12m, 3h, 5d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(max(seconds, 0))}s"


def lasted(seconds: float) -> str:
    """How long something took: 0.4 s, 12.3 s, 3 min 5 s."""
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def clock(seconds: float) -> str:
    """A point in time as ISO 8601 in UTC, empty for none."""
    from datetime import UTC, datetime

    if not seconds:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def size(count: float) -> str:
    """A number of bytes with a unit of three digits."""
    for unit in ("B", "Ki", "Mi", "Gi"):
        if count < 1024:  # noqa: PLR2004
            return f"{count:.0f}{unit}" if unit == "B" else f"{count:.1f}{unit}"
        count /= 1024
    return f"{count:.1f}Ti"
