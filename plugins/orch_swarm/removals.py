"""Removing objects of the swarm, and waiting until nothing is left of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from orch_swarm import names
from orch_swarm.cron import ENDED
from orch_swarm.faults import InUse, Stale
from orch_swarm.tasks import is_job, look

if TYPE_CHECKING:
    from orch.types import Instance
    from orch_swarm.client import SwarmClient

Row = dict[str, Any]
POLL = 0.25
GONE_SECONDS = 120.0
"""How long tasks of a removed service, or users of a network, may take to go."""
NOWHERE = "node.id==none"


class Removal:
    """Removes objects of one instance, one after another."""

    def __init__(self, client: SwarmClient, instance: Instance) -> None:
        self._client = client
        self._prefix = names.real_name(instance, "x")[:-1]

    def remove(self, kind: str, row: Row) -> None:
        """Remove an object; what it runs, or who uses it, has ended afterwards."""
        id_ = row["Name"] if kind == "volume" else str(row.get("ID") or row.get("Id"))
        end = time.monotonic() + GONE_SECONDS
        if kind == "service" and is_job(row):
            self._stop(id_, end)
        self._ask(kind, id_, end)
        if kind == "service":
            self._await_tasks(id_, end)
        if kind == "network":
            self._await_gone(id_, end)

    def _ask(self, kind: str, id_: str, end: float) -> None:
        while True:
            try:
                self._client.delete(f"/{kind}s/{id_}")
            except InUse:
                if time.monotonic() > end:
                    raise
                if kind == "volume":
                    self._clear_ended(id_)
                time.sleep(POLL)
            else:
                return

    def _stop(self, job: str, end: float) -> None:
        """End the run of a job: engines let the tasks of a removed one run on."""
        while self._goes_on(job) and time.monotonic() < end:
            row = self._client.one("services", job)
            if row is None:
                return
            version = row["Version"]["Index"]
            try:
                self._client.post(f"/services/{job}/update", _asked_nothing(row), version=version)
            except Stale:
                continue
            self._await_tasks(job, end)

    def _clear_ended(self, volume: str) -> None:
        """Engines keep ended containers of removed jobs, and with them their volumes."""
        filters = {"volume": [volume], "status": ["exited", "dead", "created"]}
        for row in self._client.get("/containers/json", all=1, filters=filters):
            service = (row.get("Labels") or {}).get("com.docker.swarm.service.name", "")
            if service.startswith(self._prefix):
                self._client.delete(f"/containers/{row['Id']}")

    def _await_tasks(self, service: str, end: float) -> None:
        """What its tasks use may go only after them."""
        while self._goes_on(service) and time.monotonic() < end:
            time.sleep(POLL)

    def _goes_on(self, service: str) -> bool:
        """Whether a task has not ended; those of a service that is gone can't be asked for."""
        every = look(self._client, self._client.listed("nodes"))
        states = [t["Status"]["State"] for t in every if t.get("ServiceID") == service]
        return any(state not in ENDED for state in states)

    def _await_gone(self, network: str, end: float) -> None:
        while time.monotonic() < end and self._client.one("networks", network) is not None:
            time.sleep(POLL)


def _asked_nothing(row: Row) -> Row:
    """A job's spec that asks for no run: its tasks are stopped, and none follow."""
    spec, mode = row["Spec"], row["Spec"]["Mode"]
    if "ReplicatedJob" in mode:
        return {**spec, "Mode": {"ReplicatedJob": {**mode["ReplicatedJob"], "TotalCompletions": 0}}}
    task = spec["TaskTemplate"]
    placement = {**(task.get("Placement") or {}), "Constraints": [NOWHERE]}
    return {**spec, "TaskTemplate": {**task, "Placement": placement}}
