"""Tasks: which are wanted, which are of the newest spec, and why others ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orch_swarm.placing import host_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_swarm.client import SwarmClient

Row = dict[str, Any]
ENDED = ("complete", "shutdown", "failed", "rejected", "remove", "orphaned")
FAILED = ("failed", "rejected", "orphaned")


def look(client: SwarmClient, **filters: list[str]) -> list[Row]:
    """Tasks as they are now; those of nodes that are down are orphaned.

    The managers go on to give what such a node said last, which may be that they run.
    """
    silent = {n["ID"]: host_name(n) for n in client.listed("nodes") if _is_down(n)}
    return [_orphaned(t, silent) for t in client.listed("tasks", **filters)]


def _is_down(node: Row) -> bool:
    return (node.get("Status") or {}).get("State") == "down"


def _orphaned(task: Row, silent: dict[str, str]) -> Row:
    host = silent.get(task.get("NodeID", ""))
    if host is None or task["Status"]["State"] in ENDED:
        return task
    return {**task, "Status": {**task["Status"], "State": "orphaned", "Err": f"{host} is down"}}


def is_job(row: Row) -> bool:
    """Whether a service's tasks end by themselves."""
    return any(key in row["Spec"].get("Mode", {}) for key in ("ReplicatedJob", "GlobalJob"))


def wanted_of(row: Row, tasks: Sequence[Row]) -> int:
    """How many tasks there should be."""
    mode = row["Spec"].get("Mode", {})
    if "Replicated" in mode:
        return int(mode["Replicated"].get("Replicas", 1))
    if "ReplicatedJob" in mode:
        job = mode["ReplicatedJob"] or {}
        return int(job.get("TotalCompletions", job.get("MaxConcurrent", 1)))
    own = of_iteration(row, tasks) if "GlobalJob" in mode else tasks
    nodes = {t.get("NodeID") for t in own if t.get("DesiredState") != "shutdown"}
    return max(1, len(nodes))


def of_iteration(row: Row, tasks: Sequence[Row]) -> list[Row]:
    """A job's tasks of its newest run."""
    index = ((row.get("JobStatus") or {}).get("JobIteration") or {}).get("Index", 0)
    return [t for t in tasks if (t.get("JobIteration") or {}).get("Index", 0) == index]


def split(row: Row, tasks: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Tasks that are wanted and of the newest spec, and all others that still run."""
    wanted = _essence(row["Spec"]["TaskTemplate"])
    new = [t for t in tasks if t.get("DesiredState") == "running" and _essence(t["Spec"]) == wanted]
    ids = {t["ID"] for t in new}
    old = [t for t in tasks if t["ID"] not in ids and t["Status"]["State"] not in ENDED]
    return new, old


def _essence(spec: Row) -> str:
    """What replaces a task when it changes: placement alone does not."""
    kept = {key: spec.get(key) for key in ("ContainerSpec", "Resources", "RestartPolicy")}
    kept |= {"LogDriver": spec.get("LogDriver"), "ForceUpdate": spec.get("ForceUpdate", 0)}
    return json.dumps(_pruned(kept), sort_keys=True)


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        found = {key: _pruned(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if item not in (None, {}, [], "", 0)}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


def reasons(tasks: Sequence[Row]) -> str:
    """Why tasks that should run do not, each cause once."""
    active = [t for t in tasks if t.get("DesiredState") in ("running", "ready", "complete")]
    waiting = [_said(t) for t in active if t["Status"]["State"] not in ("running", "complete")]
    found = list(dict.fromkeys(said for said in waiting if said))
    return "; ".join(found[:3]) or failures(tasks)


def failures(tasks: Sequence[Row]) -> str:
    """What the newest failed tasks said, each cause once."""
    fallen = [t for t in tasks if t["Status"]["State"] in FAILED and t["Status"].get("Err")]
    fallen.sort(key=lambda t: t["Status"].get("Timestamp", ""), reverse=True)
    return "; ".join(list(dict.fromkeys(_said(t) for t in fallen))[:3])


def _said(task: Row) -> str:
    return str(task["Status"].get("Err") or "")


def slots_of(tasks: Sequence[Row]) -> list[list[Row]]:
    """Tasks by the slot, or node, that they stand for, oldest first."""
    found: dict[Any, list[Row]] = {}
    for task in tasks:
        found.setdefault(task.get("Slot") or task.get("NodeID"), []).append(task)
    return [sorted(slot, key=lambda t: t["CreatedAt"]) for slot in found.values()]


def is_lost(row: Row, slot: Sequence[Row]) -> bool:
    """Whether a job's slot has failed for good."""
    newest = slot[-1]
    if newest["Status"]["State"] not in FAILED:
        return False
    policy = row["Spec"]["TaskTemplate"].get("RestartPolicy") or {}
    if policy.get("Condition") == "none":
        return True
    limit = policy.get("MaxAttempts", 0)
    failed = sum(t["Status"]["State"] in FAILED for t in slot)
    return bool(limit) and failed > limit


def trouble(row: Row, tasks: Sequence[Row]) -> str:
    """Why a service does not run as it should and never will by itself, empty when it does."""
    if is_job(row):
        runs = of_iteration(row, tasks)
        lost = any(is_lost(row, slot) for slot in slots_of(runs))
        return f"its last run failed: {failures(runs)}" if lost else ""
    if (row.get("UpdateStatus") or {}).get("State") in ("paused", "rollback_paused"):
        return f"its last update is paused: {failures(tasks)}"
    alive = [t for t in tasks if t["Status"]["State"] not in ENDED]
    if tasks and not alive and wanted_of(row, tasks) > 0:
        return f"its replicas are not started any more: {failures(tasks)}"
    return ""
