"""Tasks: which are wanted, which are of the newest spec, and why others ended."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from orch.spec.deploy import UpdateConfig
from orch.spec.units import Duration
from orch_swarm import names
from orch_swarm.cron import ENDED, FAILED, is_lost, seconds_of, slots_of
from orch_swarm.placing import host_name, is_up, meets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orch_swarm.client import SwarmClient

Row = dict[str, Any]
_WAITS = {
    "preparing": "its image is pulled",
    "starting": "it is not healthy yet",
    "complete": "it ended by itself, with code 0",
}
"""What states mean of which the engine says nothing more."""
_CHECKED = (
    "it ended with code 0: by itself, or ended as its health check failed, which the engine tells "
    "no difference of; see that the image holds what the check runs"
)
NANOS = 1_000_000_000
_PATIENCE = UpdateConfig().progress_deadline.seconds


def look(client: SwarmClient, nodes: Sequence[Row], **filters: list[str]) -> list[Row]:
    """Tasks as they are now; those of nodes that are down are orphaned.

    The managers go on to give what such a node said last, which may be that they run.
    """
    silent = {n["ID"]: host_name(n) for n in nodes if _is_down(n)}
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


def wanted_of(row: Row, tasks: Sequence[Row], nodes: Sequence[Row]) -> int:
    """How many tasks there should be."""
    mode = row["Spec"].get("Mode", {})
    if "Replicated" in mode:
        return int(mode["Replicated"].get("Replicas", 1))
    if "ReplicatedJob" in mode:
        job = mode["ReplicatedJob"] or {}
        return int(job.get("TotalCompletions", job.get("MaxConcurrent", 1)))
    own = of_iteration(row, tasks) if "GlobalJob" in mode else tasks
    return len(_homes(row, own, nodes))


def _homes(row: Row, tasks: Sequence[Row], nodes: Sequence[Row]) -> list[Row]:
    """The nodes that have a task each of a global service; a paused one keeps what it has."""
    taken = {t.get("NodeID") for t in tasks if t["Status"]["State"] not in ENDED}
    able = [n for n in nodes if is_up(n) and meets(n, row["Spec"]["TaskTemplate"])]
    paused = [n["ID"] for n in able if n["Spec"].get("Availability") == "pause"]
    return [n for n in able if n["ID"] not in paused or n["ID"] in taken]


def of_iteration(row: Row, tasks: Sequence[Row]) -> list[Row]:
    """A job's tasks of its newest run."""
    index = ((row.get("JobStatus") or {}).get("JobIteration") or {}).get("Index", 0)
    return [t for t in tasks if (t.get("JobIteration") or {}).get("Index", 0) == index]


class Parts(NamedTuple):
    """A service's tasks: of the newest spec, others that still run, and ends of slots."""

    new: list[Row]
    old: list[Row]
    well: list[Row]
    """They ended with code 0, and the restart policy leaves it at that."""
    lost: list[Row]
    """They fell, and the restart policy gives them no successor."""


def split(row: Row, tasks: Sequence[Row], nodes: Sequence[Row]) -> Parts:
    """Sort a service's tasks."""
    current = _current(row, nodes)
    new = [t for t in tasks if t.get("DesiredState") == "running" and current(t)]
    ids = {t["ID"] for t in new}
    old = [t for t in tasks if t["ID"] not in ids and t["Status"]["State"] not in ENDED]
    policy = row["Spec"]["TaskTemplate"].get("RestartPolicy") or {}
    last = [t for t in _last(row, tasks, nodes) if current(t)]
    once = policy.get("Condition", "any") != "any"
    well = [t for t in last if once and t["Status"]["State"] == "complete"]
    return Parts(new, old, well, [t for t in last if t not in well])


def _last(row: Row, tasks: Sequence[Row], nodes: Sequence[Row]) -> list[Row]:
    """The newest task of each slot where it has ended and none follows.

    A task is told to shut down in the very step that makes the next one.
    """
    homes = {node["ID"] for node in _homes(row, tasks, nodes)}
    everywhere = "Global" not in row["Spec"].get("Mode", {})
    return [
        slot[-1]
        for slot in slots_of(tasks)
        if slot[-1].get("DesiredState") == "shutdown"
        and slot[-1]["Status"]["State"] in (*FAILED, "complete")
        and (everywhere or slot[-1].get("NodeID") in homes)
    ]


def _current(row: Row, nodes: Sequence[Row]) -> Callable[[Row], bool]:
    """Whether the engine keeps a task: it is as the spec says, and where the spec lets it be.

    Another placement alone replaces nothing on a node that meets the new constraints.
    """
    template = row["Spec"]["TaskTemplate"]
    wanted, placed = _essence(template), _pruned(template.get("Placement") or {})
    homes = {n["ID"] for n in nodes if meets(n, template)}

    def holds(task: Row) -> bool:
        same = _pruned(task["Spec"].get("Placement") or {}) == placed
        return _essence(task["Spec"]) == wanted and (same or task.get("NodeID") in homes)

    return holds


def _essence(spec: Row) -> str:
    """What replaces a task when it changes."""
    kept = ("ContainerSpec", "Resources", "RestartPolicy", "LogDriver", "Networks", "ForceUpdate")
    return json.dumps(_pruned({key: spec.get(key) for key in kept}), sort_keys=True)


def _pruned(value: Any) -> Any:
    """A value without what the engine writes out or leaves out as it likes."""
    if isinstance(value, dict):
        found = {key: _pruned(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if not _is_nothing(item)}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


def _is_nothing(value: Any) -> bool:
    return value in (None, {}, [], "") or (value == 0 and not isinstance(value, bool))


def reasons(tasks: Sequence[Row]) -> str:
    """Why tasks that should run do not, each cause once."""
    active = [t for t in tasks if t.get("DesiredState") in ("running", "ready", "complete")]
    waiting = [_said(t) for t in active if t["Status"]["State"] not in ("running", "complete")]
    found = list(dict.fromkeys(said for said in waiting if said))
    return "; ".join(found[:3]) or failures(tasks)


def failures(tasks: Sequence[Row]) -> str:
    """What the newest failed tasks said, each cause once."""
    fallen = [t for t in tasks if _has_fallen(t) and _said(t)]
    fallen.sort(key=lambda t: t["Status"].get("Timestamp", ""), reverse=True)
    return "; ".join(list(dict.fromkeys(_said(t) for t in fallen))[:3])


def _has_fallen(task: Row) -> bool:
    """Whether a task failed, or ended well though nobody asked it to: jobs alone may do that."""
    state = task["Status"]["State"]
    return state in FAILED or (state == "complete" and "JobIteration" not in task)


def _said(task: Row) -> str:
    status = task["Status"]
    if status.get("Err"):
        return str(status["Err"])
    checked = task.get("Spec", {}).get("ContainerSpec", {}).get("Healthcheck")
    return (
        _CHECKED if checked and status["State"] == "complete" else _WAITS.get(status["State"], "")
    )


def trouble(row: Row, tasks: Sequence[Row], nodes: Sequence[Row]) -> str:
    """Why a service does not run as it should and never will by itself, empty when it does."""
    if is_job(row):
        runs = of_iteration(row, tasks)
        lost = any(is_lost(slot) for slot in slots_of(runs))
        return f"its last run failed: {failures(runs)}" if lost else ""
    if _is_paused(row):
        return f"its last update is paused: {failures(tasks)}"
    parts = split(row, tasks, nodes)
    if parts.lost:
        return f"its replicas are not started any more: {failures(tasks)}"
    current, well = _current(row, nodes), {t["ID"] for t in parts.well}
    own = [task for task in tasks if current(task) and task["ID"] not in well]
    if any(_falls(slot, row) for slot in slots_of(own)):
        told = reasons(own) or f"they were not well within {patience_of(row):g} s"
        return f"its replicas can't be kept running: {told}"
    return ""


def is_given_up(row: Row, parts: Parts) -> bool:
    """Whether the engine does nothing more for a service that is not as it should be."""
    return _is_paused(row) or bool(parts.lost)


def _is_paused(row: Row) -> bool:
    return (row.get("UpdateStatus") or {}).get("State") in ("paused", "rollback_paused")


def _falls(slot: Sequence[Row], row: Row) -> bool:
    """Whether nothing runs in a slot, and what is there fell, or waits, beyond patience."""
    if any(t["Status"]["State"] == "running" for t in slot):
        return False
    waiting = [t for t in slot if t["Status"]["State"] not in ENDED]
    if any(time.time() - seconds_of(t["CreatedAt"]) > patience_of(row) for t in waiting):
        return True
    fallen = [t for t in slot if _has_fallen(t)]
    return any(_life(task) < _longest_start(row) for task in fallen)


def _longest_start(row: Row) -> float:
    """Seconds that a replica may live and never have been well.

    Patience is had twice, until it starts and until it is well, and the engine's own health
    check takes its time before it ends one.
    """
    check = row["Spec"]["TaskTemplate"]["ContainerSpec"].get("Healthcheck") or {}
    looks = check.get("Retries", 0) * (check.get("Interval", 0) + check.get("Timeout", 0))
    return 2 * patience_of(row) + float(check.get("StartPeriod", 0) + looks) / NANOS


def _life(task: Row) -> float:
    return seconds_of(task["Status"].get("Timestamp", "")) - seconds_of(task["CreatedAt"])


def patience_of(row: Row) -> float:
    """Seconds within which a replica must have got well."""
    said = (row["Spec"].get("Labels") or {}).get(names.DEADLINE)
    return Duration.parse(said).seconds if said else _PATIENCE
