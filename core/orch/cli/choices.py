"""What a command line chose, bundled into one value each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class SpecChoice:
    """Which spec, and what fills its variables."""

    files: tuple[Path, ...] = ()
    format: str | None = None
    environment: str | None = None
    profiles: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    env_files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetChoice:
    """Which target, and under which name the application is there."""

    backend: str | None = None
    target: str | None = None
    namespace: str | None = None
    name: str | None = None
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RolloutChoice:
    """How far a deploy goes, and how long it may take; times are seconds."""

    timeout: float | None = None
    wait: bool = True
    rollback: bool = True
    lock_wait: float = 0.0
    concurrency: int = 8
    yes: bool = False
