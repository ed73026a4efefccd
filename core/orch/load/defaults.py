"""Which files are meant when none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.errors import UsageFault

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_FILES = (
    "orch.yaml",
    "orch.yml",
    "orch.json",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
)
OVERRIDE_FILES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)


def found_files(folder: Path) -> tuple[Path, ...]:
    """The spec of a folder, with the override file that Compose has for its; empty without one."""
    first = next((name for name in DEFAULT_FILES if (folder / name).is_file()), None)
    if first is None:
        return ()
    overrides = () if first.startswith("orch.") else OVERRIDE_FILES
    found = [folder / name for name in overrides if (folder / name).is_file()]
    return (folder / first, *found[:1])


def default_files(folder: Path) -> tuple[Path, ...]:
    """The same. Raises UsageFault when there is none."""
    files = found_files(folder)
    if not files:
        raise UsageFault(
            "there is no spec here",
            place=str(folder.resolve()),
            mend="write orch.yaml, or name a file with --file",
        )
    return files
