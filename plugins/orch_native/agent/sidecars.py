"""Containers beside the main one: each that ends is started again, after a pause that grows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_native.agent.containers import Containers
    from orch_native.agent.pod import Piece

FIRST_PAUSE = 2.0
LONGEST_PAUSE = 60.0


class Sidecars:
    """The sidecars of one allocation while its main container runs."""

    def __init__(self, pieces: Sequence[Piece], containers: Containers) -> None:
        self._pieces, self._containers = pieces, containers
        self._due: dict[str, float] = {}
        self._pause: dict[str, float] = {}

    def look_after(self) -> None:
        """Note which have ended, and start those whose pause is over. Raises StartFault."""
        for piece in self._pieces:
            if state := self._containers.unnoted_end(piece):
                self._containers.note_end(piece, state.attempt)
                pause = self._pause.get(piece.handle, FIRST_PAUSE)
                self._pause[piece.handle] = min(pause * 2, LONGEST_PAUSE)
                self._due[piece.handle] = time.monotonic() + pause
            due = self._due.get(piece.handle)
            if due is not None and due <= time.monotonic():
                self._due.pop(piece.handle)
                self._containers.start(piece)
                self._containers.watch(piece)

    def next_start(self) -> float:
        """Seconds until one is to be started again, infinity when all run."""
        return min(self._due.values(), default=float("inf")) - time.monotonic()
