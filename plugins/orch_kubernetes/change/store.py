"""Records and the lock of an instance: Secrets, whose names can be taken once only, and a Lease."""

from __future__ import annotations

import base64
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orch.backend.contract import Lock
from orch.errors import Conflict, Locked, Transient
from orch_kubernetes import names
from orch_kubernetes.api import marks
from orch_kubernetes.api.faults import Missing
from orch_kubernetes.change.namespaces import await_gone, ensure_namespace, leave_namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_kubernetes.change.sights import Cluster

Row = dict[str, Any]
LIMIT = 1000 * 1024
"""A Secret holds 1 MiB in all."""
RECORD, WRITTEN, TOKEN = "orch/record", "orch/written", "orch/token"
"""Annotations: a record's name, the mark of one write, and the proof of a held lock."""
HOLDER = "orch/holder"
_TRIES = 3
_CONTENT = "record"


class KubernetesStore:
    """Records are Secrets `orch.APP.RECORD` of the instance's namespace, the lock is a Lease."""

    limit = LIMIT

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._client = cluster, cluster.client
        instance = cluster.instance
        self._stem = f"orch.{names.object_name(instance.name)}"
        self._labels = {marks.STORE: names.label_value(instance.name), names.MANAGED_BY: "orch"}
        self._secrets = f"/api/v1/namespaces/{cluster.space}/secrets"
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{cluster.space}/leases"

    # -- records -------------------------------------------------------------------------------

    def create(self, name: str, data: bytes) -> None:
        """Write a record once. Raises Conflict when the name is taken."""
        mark = secrets.token_hex(8)
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self._name(name),
                "labels": self._labels,
                "annotations": {RECORD: name, WRITTEN: mark},
            },
            "type": "orch/record",
            "immutable": True,
            "data": {_CONTENT: base64.b64encode(data).decode()},
        }
        for _ in range(_TRIES):
            try:
                self._post(self._secrets, body)
            except (Conflict, Transient) as fault:
                # The answer to the write before may have got lost, and not the write.
                row = self._client.one(f"{self._secrets}/{self._name(name)}")
                if row is not None and marks.annotation(row, WRITTEN) == mark:
                    return
                if row is not None or isinstance(fault, Conflict):
                    raise Conflict(f"there is a record {name!r} already") from fault
            else:
                return
        raise Transient(f"the record {name!r} could not be written", mend="try again")

    def _post(self, path: str, body: Row) -> Row:
        try:
            made: Row = self._client.request("POST", path, body)
        except (Missing, Transient):
            await_gone(self._cluster)
            ensure_namespace(self._cluster)
            made = self._client.request("POST", path, body)
        return made

    def _name(self, record: str) -> str:
        return f"{self._stem}.{record}"

    def read(self, name: str) -> bytes:
        """Raises KeyError when there is none."""
        row = self._client.one(f"{self._secrets}/{self._name(name)}")
        if row is None:
            raise KeyError(name)
        return base64.b64decode((row.get("data") or {}).get(_CONTENT, ""))

    def names(self, prefix: str = "") -> Sequence[str]:
        """Names of records that begin so; their content is not read."""
        chosen = f"{marks.STORE}={self._labels[marks.STORE]}"
        with suppress(Missing):
            rows = self._client.listed(self._secrets, metadata=True, labelSelector=chosen)
            found = (marks.annotation(row, RECORD) for row in rows)
            return [name for name in found if name.startswith(prefix)]
        return []

    def delete(self, name: str) -> None:
        """Remove a record."""
        self._client.delete(f"{self._secrets}/{self._name(name)}")

    # -- the lock ------------------------------------------------------------------------------

    def _lease(self) -> Row | None:
        return self._client.one(f"{self._leases}/{self._stem}")

    def acquire(self, holder: str, ttl: float) -> Lock:
        """Take the lock. Raises Locked naming the holder."""
        token = secrets.token_hex(8)
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._stem, "labels": self._labels},
        }
        self._client.version()
        lock = Lock(holder, token, self._client.now() + ttl)
        try:
            self._post(self._leases, self._held(body, lock, ttl))
        except Conflict:
            self._take_over(lock, ttl)
        return lock

    def _take_over(self, lock: Lock, ttl: float) -> None:
        """An expired lock changes hands by one update that rests on its version."""
        row = self._lease()
        if row is None:
            raise Locked("the lock changed hands just now", mend="try again")
        if marks.annotation(row, TOKEN) == lock.token:
            return
        if _ends(row) > self._client.now():
            raise Locked(
                f"{_holder(row) or 'somebody'} deploys here now", mend="wait, or `orch unlock`"
            )
        self._write(row, lock, ttl)

    def _held(self, row: Row, lock: Lock, ttl: float) -> Row:
        metadata = dict(row["metadata"])
        metadata["annotations"] = {
            **(metadata.get("annotations") or {}),
            TOKEN: lock.token,
            HOLDER: lock.holder,
        }
        began = datetime.fromtimestamp(lock.expires - ttl, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            "holderIdentity": lock.holder,
            "leaseDurationSeconds": max(1, round(ttl)),
            "renewTime": began,
        }
        return {**row, "metadata": metadata, "spec": spec}

    def _write(self, row: Row, lock: Lock, ttl: float) -> None:
        try:
            self._client.request("PUT", f"{self._leases}/{self._stem}", self._held(row, lock, ttl))
        except (Conflict, Missing) as fault:
            raise Locked("the lock was lost to somebody else", mend="deploy again") from fault

    def renew(self, lock: Lock, ttl: float) -> Lock:
        """Raises Locked when it was lost."""
        row = self._lease()
        if row is None or marks.annotation(row, TOKEN) != lock.token:
            raise Locked("the lock is lost", mend="deploy again")
        renewed = Lock(lock.holder, lock.token, self._client.now() + ttl)
        self._write(row, renewed, ttl)
        return renewed

    def release(self, lock: Lock) -> None:
        """Give it back; one that may be somebody else's by now is left."""
        row = self._lease()
        if row is not None and marks.annotation(row, TOKEN) == lock.token:
            self._remove(row)
            if not self.names():
                leave_namespace(self._cluster)

    def _remove(self, row: Row) -> None:
        with suppress(Conflict):
            self._client.delete(f"{self._leases}/{self._stem}", uid=str(row["metadata"]["uid"]))

    def break_lock(self) -> str:
        """Remove it, whoever holds it."""
        row = self._lease()
        if row is None:
            return ""
        self._remove(row)
        return _holder(row)


def _holder(row: Row) -> str:
    return marks.annotation(row, HOLDER) or str(row["spec"].get("holderIdentity") or "")


def _ends(row: Row) -> float:
    spec = row["spec"]
    began = datetime.fromisoformat(str(spec.get("renewTime", "1970-01-01T00:00:00Z")))
    return began.timestamp() + float(spec.get("leaseDurationSeconds") or 0)
