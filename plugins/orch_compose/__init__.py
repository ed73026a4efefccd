"""Reads Compose files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orch.backend.hooks import hook

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orch.backend.contract import Reading

_NAME = re.compile(r"(?:docker-)?compose[\w.-]*\.ya?ml", re.IGNORECASE)
_OURS = re.compile(r"^[\"']?apiVersion[\"']?\s*:\s*[\"']?orch/", re.MULTILINE)
_OTHERS = re.compile(r"^[\"']?apiVersion[\"']?\s*:", re.MULTILINE)
_KEY = re.compile(r"^[\"']?(services|include)[\"']?\s*:", re.MULTILINE)
_VERSION = re.compile(r"^[\"']?version[\"']?\s*:\s*[\"']?[123](?:\.\d+)?[\"']?\s*$", re.MULTILINE)
_CERTAIN, _LIKELY = 90, 70


class ComposeReader:
    """The Compose specification, of every version since services stand under `services:`."""

    name = "compose"

    def detect(self, path: Path, head: str) -> int:
        """Certain by the file's name, likely by `services:` without an `apiVersion:`."""
        if _OURS.search(head) or _OTHERS.search(head):
            return 0
        if _NAME.fullmatch(path.name):
            return _CERTAIN
        if _VERSION.search(head) and _KEY.search(head):
            return _CERTAIN
        return _LIKELY if _KEY.search(head) else 0

    def read(
        self, files: Sequence[Path], variables: Mapping[str, str], profiles: Sequence[str]
    ) -> Reading:
        """Read files that override each other. Raises InvalidSpec with every fault found."""
        from orch_compose.reading import read_files

        return read_files(files, variables, profiles)

    def name_of(self, files: Sequence[Path], variables: Mapping[str, str]) -> str:
        """The project's name: COMPOSE_PROJECT_NAME, `name:`, or the folder's."""
        from orch_compose.reading import read_name

        return read_name(files, variables)


@hook
def orch_register_reader() -> ComposeReader:
    """Offer the reader."""
    return ComposeReader()
