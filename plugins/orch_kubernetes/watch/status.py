"""Services, replicas and health as they are now."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from orch.types import Replica, ServiceStatus, Status
from orch_kubernetes.api import marks
from orch_kubernetes.api.kinds import WORKLOADS
from orch_kubernetes.watch import admission
from orch_kubernetes.watch.admission import Routes
from orch_kubernetes.watch.health import (
    condition,
    is_going,
    is_owned_by,
    is_ready,
    labels_of,
    pods_of,
    reasons,
    sight_of,
    statuses,
    trouble_of,
    unit_of,
    why_not,
)
from orch_kubernetes.watch.ways_in import SERVICE_NAME, WaysIn, seen, slices_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orch_kubernetes.change.sights import Cluster

Row = dict[str, Any]
_INDEX = "apps.kubernetes.io/pod-index"


def status_of(cluster: Cluster) -> Status:
    """An application as it is."""
    instance = cluster.instance
    kinds = (*WORKLOADS, "Service", *admission.KINDS)
    rows = cluster.ours(kinds, needed=("Deployment",))
    workloads = [row for name in WORKLOADS for row in rows.get(name, ()) if unit_of(row)[0]]
    pods = cluster.pods() if workloads else []
    runs = _runs(cluster) if rows.get("CronJob") else []
    routes = Routes({kind: rows.get(kind, ()) for kind in admission.KINDS})
    ways = WaysIn(rows.get("Service"), _slices(cluster, workloads), cluster.facts.load_balancer)
    found = [
        _scheduled(row, runs, pods)
        if row["kind"] == "CronJob"
        else _service(row, pods, ways, routes)
        for row in workloads
    ]
    found.sort(key=lambda service: service.name)
    revision = max((marks.revision_of(row) for row in workloads), default=0)
    healthy = all(service.healthy for service in found)
    return Status(instance.name, instance.target, revision, healthy, tuple(found))


def _slices(cluster: Cluster, workloads: Sequence[Row]) -> list[Row] | None:
    """The endpoints of all Services, None where they may not be seen."""
    if not workloads:
        return None
    path = slices_path(cluster.facts, cluster.space)
    return seen(lambda: cluster.client.listed(path, labelSelector=SERVICE_NAME))


def _runs(cluster: Cluster) -> list[Row]:
    """Every job of the namespace: those of a schedule bear no marks of ours."""
    jobs = cluster.kinds.all["Job"]
    return [{"kind": "Job", **row} for row in cluster.client.of_kind(jobs, cluster.space) or ()]


def _service(row: Row, pods: Sequence[Row], ways: WaysIn, routes: Routes) -> ServiceStatus:
    noun, name = unit_of(row)
    own, sight = pods_of(row, pods), sight_of(row)
    trouble = trouble_of(row, pods)
    if noun == "service":
        own = [pod for pod in own if _counts(pod)]
    ready = sum(is_ready(pod) for pod in own) if noun == "service" else sight.ready
    lacking = ways.lacking(row, own, sight.wanted) if sight.arrived else ""
    lacking = lacking or routes.refusal(marks.name_of(row))
    healthy = sight.arrived and not lacking
    why = trouble or reasons(own) or lacking or ("" if sight.seen else "not yet seen")
    message = "" if healthy else why
    return ServiceStatus(
        name,
        noun,
        sight.wanted,
        ready,
        sight.updated,
        healthy,
        message,
        tuple(dict.fromkeys(_endpoints(row, ways, routes))),
        tuple(replicas_of(name, own, marks.revision_of(row))),
        failed=bool(trouble),
    )


def _counts(pod: Row) -> bool:
    """Whether a pod is a replica: one that was evicted, or has ended, is none any more."""
    return (pod.get("status") or {}).get("phase") not in ("Failed", "Succeeded")


def _scheduled(row: Row, jobs: Sequence[Row], pods: Sequence[Row]) -> ServiceStatus:
    """A job with a schedule: its newest run counts, and the pods of all that are kept are shown.

    How it fares is judged by the newest run that has ended: the next one may begin at once.
    """
    _, name = unit_of(row)
    runs = sorted((job for job in jobs if is_owned_by(job, row)), key=_created)
    shown = [pod for run in runs for pod in pods_of(run, pods)]
    sights = [sight_of(run) for run in reversed(runs)]
    newest = next(iter(sights), None)
    failed = next((sight.failed for sight in sights if sight.failed or sight.arrived), "")
    spec, status = row["spec"], row.get("status") or {}
    last = status.get("lastScheduleTime")
    told = f"{spec['schedule']}; last run at {last}" if last else spec["schedule"]
    if spec.get("suspend"):
        told = f"suspended ({spec['schedule']})"
    if failed:
        told += f": {failed}" if newest and newest.failed else f"; the run before it: {failed}"
    return ServiceStatus(
        name,
        "job",
        newest.wanted if newest else 0,
        newest.ready if newest else 0,
        newest.updated if newest else 0,
        not failed,
        told,
        replicas=tuple(replicas_of(name, shown, marks.revision_of(row))),
    )


def _created(row: Row) -> str:
    return str(row["metadata"].get("creationTimestamp", ""))


# -- replicas --------------------------------------------------------------------------------------


def replicas_of(service: str, pods: Sequence[Row], revision: int) -> Iterator[Replica]:
    """The pods of a service, the oldest first; those of a StatefulSet have their own index."""
    ordered = sorted(pods, key=lambda pod: (_index(pod, 0), _created(pod), marks.name_of(pod)))
    for number, pod in enumerate(ordered):
        status = pod.get("status") or {}
        yield Replica(
            marks.name_of(pod),
            service,
            state_of(pod),
            ready=is_ready(pod),
            node=str((pod.get("spec") or {}).get("nodeName") or ""),
            index=_index(pod, number),
            revision=revision,
            restarts=sum(int(one.get("restartCount") or 0) for one in statuses(pod)),
            started=seconds_of(str(status.get("startTime") or "")),
            address=str(status.get("podIP") or ""),
            message=why_not(pod),
        )


def _index(pod: Row, usual: int) -> int:
    labels = labels_of(pod)
    said = labels.get(_INDEX)
    if said is None and "statefulset.kubernetes.io/pod-name" in labels:
        said = marks.name_of(pod).rpartition("-")[2]
    return int(said) if said is not None and said.isdigit() else usual


def state_of(pod: Row) -> str:
    """What a pod does, in one word."""
    phase = str((pod.get("status") or {}).get("phase", "Pending"))
    if is_going(pod):
        return "stopping"
    if phase == "Running" and condition(pod, "Ready").get("status") != "True":
        started = any("running" in (one.get("state") or {}) for one in statuses(pod))
        return "running" if started else "starting"
    return {"Succeeded": "complete"}.get(phase, phase.lower())


def seconds_of(stamp: str) -> float:
    """A time of the API, RFC 3339, as seconds since the epoch; 0 when it is empty or no time."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0.0


# -- ways in ---------------------------------------------------------------------------------------


def _endpoints(row: Row, ways: WaysIn, routes: Routes) -> Iterator[str]:
    """Addresses that answer from outside."""
    selected = (row["spec"].get("selector") or {}).get("matchLabels")
    for service in ways.services or ():
        spec = service.get("spec") or {}
        if spec.get("type") == "LoadBalancer" and spec.get("selector") == selected:
            yield from _balanced(service, spec)
    yield from routes.endpoints(marks.name_of(row))


def _balanced(way: Row, spec: Row) -> Iterator[str]:
    held = ((way.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    for address in held:
        where = address.get("ip") or address.get("hostname")
        yield from (f"{where}:{port['port']}" for port in spec.get("ports") or ())
    if not held:
        yield from (
            f"any-node:{port['nodePort']}" for port in spec.get("ports") or () if "nodePort" in port
        )
