"""A document that is written to another folder than the one that its paths start from."""

from __future__ import annotations

import os.path
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/")


def moved(document: Mapping[str, Any], old: Path, new: Path) -> dict[str, Any]:
    """The document with its relative paths as they are from the new folder."""
    if old.resolve() == new.resolve():
        return dict(document)
    copy: dict[str, Any] = _copy(document)
    for owner, key in _paths(copy):
        path = owner.get(key)
        if isinstance(path, str) and not os.path.isabs(path) and not _REMOTE.match(path):  # noqa: PTH117
            owner[key] = os.path.relpath(old.resolve() / path, new.resolve())
    return copy


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(member) for key, member in value.items()}
    return [_copy(member) for member in value] if isinstance(value, list | tuple) else value


def _paths(document: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Where the document has paths of files beside it."""
    for section, key in (("configs", "file"), ("secrets", "path")):
        for part in (document.get(section) or {}).values():
            yield part, key
    for section in ("services", "jobs"):
        for part in (document.get(section) or {}).values():
            if isinstance(part.get("build"), dict):
                yield part["build"], "context"
