"""The caller's terminal in raw mode, so that every key goes to the command over there."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def raw_terminal(*, wanted: bool) -> Iterator[None]:
    """Raw mode while it lasts; the terminal is as before afterwards, also after a fault."""
    if not wanted:
        yield
        return
    import termios
    import tty

    stream = sys.stdin.fileno()
    before = termios.tcgetattr(stream)
    try:
        tty.setraw(stream)
        yield
    finally:
        termios.tcsetattr(stream, termios.TCSADRAIN, before)
