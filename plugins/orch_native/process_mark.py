"""A process of this host by a mark that no later one can have, so that its end can be seen."""

from __future__ import annotations

import os
from pathlib import Path

_STATE, _STARTED = 0, 19
_ENDED = frozenset("ZX")


def own_mark() -> str:
    """This process: `NAMESPACE PID START`. Empty where /proc does not tell it."""
    stat = _stat(os.getpid())
    return f"{_namespace()} {os.getpid()} {stat[_STARTED]}" if stat else ""


def has_ended(mark: str) -> bool:
    """Whether that process is surely gone; one of another pid namespace can't be judged."""
    parts = mark.rsplit(" ", 2)
    if len(parts) != 3 or parts[0] != _namespace() or not parts[1].isdigit():  # noqa: PLR2004
        return False
    stat = _stat(int(parts[1]))
    return stat is None or stat[_STARTED] != parts[2] or stat[_STATE] in _ENDED


def _namespace() -> str:
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{_pid_namespace()}"
    except OSError:
        return ""


def _pid_namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink())


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on; the name before them may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
