"""Repeating what may be repeated, after pauses that grow and are spread by chance."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

from orch.errors import Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
ATTEMPTS = 6
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0


def retrying(call: Callable[[], T], sleep: Callable[[float], None], attempts: int = ATTEMPTS) -> T:
    """Make an idempotent call again while it raises Transient; the last one is passed on."""
    for pause in pauses(attempts - 1):
        try:
            return call()
        except Transient:
            sleep(pause)
    return call()


def pauses(count: int) -> Iterator[float]:
    """Seconds to wait between attempts: doubled each time, then anywhere up to that."""
    for attempt in range(count):
        most = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
        yield random.uniform(most / 2, most)  # noqa: S311  (spreads load, guards nothing)
