"""Which files are meant when none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
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


_SUFFIXES = frozenset((".yaml", ".yml", ".json"))


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


def spread(files: Iterable[Path]) -> tuple[Path, ...]:
    """Each folder as what it holds: its spec, else every YAML and JSON file in it and below.

    Hidden files are left out. A folder that holds none stays as it is.
    """
    return tuple(one for file in files for one in ((file,) if not file.is_dir() else _in(file)))


def _in(folder: Path) -> tuple[Path, ...]:
    return found_files(folder) or tuple(_below(folder)) or (folder,)


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        shown = not any(part.startswith(".") for part in path.relative_to(folder).parts)
        if shown and path.suffix in _SUFFIXES and path.is_file():
            yield path
