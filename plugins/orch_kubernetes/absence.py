"""What is not there: of many objects to be made, not each is asked for on its own."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orch.errors import OrchError
from orch_kubernetes import marks

if TYPE_CHECKING:
    from orch_kubernetes.client import KubernetesClient
    from orch_kubernetes.kinds import Kind

FRESH = 2.0
"""Seconds for which a look at all names of a kind counts. An object that others make in that time
is met by the API itself: what they set otherwise than we do is a conflict of fields."""
FEW = 8
"""So many objects of a kind are asked for one by one."""


@dataclass(slots=True)
class _Look:
    asked: int = 0
    until: float = 0.0
    names: frozenset[str] = frozenset()


@dataclass(slots=True)
class Absence:
    """Names of each kind that were in use a moment ago, for one client."""

    client: KubernetesClient
    _looks: dict[str, _Look] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_sure(self, kind: Kind, space: str, name: str) -> bool:
        """Whether there was none of that name a moment ago; False where it has to be asked for."""
        path = kind.collection(space)
        with self._lock:
            look = self._looks.setdefault(path, _Look())
            look.asked += 1
            if look.asked <= FEW:
                return False
            if time.monotonic() > look.until:
                self._look_anew(look, path)
            return time.monotonic() < look.until and name not in look.names

    def _look_anew(self, look: _Look, path: str) -> None:
        try:
            rows = self.client.listed(path, metadata=True)
        except OrchError:
            look.asked = 0  # whoever asks for one of them hears why
            return
        look.names = frozenset(map(marks.name_of, rows))
        look.until = time.monotonic() + FRESH
