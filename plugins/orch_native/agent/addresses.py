"""Loopback addresses for processes: each replica and each service has its own, for good."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FIRST, BLOCKS = 16, 224
PLACES = 65_024


class Addresses:
    """Addresses of 127.B.0.0/16, B chosen by the agent's name; kept in a file."""

    def __init__(self, path: Path, agent: str) -> None:
        self._path = path
        self._block = FIRST + int(hashlib.sha256(agent.encode()).hexdigest(), 16) % BLOCKS
        self._lock = threading.Lock()
        try:
            self._known: dict[str, str] = json.loads(path.read_text())
        except (OSError, ValueError):
            self._known = {}

    def give(self, owner: str) -> str:
        """The address of a replica or service; the same one every time."""
        with self._lock:
            if owner not in self._known:
                self._known[owner] = self._free(owner)
                self._save()
            return self._known[owner]

    def take_back(self, owner: str) -> None:
        """Let an address be given to another."""
        with self._lock:
            if self._known.pop(owner, None):
                self._save()

    def _free(self, owner: str) -> str:
        taken = set(self._known.values())
        start = int(hashlib.sha256(owner.encode()).hexdigest(), 16)
        for step in range(PLACES):
            high, low = divmod((start + step) % PLACES, 254)
            address = f"127.{self._block}.{high}.{low + 1}"
            if address not in taken:
                return address
        raise RuntimeError(f"all {PLACES} addresses of 127.{self._block}.0.0/16 are given")

    def _save(self) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._known))
        os.replace(fresh, self._path)  # noqa: PTH105
