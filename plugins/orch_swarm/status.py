"""Services, replicas and health as they are now."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from orch.types import Instance, Replica, ServiceStatus, Status
from orch_swarm import cron, names
from orch_swarm.cron import ENDED, seconds_of
from orch_swarm.placing import host_name
from orch_swarm.runs import runs_of, scheduled_status
from orch_swarm.sights import labels_of
from orch_swarm.tasks import is_given_up, is_job, of_iteration, reasons, split, trouble, wanted_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orch_swarm.sights import Swarm

Row = dict[str, Any]


def services_of(swarm: Swarm, instance: Instance) -> list[Row]:
    """The services and jobs of an instance."""
    return [
        row
        for row in swarm.rows("services")
        if names.owner_of(labels_of(row), instance.target) == instance
        and names.ID in labels_of(row)
    ]


def status_of(swarm: Swarm, instance: Instance) -> Status:
    """An application as it is."""
    rows = services_of(swarm, instance)
    tasks = swarm.rows("tasks") if rows else []
    nodes = swarm.rows("nodes") if rows else []
    of_service: dict[str, list[Row]] = {}
    for task in tasks:
        of_service.setdefault(str(task.get("ServiceID")), []).append(task)

    def seen(row: Row) -> ServiceStatus:
        labels = labels_of(row)
        if cron.SCHEDULE not in labels:
            return _service(row, of_service.get(row["ID"], []), nodes)
        show = partial(_replica, labels[names.NAME], hosts=host_names(swarm), row=row)
        runs = runs_of(swarm, instance, labels[names.ID])
        return scheduled_status(row, runs, of_service, show, time.time())

    found = [seen(row) for row in rows]
    revision = max((int(labels_of(row).get(names.REVISION) or 0) for row in rows), default=0)
    healthy = all(service.healthy for service in found)
    found.sort(key=lambda service: service.name)
    return Status(instance.name, instance.target, revision, healthy, tuple(found))


def host_names(swarm: Swarm) -> dict[str, str]:
    """Host names of nodes by their ids."""
    return {str(node["ID"]): host_name(node) for node in swarm.rows("nodes")}


def _service(row: Row, tasks: Sequence[Row], nodes: Sequence[Row]) -> ServiceStatus:
    name = labels_of(row).get(names.NAME, row["Spec"]["Name"])
    hosts = {str(node["ID"]): host_name(node) for node in nodes}
    wanted = wanted_of(row, tasks, nodes)
    if is_job(row):
        runs = of_iteration(row, tasks)
        done = sum(t["Status"]["State"] == "complete" for t in runs)
        replicas = tuple(_replica(name, t, hosts, row) for t in runs if t.get("NodeID"))
        message = "" if done >= wanted else reasons(runs)
        updated = sum(t["Status"]["State"] not in ("failed", "rejected") for t in runs)
        healthy = done >= wanted
        return ServiceStatus(
            name,
            "job",
            wanted,
            done,
            updated,
            healthy,
            message,
            replicas=replicas,
            failed=bool(trouble(row, tasks, nodes)),
        )
    parts = split(row, tasks, nodes)
    new, old = parts.new, parts.old
    shown = [t for t in (*new, *old) if t["Status"]["State"] not in ENDED]
    shown.sort(key=lambda t: (t.get("Slot", 0), t["CreatedAt"]))
    ready = sum(t["Status"]["State"] == "running" for t in shown) + len(parts.well)
    updated = sum(t["Status"]["State"] == "running" for t in new) + len(parts.well)
    healthy = updated >= wanted
    return ServiceStatus(
        name,
        "service",
        wanted,
        ready,
        updated,
        healthy,
        "" if healthy else reasons(tasks),
        tuple(_endpoints(row, shown, hosts)),
        tuple(_replica(name, t, hosts, row) for t in shown),
        failed=not healthy and is_given_up(row, parts),
    )


def _replica(name: str, task: Row, hosts: dict[str, str], row: Row) -> Replica:
    state = task["Status"]["State"]
    addresses = [
        address.partition("/")[0]
        for attached in task.get("NetworksAttachments") or ()
        for address in attached.get("Addresses") or ()
    ]
    return Replica(
        task["ID"],
        name,
        state,
        ready=state in ("running", "complete"),
        node=hosts.get(task.get("NodeID", ""), ""),
        index=max(0, int(task.get("Slot") or 1) - 1),
        revision=int(labels_of(row).get(names.REVISION) or 0),
        started=seconds_of(task["Status"].get("Timestamp", "")),
        address=addresses[0] if addresses else "",
        message=str(task["Status"].get("Err") or ""),
    )


def _endpoints(row: Row, tasks: Sequence[Row], hosts: dict[str, str]) -> Iterator[str]:
    for port in (row.get("Endpoint") or {}).get("Ports") or ():
        published = port.get("PublishedPort")
        if port.get("PublishMode") == "host":
            nodes = {hosts.get(t.get("NodeID", ""), "") for t in tasks}
            yield from (f"{node}:{published}" for node in sorted(nodes) if node and published)
        elif published:
            yield f"{next(iter(hosts.values()), 'any-node')}:{published}"
