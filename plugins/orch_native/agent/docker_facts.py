"""What is known of the Docker engine, and never waited for longer than a moment."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY
from orch_native.agent.driver import Unreached
from orch_native.messages import DriverFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GOOD_SECONDS = 5.0
"""How long an engine that answered is taken to be there."""
BAD_SECONDS = 0.5
"""How long one that did not is taken to be away: whoever has just started it must not wait."""
PATIENCE = 2.0
GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of an engine at a time: the facts, its settings and its versions."""

    facts: DriverFacts
    info: Mapping[str, Any] = EMPTY
    version: Mapping[str, Any] = EMPTY


class EngineFacts:
    """Asks an engine who it is, in a thread of its own: one that hangs holds up nobody else.

    `ask` gives the engine's settings and versions, or raises Unreached.
    """

    def __init__(
        self,
        name: str,
        features: frozenset[str],
        ask: Callable[[], tuple[Mapping[str, Any], Mapping[str, Any]]],
    ) -> None:
        self._name, self._features, self._ask = name, features, ask
        self._lock = threading.Lock()
        self._known: tuple[float, Sight] | None = None
        self._asked: Future[Sight] | None = None

    def now(self) -> DriverFacts:
        """The facts, a few seconds old at most; "does not answer" after two seconds of silence."""
        return self.look().facts

    def look(self) -> Sight:
        """All that is known of the engine, as old as the facts."""
        with self._lock:
            if self._known is not None and not self._is_old(*self._known):
                return self._known[1]
            patience = 0.0 if self._asked is not None else PATIENCE
            asked = self._asked = self._asked or self._begin()
        if not _is_done(asked, patience):
            return self._away(f"the Docker engine does not answer within {PATIENCE:g} seconds")
        with self._lock:
            self._asked = None
        found = asked.result()
        self._known = (time.monotonic(), found)
        return found

    @staticmethod
    def _is_old(when: float, seen: Sight) -> bool:
        age = time.monotonic() - when
        return age > (GOOD_SECONDS if seen.facts.available else BAD_SECONDS)

    def _begin(self) -> Future[Sight]:
        answer: Future[Sight] = Future()
        asking = threading.Thread(target=self._wait, args=(answer,), name="engine", daemon=True)
        asking.start()
        return answer

    def _wait(self, answer: Future[Sight]) -> None:
        try:
            info, version = self._ask()
        except Unreached as fault:
            answer.set_result(self._away(str(fault)))
        except Exception as fault:  # noqa: BLE001  (whoever waits for the answer judges it)
            answer.set_exception(fault)
        else:
            number = str(version.get("Version", ""))
            facts = DriverFacts(
                self._name,
                available=True,
                version=number,
                features=self._features,
                labels=dict(label.partition("=")[::2] for label in info.get("Labels") or ()),
                devices=_devices(info),
            )
            answer.set_result(Sight(facts, info, version))

    def _away(self, reason: str) -> Sight:
        return Sight(DriverFacts(self._name, available=False, reason=reason))


def _devices(info: Mapping[str, Any]) -> dict[str, int]:
    """What the engine advertises by `node-generic-resources`, and the GPUs of this host."""
    found: Counter[str] = Counter()
    for resource in info.get("GenericResources") or ():
        if counted := resource.get("DiscreteResourceSpec"):
            found[counted["Kind"]] += counted["Value"]
        elif named := resource.get("NamedResourceSpec"):
            found[named["Kind"]] += 1
    if "nvidia" in info.get("Runtimes", {}):
        found["gpu"] += sum(1 for _ in GPUS.glob("*"))
    return dict(found)


def _is_done(asked: Future[Sight], patience: float) -> bool:
    return asked in wait([asked], timeout=patience).done
