"""Why a replica is where it is, or nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_swarm import names
from orch_swarm.placing import refusals
from orch_swarm.sights import labels_of
from orch_swarm.status import host_names, services_of

if TYPE_CHECKING:
    from orch.types import Instance
    from orch_swarm.sights import Swarm

Row = dict[str, Any]


def why(swarm: Swarm, instance: Instance, wanted: str) -> list[str]:
    """Why a service, or the replica with this id, is where it is, or nowhere; node by node."""
    told: list[str] = []
    for row in services_of(swarm, instance):
        tasks = [t for t in swarm.rows("tasks") if t.get("ServiceID") == row["ID"]]
        name = labels_of(row).get(names.NAME, "")
        chosen = [t for t in tasks if wanted in (name, t["ID"]) and _is_wanted(t)]
        if wanted != name and not chosen:
            continue
        hosts = host_names(swarm)
        told += [_state(task, hosts) for task in chosen]
        told += [
            line
            for node in swarm.rows("nodes")
            for line in refusals(node, row["Spec"]["TaskTemplate"])
        ]
    return told


def _is_wanted(task: Row) -> bool:
    return task.get("DesiredState") in ("running", "ready", "complete")


def _state(task: Row, hosts: dict[str, str]) -> str:
    status, place = task["Status"], hosts.get(task.get("NodeID", ""), "")
    where = f"on {place}" if place else "nowhere"
    return (
        f"{task['ID'][:12]} is {status['State']} {where}: {status.get('Err') or status['Message']}"
    )
