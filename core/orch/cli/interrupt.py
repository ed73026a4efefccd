"""Ctrl-C in long work: the first stops cleanly, the second at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orch.cli import exits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

STOPPING = "orch: stopping after the steps that run; once more stops at once"
AT_ONCE = b"\norch: stopped at once; `orch status` tells what stands\n"


@contextmanager
def stop_asked(say: Callable[[str], None]) -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second ends the process."""
    asked = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            os.write(sys.stderr.fileno(), AT_ONCE)
            os._exit(exits.INTERRUPTED)
        asked.set()
        # The handler may have cut into a write of the same stream, which is not re-entrant.
        threading.Thread(target=say, args=(STOPPING,), daemon=True).start()

    previous = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
