"""What the allocations of a node use: processors from two readings, memory from one."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from orch_native.agent.driver import Unreached, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch_native.agent.task import Task

FIRST_SECONDS = 0.25
STALE_SECONDS = 120.0
Sample = tuple[float, Usage]


class Meter:
    """Keeps the last reading of each allocation, so that a rate can be told."""

    def __init__(self) -> None:
        self._last: dict[str, Sample] = {}

    def read(self, tasks: Sequence[Task]) -> Mapping[str, Mapping[str, float]]:
        """`cpu` in cores and `memory` in bytes by allocation."""
        now = time.monotonic()
        known = {i: s for i, s in self._last.items() if now - s[0] < STALE_SECONDS}
        if any(task.record.id not in known for task in tasks):
            known |= {i: s for i, s in _samples(tasks).items() if i not in known}
            time.sleep(FIRST_SECONDS)
        fresh = _samples(tasks)
        self._last = fresh
        return {id: _rate(known.get(id), sample) for id, sample in fresh.items()}


def _samples(tasks: Sequence[Task]) -> dict[str, Sample]:
    found = {}
    for task in tasks:
        usages = []
        for piece in (task.pod.main, *task.pod.sidecars):
            with suppress(Unreached):
                usage = task.driver.usage(piece.handle)
                usages += [usage] if usage else []
        if usages:
            total = Usage(sum(u.cpu_seconds for u in usages), sum(u.memory for u in usages))
            found[task.record.id] = (time.monotonic(), total)
    return found


def _rate(before: Sample | None, after: Sample) -> dict[str, float]:
    cpu = 0.0
    if before and after[0] > before[0]:
        used = after[1].cpu_seconds - before[1].cpu_seconds
        cpu = max(0.0, used / (after[0] - before[0]))
    return {"cpu": cpu, "memory": after[1].memory}
