"""What the world looks like from outside: status, a rollout's progress, the reason why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from orch.frozen import EMPTY
from orch_native.api import Rollout, RolloutPhase, StoredResource
from orch_native.messages import State
from orch_native.server import cron
from orch_native.server.deployment import ServiceView
from orch_native.server.jobs import succeeded
from orch_native.server.model import RunPhase
from orch_native.server.policy import job_policy, ports_of, service_policy
from orch_native.server.requests import in_use, units_of
from orch_native.server.routing import entry_ports
from orch_native.server.scheduler import NodeUse, demand_of, place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orch_native.server.model import Alloc, App, Deployment, Key, ResourceRow, Run
    from orch_native.server.world import World

T = TypeVar("T")
_ENDED = {
    RunPhase.RUNNING: RolloutPhase.PROGRESSING,
    RunPhase.SUCCEEDED: RolloutPhase.HEALTHY,
    RunPhase.FAILED: RolloutPhase.FAILED,
    RunPhase.STOPPED: RolloutPhase.FAILED,
}


_STOPPED_SHORT = frozenset({RolloutPhase.FAILED, RolloutPhase.PAUSED})


def find(world: World, key: Key) -> StoredResource | None:
    """A resource as the API shows it, None when there is none."""
    row = world.find(key)
    return None if row is None else stored(world, row)


def stored(world: World, row: ResourceRow) -> StoredResource:
    """A resource as the API shows it."""
    return StoredResource(
        kind=row.key.kind,
        name=row.key.name,
        body=row.body,
        applied=row.applied,
        revision=row.revision,
        version=str(row.version),
        uid=row.uid,
        deleting=row.deleting,
        failed=world.faults.of(row.uid) if row.deleting else failure(world, row),
    )


def failure(world: World, row: ResourceRow) -> str:
    """Why a service or job that stands still is not as it should be, empty when it is."""
    if row.key.kind not in {"service", "job"}:
        return ""
    if told := world.faults.of(row.uid):
        return told
    return (_service_failure if row.key.kind == "service" else _job_failure)(world, row)


def _service_failure(world: World, row: ResourceRow) -> str:
    deployment = world.deployments.get(row.uid)
    if deployment is None or not deployment.phase.final:
        return ""
    holders = [alloc for alloc in world.allocs_of(row.uid) if alloc.holds]
    well = all(alloc.serving and alloc.template == row.template for alloc in holders)
    # A first start that recovers is found healthy; nobody looks again at a later one.
    recovered = row.proven is not None and holders and well
    if deployment.phase in _STOPPED_SHORT and not recovered:
        return "its last rollout failed"
    down = sum(not a.serving and a.state in (State.BACKOFF, State.FAILED) for a in holders)
    return f"{down} of {len(holders)} replicas can't be kept running" if down else ""


def _job_failure(world: World, row: ResourceRow) -> str:
    latest = max(world.runs[row.uid].values(), key=lambda run: run.number, default=None)
    if latest is None or latest.phase is not RunPhase.FAILED:
        return ""
    policy = job_policy(row.body)
    return "" if policy.schedule or policy.suspend else "its last run failed"


def policy_of(row: ResourceRow, read: Callable[[Mapping[str, Any]], T]) -> T:
    """What a unit's body asks for; of one that goes nothing is needed that can't be read."""
    try:
        return read(row.body)
    except ValidationError:
        if not row.deleting:
            raise
        return read({"command": ["true"]})


def service_view(world: World, row: ResourceRow, nodes: Sequence[NodeUse]) -> ServiceView:
    """All that is known of a service."""
    policy = policy_of(row, service_policy)
    eligible: tuple[str, ...] = ()
    if policy.everywhere and not row.deleting:
        demand = demand_of(str(row.key), row.body)
        # A global service is on every node that may have it, whatever is taken there already.
        empty = [NodeUse(node.facts) for node in nodes]
        eligible = tuple(n.facts.name for n in empty if place(demand, [n]).node)
    deployment = world.deployments.get(row.uid)
    return ServiceView(row, policy, deployment, world.allocs_of(row.uid), eligible)


# -- rollouts ------------------------------------------------------------------------------


def rollout(world: World, key: Key, nodes: Sequence[NodeUse]) -> Rollout:
    """How the latest change of a resource stands."""
    row = world.find(key)
    if row is None:
        return Rollout(RolloutPhase.GONE, message="it is not there")
    if told := world.faults.of(row.uid):
        return Rollout(RolloutPhase.PROGRESSING, message=told, revision=row.revision)
    if row.deleting:
        return _leaving(world, row)
    if key.kind == "service":
        return _service_rollout(service_view(world, row, nodes))
    if key.kind == "job":
        return _job_rollout(world, row)
    return Rollout(RolloutPhase.HEALTHY, message="stored", revision=row.revision)


def _leaving(world: World, row: ResourceRow) -> Rollout:
    left = [alloc for alloc in world.allocs_of(row.uid) if not alloc.gone]
    message = f"{len(left)} still stopping" if left else "being removed"
    if row.key.kind in {"volume", "network"} and in_use(world, row):
        message = "waits until nothing uses it"
    return Rollout(RolloutPhase.PROGRESSING, 0, len(left), 0, message, revision=row.revision)


def _service_rollout(view: ServiceView) -> Rollout:
    wanted = len(view.slots)
    ready = {a.index for a in view.allocs if a.serving and a.index in view.slots}
    updated = {a.index for a in view.allocs if a.holds and a.template == view.row.template}
    deployment = view.deployment
    phase = deployment.phase if deployment else RolloutPhase.PROGRESSING
    return Rollout(
        phase=phase,
        wanted=wanted,
        ready=len(ready),
        updated=len(updated & set(view.slots)),
        message=_told(deployment) or _waits_for(view, deployment),
        reason=deployment.reason if deployment else "",
        revision=view.row.revision,
        failed=deployment.failed if deployment else (),
    )


def _told(deployment: Deployment | None) -> str:
    if deployment is None:
        return ""
    parts = (deployment.reason, deployment.message)
    return "; ".join(part for part in parts if part)


def _waits_for(view: ServiceView, deployment: Deployment | None) -> str:
    """What the first replica that is not ready says."""
    if deployment is not None and not deployment.moving:
        return ""
    for alloc in view.allocs:
        if alloc.holds and alloc.template == view.row.template and not alloc.serving:
            told = alloc.message or alloc.reason
            return f"{alloc.id} {alloc.state}" + (f": {told}" if told else "")
    return ""


def _job_rollout(world: World, row: ResourceRow) -> Rollout:
    policy = job_policy(row.body)
    runs = sorted(world.runs[row.uid].values(), key=lambda run: run.number)
    if not runs or (policy.schedule is not None and runs[-1].phase is not RunPhase.RUNNING):
        return Rollout(
            RolloutPhase.HEALTHY, message=_schedule_told(world, row), revision=row.revision
        )
    run = runs[-1]
    attempts = [alloc for alloc in world.allocs_of(row.uid) if alloc.run == run.number]
    done = sum(succeeded(alloc) for alloc in attempts)
    phase = _ENDED[run.phase]
    if policy.schedule is not None:
        phase = RolloutPhase.HEALTHY
    return Rollout(
        phase=phase,
        wanted=policy.completions,
        ready=done,
        updated=done,
        message=f"run {run.number} {run.phase}" + (f": {run.message}" if run.message else ""),
        reason=run.message if phase is RolloutPhase.FAILED else "",
        revision=row.revision,
        failed=tuple(a.id for a in attempts if a.ended and not succeeded(a)),
    )


def _schedule_told(world: World, row: ResourceRow) -> str:
    policy = job_policy(row.body)
    if policy.schedule is None:
        return "suspended" if policy.suspend else "nothing to run"
    if policy.suspend:
        return f"suspended ({policy.schedule})"
    last = world.passed.get(row.uid, row.created)
    following = cron.due(policy.schedule, policy.time_zone, last, last).following
    if following is None:
        return f"{policy.schedule} never comes"
    at = datetime.fromtimestamp(following, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"next run at {at}"


# -- status --------------------------------------------------------------------------------


def status(world: World, app: App, nodes: Sequence[NodeUse]) -> dict[str, Any]:
    """An application as it is now, shaped as `orch.types.Status`."""
    units = sorted(units_of(world, app), key=lambda row: row.key)
    services = [_unit_status(world, row, nodes) for row in units]
    revision = max((row.revision for row in world.of_app(app)), default=0)
    healthy = all(service["healthy"] for service in services)
    return {"revision": revision, "healthy": healthy, "services": services}


def _unit_status(world: World, row: ResourceRow, nodes: Sequence[NodeUse]) -> dict[str, Any]:
    if told := world.faults.of(row.uid):
        return _faulty_status(world, row, told)
    if row.key.kind == "service":
        return _service_status(world, service_view(world, row, nodes), nodes)
    return _job_status(world, row)


def _faulty_status(world: World, row: ResourceRow, told: str) -> dict[str, Any]:
    """A unit that the server fails at: only what was seen of it is sure."""
    holders = [alloc for alloc in world.allocs_of(row.uid) if alloc.holds]
    return {
        "name": row.key.name,
        "kind": row.key.kind,
        "wanted": len(holders),
        "ready": sum(alloc.serving for alloc in holders),
        "updated": sum(alloc.template == row.template for alloc in holders),
        "healthy": False,
        "message": told,
        "endpoints": [],
        "replicas": [_replica(world, alloc) for alloc in holders],
    }


def _service_status(world: World, view: ServiceView, nodes: Sequence[NodeUse]) -> dict[str, Any]:
    sight = _service_rollout(view)
    ended_well = sum(
        1
        for a in view.allocs
        if a.holds and a.state is State.COMPLETED and view.policy.restart_condition != "any"
    )
    unseen = _unseen(view, nodes)
    healthy = sight.ready + ended_well >= sight.wanted and not view.row.deleting and not unseen
    shown = [a for a in view.allocs if not a.gone]
    return {
        "name": view.row.key.name,
        "kind": "service",
        "wanted": 0 if view.row.deleting else sight.wanted,
        "ready": sight.ready,
        "updated": sight.updated,
        "healthy": healthy,
        "failed": _is_given_up(view.deployment) and not healthy,
        "message": unseen or _status_message(view, sight, healthy=healthy),
        "endpoints": list(_endpoints(world, view.row, nodes)),
        "replicas": [_replica(world, alloc) for alloc in sorted(shown, key=lambda a: a.index)],
    }


def _unseen(view: ServiceView, nodes: Sequence[NodeUse]) -> str:
    """Why nothing is known of what runs, empty when its driver answers."""
    drivers = {node.facts.name: node.facts.drivers for node in nodes}
    for alloc in view.allocs:
        driver = drivers.get(alloc.node, EMPTY).get(alloc.driver)
        if driver is not None and not driver.available and alloc.holds and not alloc.ended:
            return f"what runs can't be seen: {driver.reason}"
    return ""


def _is_given_up(deployment: Deployment | None) -> bool:
    return deployment is not None and deployment.phase in _STOPPED_SHORT


def _status_message(view: ServiceView, sight: Rollout, *, healthy: bool) -> str:
    if view.row.deleting:
        return "being removed"
    deployment = view.deployment
    if deployment is not None and deployment.phase is not RolloutPhase.HEALTHY:
        told = sight.message or str(deployment.phase)
        return f"last update: {told}" if healthy and deployment.phase.final else told
    if healthy:
        return "; ".join(_restarted(a) for a in view.allocs if a.serving and a.restarts > 1)
    for alloc in view.allocs:
        if alloc.holds and not alloc.serving:
            told = alloc.message or alloc.reason
            return f"{alloc.id} {alloc.state}" + (f": {told}" if told else "")
    return ""


def _restarted(alloc: Alloc) -> str:
    code = "" if alloc.exit_code is None else f", last exit code {alloc.exit_code}"
    times = "once" if alloc.restarts == 1 else f"{alloc.restarts} times"
    return f"{alloc.id} was restarted {times}{code}"


def _job_status(world: World, row: ResourceRow) -> dict[str, Any]:
    sight = _job_rollout(world, row)
    failed = any(run.phase is RunPhase.FAILED for run in _telling(world, row))
    return {
        "name": row.key.name,
        "kind": "job",
        "wanted": sight.wanted,
        "ready": sight.ready,
        "updated": sight.updated,
        "healthy": not failed,
        "failed": bool(_job_failure(world, row)),
        "message": _job_message(world, row),
        "endpoints": [],
        "replicas": [_replica(world, alloc) for alloc in world.allocs_of(row.uid)],
    }


def _telling(world: World, row: ResourceRow) -> list[Run]:
    """The newest run, and with a schedule a failed one before it while that one is under way."""
    runs = sorted(world.runs[row.uid].values(), key=lambda run: run.number, reverse=True)
    if job_policy(row.body).schedule is None:
        return runs[:1]
    ended = [run for run in runs if run.phase is not RunPhase.RUNNING]
    return runs[:1] + [run for run in ended[:1] if run.phase is RunPhase.FAILED and run != runs[0]]


def _job_message(world: World, row: ResourceRow) -> str:
    scheduled = job_policy(row.body).schedule is not None
    parts = [_schedule_told(world, row)] if scheduled else []
    for run in _telling(world, row):
        told = f": {run.message}" if run.message else ""
        parts.append(f"run {run.number} {run.phase}{told}")
    return "; ".join(parts) or _job_rollout(world, row).message


def _replica(world: World, alloc: Alloc) -> dict[str, Any]:
    row = world.resources[alloc.uid]
    stopping = alloc.leaving is not None and not alloc.ended
    return {
        "id": alloc.id,
        "service": row.key.name,
        "state": "stopping" if stopping else str(alloc.state),
        "ready": alloc.serving,
        "node": alloc.node,
        "index": alloc.index,
        "revision": world.template_of(alloc).revision,
        "restarts": alloc.restarts,
        "started": alloc.since,
        "address": _first_address(alloc),
        "message": alloc.message or alloc.reason,
    }


def _first_address(alloc: Alloc) -> str:
    if not alloc.address:
        return ""
    port = next(iter(alloc.ports.values()), None)
    return alloc.address if port is None else f"{alloc.address}:{port}"


def _endpoints(world: World, row: ResourceRow, nodes: Sequence[NodeUse]) -> Iterator[str]:
    """Addresses that answer from outside."""
    host = next((n.facts.addresses[0] for n in nodes if n.facts.addresses), "127.0.0.1")
    for _, port in ports_of(row.body):
        if port.get("published"):
            address = port.get("host_ip") or host
            address = host if address in {"0.0.0.0", "::"} else address  # noqa: S104
            scheme = port.get("app_protocol", "")
            where = f"{address}:{port['published']}"
            yield f"{scheme}://{where}" if scheme in {"http", "https"} else where
    for route in world.of_app(row.key.app, "route"):
        if route.body["service"] == row.key.name and not route.deleting:
            yield _route_address(route.body, host)


def _route_address(route: Mapping[str, Any], host: str) -> str:
    http, https = entry_ports()
    scheme, port, usual = ("https", https, 443) if route.get("tls") else ("http", http, 80)
    where = route.get("host") or host
    return f"{scheme}://{where}{'' if port == usual else f':{port}'}{route.get('path', '/')}"


# -- why -----------------------------------------------------------------------------------


def why(world: World, app: App, wanted: str, nodes: Sequence[NodeUse]) -> list[str] | None:
    """Why a service, job or replica is where it is; None when there is no such thing."""
    rows = [row for row in units_of(world, app) if row.key.name == wanted]
    allocs = [a for row in rows for a in world.allocs_of(row.uid) if not a.gone]
    if not rows:
        found = world.allocs.get(wanted)
        if found is None or world.resources[found.uid].key.app != app:
            return None
        rows, allocs = [world.resources[found.uid]], [found]
    lines = [line for row in rows for line in _why_unit(world, row, nodes)]
    return lines + [line for alloc in allocs for line in _why_alloc(world, alloc, nodes)]


def _why_unit(world: World, row: ResourceRow, nodes: Sequence[NodeUse]) -> Iterator[str]:
    if told := world.faults.of(row.uid):
        yield f"{row.key.name}: {told}"
    elif row.deleting:
        yield f"{row.key.name}: it is being removed"
    elif row.key.kind == "job":
        yield f"{row.key.name}: {_job_message(world, row)}"
    else:
        yield _why_service(world, service_view(world, row, nodes), nodes)


def _why_service(world: World, view: ServiceView, nodes: Sequence[NodeUse]) -> str:
    sight, status = _service_rollout(view), _service_status(world, view, nodes)
    health = "healthy" if status["healthy"] else "unhealthy"
    word = health if sight.phase.final else sight.phase
    told = f": {status['message']}" if status["message"] else ""
    counts = f"{sight.ready} of {sight.wanted} ready, {sight.updated} of this version"
    return f"{view.row.key.name}: {word}, {counts}{told}"


def _why_alloc(world: World, alloc: Alloc, nodes: Sequence[NodeUse]) -> Iterator[str]:
    if alloc.node:
        told = f": {alloc.message}" if alloc.message else ""
        leaving = f", leaving because {alloc.reason}" if alloc.leaving is not None else ""
        yield f"{alloc.id}: {alloc.state} on {alloc.node}{leaving}{told}"
        if alloc.restarts:
            yield _restarted(alloc)
        return
    row = world.resources[alloc.uid]
    if world.faults.of(row.uid):
        return
    demand = demand_of(str(row.key), world.template_of(alloc).body)
    yield f"{alloc.id}: pending, no node fits; it asks for {_asks(demand.cpus, demand.memory)}"
    for reason in place(demand, nodes).reasons:
        yield f"{alloc.id}: {reason}"


def _asks(cpus: int, memory: int) -> str:
    return f"{cpus / 1000:g} cpus and {memory / (1 << 20):.0f} MiB of memory"
