"""What of a service or job can't be run now, told before anything is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY
from orch_native.api import Refusal
from orch_native.capabilities import FIXED
from orch_native.server.capacity import node_use
from orch_native.server.policy import job_policy, service_policy
from orch_native.server.requests import in_use, taken_ports, validate
from orch_native.server.scheduler import demand_of, driver_of, place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch_native.messages import DriverFacts
    from orch_native.server.controller import Controller
    from orch_native.server.model import Key
    from orch_native.server.scheduler import Demand
    from orch_native.server.world import World


MOST_REPLICAS = 10_000
"""Of one service on one node; a kernel gives out about three times as many process ids."""


def refusals(
    world: World, controller: Controller, key: Key, body: Mapping[str, Any]
) -> list[Refusal]:
    """Everything that stands against it; empty when it can be run."""
    if key.kind in FIXED:
        return list(_moored(world, key, body))
    if key.kind not in {"service", "job"}:
        return []
    validate(key, body)
    found = [Refusal(path, reason) for path, reason in controller.agent.refusals(body)]
    found += [Refusal(path, fault) for path, fault in taken_ports(world, key, body)]
    driver = controller.facts().drivers.get(driver_of(body))
    if driver is not None and not driver.available:
        told = Refusal("image" if body.get("image") else "command", driver.reason, _way(driver))
        return [told, *(refusal for refusal in found if refusal.path != told.path)]
    return [*found, *_placement(world, controller, key, body)]


def _way(driver: DriverFacts) -> str:
    """How to get a driver that is away."""
    if driver.name != "docker":
        return ""
    if "permission denied" in driver.reason.lower():
        return "let this user use it (usermod -aG docker USER, then log in anew), or name another"
    other = "name another with DOCKER_HOST, run `orch server stop` and deploy again"
    return f"start it (systemctl start docker), or {other}"


def _moored(world: World, key: Key, body: Mapping[str, Any]) -> Iterator[Refusal]:
    """What can't be made anew while something uses it."""
    row = world.find(key)
    if row is None or row.deleting or not in_use(world, row):
        return
    holds = "its data would be lost" if key.kind == "volume" else "what uses it would be cut off"
    for field in FIXED[key.kind]:
        if row.body.get(field) != body.get(field):
            yield Refusal(
                field,
                f"it can't be changed while something uses the {key.kind}: {holds}",
                f"leave it as it was, or name a new {key.kind} and use that",
            )


def _placement(
    world: World, controller: Controller, key: Key, body: Mapping[str, Any]
) -> Iterator[Refusal]:
    demand = demand_of(str(key), body)
    own = {key, key._replace(name=body.get("formerly") or key.name)}
    node = node_use(world, controller.facts(), without=own)
    if key.kind == "service":
        yield from _overlap(demand, body)
    wanted = _size(key, body)
    if wanted > MOST_REPLICAS:
        field = "deploy.replicas" if key.kind == "service" else "parallelism"
        why = f"{wanted} of one {key.kind} are more than one node can run"
        yield Refusal(field, why, f"write {MOST_REPLICAS} or fewer")
        return
    for placed in range(wanted):
        placement = place(demand, [node])
        if not placement.node:
            fits = f"only {placed} of {wanted} replicas fit: " if placed else ""
            yield Refusal(_field(placement.message), f"{fits}{placement.message}")
            return
        node.take(demand, f"{key.name}[{placed}]")


def _size(key: Key, body: Mapping[str, Any]) -> int:
    if key.kind == "job":
        return min(job_policy(body).parallelism, job_policy(body).completions)
    policy = service_policy(body)
    return 1 if policy.everywhere else policy.replicas


def _overlap(demand: Demand, body: Mapping[str, Any]) -> Iterator[Refusal]:
    update = body.get("deploy", EMPTY).get("update_config", EMPTY)
    if demand.ports and update.get("order") == "start-first":
        ports = ", ".join(map(str, demand.ports))
        yield Refusal(
            "deploy.update_config.order",
            f"the new replica can't start before the old one ends: both take port {ports} of the"
            " one node",
            "write stop-first, or publish the port with mode: ingress",
        )


def _field(message: str) -> str:
    """The field that a filter speaks of."""
    fields = {
        "driver": "",
        "platform": "platform",
        "constraints": "deploy.placement.constraints",
        "max_replicas_per_node": "deploy.placement.max_replicas_per_node",
        "cpus": "deploy.resources.reservations.cpus",
        "memory": "deploy.resources.reservations.memory",
        "ephemeral_storage": "deploy.resources.reservations.ephemeral_storage",
        "ports": "ports",
        "devices": "deploy.resources.reservations.devices",
    }
    return fields.get(message.split(" ", 1)[0], "")
