"""Waiting until objects are gone: of many, not each is asked for on its own."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orch.errors import OrchError
from orch_kubernetes.api import marks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_kubernetes.api.client import KubernetesClient
    from orch_kubernetes.api.kinds import Kind

FRESH = 2.0
"""Seconds for which a look at all names of a kind counts."""
FEW = 8
"""So many objects of a kind are asked for one by one within a second."""


@dataclass(slots=True)
class _Look:
    asked: int = 0
    counted: float = 0.0
    time: float = float("-inf")
    uids: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Absence:
    """The names of each kind that were in use a moment ago, for all threads of one client."""

    client: KubernetesClient
    _looks: dict[str, _Look] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_gone(self, kind: Kind, space: str, name: str, uid: str, since: float) -> bool:
        """Whether an object is no longer there, as seen later than `since`, by the monotonic clock.

        Raises Denied, Transient or Unreachable.
        """
        uids = self._seen(kind, space, max(since, time.monotonic() - FRESH))
        if uids is not None:
            return uids.get(name) != uid
        row = self.client.one(kind.path(space, name))
        return row is None or row["metadata"]["uid"] != uid

    def _seen(self, kind: Kind, space: str, since: float) -> Mapping[str, str] | None:
        """The uids of all objects by name; None while few are asked for, or it can't be told."""
        path, now = kind.collection(space), time.monotonic()
        with self._lock:
            look = self._looks.setdefault(path, _Look())
            if now - look.counted > 1:
                look.asked, look.counted = 0, now
            look.asked += 1
            if look.time >= since:
                return look.uids
            if look.asked <= FEW:
                return None
            try:
                rows = self.client.listed(path, metadata=True)
            except OrchError:
                look.asked = 0  # whoever asks for one of them hears why
                return None
            look.uids = {marks.name_of(row): str(row["metadata"]["uid"]) for row in rows}
            look.time = now
            return look.uids
