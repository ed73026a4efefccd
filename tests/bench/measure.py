"""Measuring: medians of whole processes, and one line `name value unit` a figure."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

ORCH = Path(sys.executable).parent / "orch"


def report(name: str, value: float, unit: str) -> None:
    """Print one figure."""
    print(f"{name} {value:.4g} {unit}", flush=True)


def process_seconds(
    command: Sequence[str | Path], *, runs: int = 5, codes: Container[int] = (0,)
) -> float:
    """Median wall time of a process in seconds, its output dropped; the first run warms up.

    `codes` are the exit codes that are no failure.
    """
    words = [str(word) for word in command]
    return statistics.median(list(_seconds(words, runs + 1, codes))[1:])


def _seconds(command: list[str], runs: int, codes: Container[int]) -> Iterator[float]:
    for _ in range(runs):
        started = time.perf_counter()
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
        elapsed = time.perf_counter() - started
        if done.returncode not in codes:
            sys.exit(
                f"{' '.join(command)} exited {done.returncode}: {done.stderr.decode()[-2000:]}"
            )
        yield elapsed


def peak_megabytes(command: Sequence[str | Path]) -> float:
    """Most resident memory of a process in MB (10^6 bytes)."""
    pid = os.posix_spawn(
        str(command[0]),
        [str(word) for word in command],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"{command} failed")
    return usage.ru_maxrss * 1024 / 1e6


def call_seconds(call: Callable[[], object], *, runs: int = 5) -> float:
    """Median wall time of a call in seconds."""
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def own_peak_megabytes() -> float:
    """Most resident memory of this process so far, in MB (10^6 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
