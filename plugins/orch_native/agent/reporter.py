"""Tells the server what changed: each allocation's newest state, never an older one after it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orch_native.messages import Observation

_log = logging.getLogger(__name__)
AGAIN_SECONDS = 1.0


class Reporter:
    """A thread that calls `report` with the observations of what was marked."""

    def __init__(
        self,
        observe: Callable[[str], Observation | None],
        report: Callable[[Sequence[Observation]], None],
    ) -> None:
        self._observe, self._report = observe, report
        self._marked: dict[str, Observation | None] = {}
        self._news = threading.Condition()
        self._open = True
        self._thread = threading.Thread(target=self._serve, name="reporter", daemon=True)
        self._thread.start()

    def mark(self, id: str) -> None:
        """Something of this allocation changed."""
        with self._news:
            self._marked[id] = None
            self._news.notify()

    def say(self, observation: Observation) -> None:
        """Report this as it is."""
        with self._news:
            self._marked[observation.id] = observation
            self._news.notify()

    def _serve(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._marked or not self._open)
                if not self._open:
                    return
                marked, self._marked = self._marked, {}
            found = [said or self._observe(id) for id, said in marked.items()]
            seen = [observation for observation in found if observation]
            if seen:
                self._tell(seen, marked)

    def _tell(self, seen: Sequence[Observation], marked: dict[str, Observation | None]) -> None:
        try:
            self._report(seen)
        except Exception:  # noqa: BLE001  (whatever it is, it is told and tried again)
            _log.exception("a report was not taken")
            with self._news:
                self._marked = marked | self._marked
                self._news.wait_for(lambda: not self._open, timeout=AGAIN_SECONDS)

    def close(self) -> None:
        """Report no more."""
        with self._news:
            self._open = False
            self._news.notify()
        self._thread.join(timeout=10)
