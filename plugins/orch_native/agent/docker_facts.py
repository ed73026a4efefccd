"""What is known of the Docker engine, and never waited for longer than a moment."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING

from orch_native.agent.driver import Unreached
from orch_native.messages import DriverFacts

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD_SECONDS = 5.0
"""How long an engine that answered is taken to be there."""
BAD_SECONDS = 0.5
"""How long one that did not is taken to be away: whoever has just started it must not wait."""
PATIENCE = 2.0


class EngineFacts:
    """Asks an engine who it is, in a thread of its own: one that hangs holds up nobody else."""

    def __init__(self, name: str, features: frozenset[str], version: Callable[[], str]) -> None:
        self._name, self._features, self._version = name, features, version
        self._lock = threading.Lock()
        self._known: tuple[float, DriverFacts] | None = None
        self._asked: Future[DriverFacts] | None = None

    def now(self) -> DriverFacts:
        """The facts, a few seconds old at most; "does not answer" after two seconds of silence."""
        with self._lock:
            if self._known is not None and not self._is_old(*self._known):
                return self._known[1]
            patience = 0.0 if self._asked is not None else PATIENCE
            asked = self._asked = self._asked or self._ask()
        if not _is_done(asked, patience):
            return self._away(f"the Docker engine does not answer within {PATIENCE:g} seconds")
        with self._lock:
            self._asked = None
        found = asked.result()
        self._known = (time.monotonic(), found)
        return found

    @staticmethod
    def _is_old(when: float, facts: DriverFacts) -> bool:
        return time.monotonic() - when > (GOOD_SECONDS if facts.available else BAD_SECONDS)

    def _ask(self) -> Future[DriverFacts]:
        answer: Future[DriverFacts] = Future()
        asking = threading.Thread(target=self._wait, args=(answer,), name="engine", daemon=True)
        asking.start()
        return answer

    def _wait(self, answer: Future[DriverFacts]) -> None:
        try:
            version = self._version()
        except Unreached as fault:
            answer.set_result(self._away(str(fault)))
        except Exception as fault:  # noqa: BLE001  (whoever waits for the answer judges it)
            answer.set_exception(fault)
        else:
            features = self._features
            answer.set_result(
                DriverFacts(self._name, available=True, version=version, features=features)
            )

    def _away(self, reason: str) -> DriverFacts:
        return DriverFacts(self._name, available=False, reason=reason)


def _is_done(asked: Future[DriverFacts], patience: float) -> bool:
    return asked in wait([asked], timeout=patience).done
