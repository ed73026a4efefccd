"""Records and the lock of an instance: configs, whose names can be taken once only."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from typing import TYPE_CHECKING, Any

from orch.backend.contract import Lock
from orch.errors import Conflict, Locked, Transient
from orch_swarm.faults import Missing
from orch_swarm.sights import STORE, labels_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch.types import Instance
    from orch_swarm.client import SwarmClient

Row = dict[str, Any]
LIMIT = 900 * 1024
"""Swarm takes less than 1000 KiB a config."""
_LONGEST = 64
_LOCK = "lock"
_TRIES = 3
RECORD, HOLDER, TOKEN, EXPIRES = "orch.record", "orch.holder", "orch.token", "orch.expires"
WRITTEN = "orch.written"
"""Label that tells the write of one caller from that of any other."""
SECONDS = 8.0
"""Writes are small: an answer that takes longer comes from a manager whose leader has died."""


class SwarmStore:
    """Records are configs `orch.NAMESPACE.APP.RECORD`; the lock is one whose labels change."""

    limit = LIMIT

    def __init__(self, client: SwarmClient, instance: Instance) -> None:
        self._client = client
        self._key = f"{instance.namespace}/{instance.name}"
        self._prefix = f"orch.{instance.namespace}.{instance.name}"

    def _name(self, record: str) -> str:
        full = f"{self._prefix}.{record}"
        if len(full) <= _LONGEST:
            return full
        return f"orch.{hashlib.sha256(self._key.encode()).hexdigest()[:16]}.{record}"

    def _rows(self) -> list[Row]:
        return self._client.listed("configs", label=[f"{STORE}={self._key}"])

    def _row(self, record: str) -> Row | None:
        return next((r for r in self._rows() if labels_of(r).get(RECORD) == record), None)

    def _create(self, record: str, data: bytes, labels: dict[str, str]) -> None:
        mark = secrets.token_hex(8)
        spec = {
            "Name": self._name(record),
            "Labels": {STORE: self._key, RECORD: record, WRITTEN: mark, **labels},
            "Data": base64.b64encode(data).decode(),
        }
        for _ in range(_TRIES):
            try:
                self._client.post("/configs/create", spec, within=SECONDS)
            except (Conflict, Transient) as fault:
                # The answer to the write before may have got lost, and not the write.
                row = self._row(record)
                if row is not None and labels_of(row).get(WRITTEN) == mark:
                    return
                if row is not None or isinstance(fault, Conflict):
                    raise Conflict(f"there is a record {record!r} already") from fault
            else:
                return
        raise Transient(f"the record {record!r} could not be written", mend="try again")

    # -- records -------------------------------------------------------------------------------

    def create(self, name: str, data: bytes) -> None:
        """Write a record once. Raises Conflict when the name is taken."""
        self._create(name, data, {})

    def read(self, name: str) -> bytes:
        """Raises KeyError when there is none."""
        row = self._row(name)
        if row is None:
            raise KeyError(name)
        return base64.b64decode(row["Spec"].get("Data") or "")

    def names(self, prefix: str = "") -> Sequence[str]:
        """Names of records that begin so."""
        found = (labels_of(row).get(RECORD, "") for row in self._rows())
        return [name for name in found if name.startswith(prefix) and name != _LOCK]

    def delete(self, name: str) -> None:
        """Remove a record."""
        row = self._row(name)
        if row is not None:
            self._client.delete(f"/configs/{row['ID']}")

    # -- the lock ------------------------------------------------------------------------------

    def acquire(self, holder: str, ttl: float) -> Lock:
        """Take the lock. Raises Locked naming the holder."""
        lock = Lock(holder, secrets.token_hex(8), time.time() + ttl)
        try:
            self._create(_LOCK, b"lock", _labels(lock))
        except Conflict:
            self._take_over(lock)
        return lock

    def _take_over(self, lock: Lock) -> None:
        """An expired lock changes hands by one update that rests on its version."""
        row = self._row(_LOCK)
        if row is None:
            raise Locked("the lock changed hands just now", mend="try again")
        held = labels_of(row)
        if float(held.get(EXPIRES) or 0) > time.time():
            raise Locked(
                f"{held.get(HOLDER, 'somebody')} deploys here now", mend="wait, or `orch unlock`"
            )
        self._write(row, lock)

    def _write(self, row: Row, lock: Lock) -> None:
        spec = {**row["Spec"], "Labels": {**labels_of(row), **_labels(lock)}}
        version = row["Version"]["Index"]
        try:
            path = f"/configs/{row['ID']}/update"
            self._client.post(path, spec, within=SECONDS, version=version)
        except (Conflict, Missing) as fault:
            raise Locked("the lock was lost to somebody else", mend="deploy again") from fault

    def renew(self, lock: Lock, ttl: float) -> Lock:
        """Raises Locked when it was lost."""
        row = self._row(_LOCK)
        if row is None or labels_of(row).get(TOKEN) != lock.token:
            raise Locked("the lock is lost", mend="deploy again")
        renewed = Lock(lock.holder, lock.token, time.time() + ttl)
        self._write(row, renewed)
        return renewed

    def release(self, lock: Lock) -> None:
        """Give it back; one that may be somebody else's by now is left."""
        row = self._row(_LOCK)
        if row is not None and labels_of(row).get(TOKEN) == lock.token:
            self._client.delete(f"/configs/{row['ID']}")

    def break_lock(self) -> str:
        """Remove it, whoever holds it."""
        row = self._row(_LOCK)
        if row is None:
            return ""
        self._client.delete(f"/configs/{row['ID']}")
        return labels_of(row).get(HOLDER, "")


def _labels(lock: Lock) -> dict[str, str]:
    return {HOLDER: lock.holder, TOKEN: lock.token, EXPIRES: f"{lock.expires:.3f}"}
