"""What of an application can't be run now, told before anything is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orch.errors import UsageFault
from orch.frozen import EMPTY
from orch_native.api import Refusal
from orch_native.capabilities import FIXED
from orch_native.server.assignment import aliases, external_owner
from orch_native.server.capacity import node_use
from orch_native.server.model import Key
from orch_native.server.policy import job_policy, service_policy
from orch_native.server.requests import in_use, taken_ports, validate
from orch_native.server.scheduler import demand_of, driver_of, place

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from orch_native.messages import DriverFacts
    from orch_native.server.bodies import Asked
    from orch_native.server.controller import Controller
    from orch_native.server.model import App
    from orch_native.server.scheduler import Demand
    from orch_native.server.world import World

    Units = Mapping[Key, Mapping[str, Any]]


EXTERNAL = ("config", "secret")
MOST_REPLICAS = 10_000
"""Of one service on one node; a kernel gives out about three times as many process ids."""
_MENDS = {
    "driver": "use what this host can run, see `orch node`",
    "platform": "use an image for this platform, or leave `platform` out",
    "constraints": "loosen the constraint, or give the node what it asks for",
    "max_replicas_per_node": "ask for fewer replicas, or allow more on one node",
    "ports": "publish another port, or stop what holds it",
}
_MORE_ROOM = "ask for less or for fewer replicas, stop something else, or take a larger host"


def refusals(world: World, controller: Controller, app: App, asked: Asked) -> list[Refusal]:
    """Everything that stands against these units; empty when they can all be run together."""
    bodies = {Key(app, unit.kind, unit.name): unit.body for unit in asked.units}
    found = [told for key, body in bodies.items() for told in _alone(world, controller, key, body)]
    stuck = {refusal.unit for refusal in found}
    units = {
        key: body
        for key, body in bodies.items()
        if key.kind in {"service", "job"} and key.id not in stuck
    }
    leaving = [Key(app, *id_.split("/", 1)) for id_ in asked.leaving]
    return [*found, *_together(world, controller, units, leaving)]


def _alone(
    world: World, controller: Controller, key: Key, body: Mapping[str, Any]
) -> Iterator[Refusal]:
    """What stands against a unit, whatever else runs."""
    if key.kind in FIXED:
        yield from _moored(world, key, body)
    if key.kind in EXTERNAL and body.get("external"):
        yield from _unowned(world, key, body)
    if key.kind not in {"service", "job"}:
        return
    validate(key, body)
    driver = controller.facts().drivers.get(driver_of(body))
    field = "image" if body.get("image") else "command"
    away = driver is not None and not driver.available
    if driver is not None and away:
        yield Refusal(key.id, field, driver.reason, _way(driver), unreachable=True)
    for path, reason in controller.agent.refusals(body):
        if not (away and path == field):
            yield Refusal(key.id, path, reason)
    for path, reason, mend in taken_ports(world, key, body):
        yield Refusal(key.id, path, reason, mend)
    if key.kind == "service":
        yield from _overlap(key, demand_of(str(key), body), body)
    wanted = _size(key, body)
    if wanted > MOST_REPLICAS:
        path = "deploy.replicas" if key.kind == "service" else "parallelism"
        why = f"{wanted} of one {key.kind} are more than one node can run"
        yield Refusal(key.id, path, why, f"write {MOST_REPLICAS} or fewer")


def _way(driver: DriverFacts) -> str:
    """How to get a driver that is away."""
    if driver.name != "docker":
        return ""
    if "permission denied" in driver.reason.lower():
        return "let this user use it (usermod -aG docker USER, then log in anew), or name another"
    other = "name another with DOCKER_HOST, run `orch server stop` and deploy again"
    return f"start it (systemctl start docker), or {other}"


def _unowned(world: World, key: Key, body: Mapping[str, Any]) -> Iterator[Refusal]:
    """A config or secret that no other app has."""
    try:
        external_owner(world, key, body)
    except UsageFault as told:
        yield Refusal(key.id, "external", told.fault, told.mend)


def _moored(world: World, key: Key, body: Mapping[str, Any]) -> Iterator[Refusal]:
    """What can't be made anew while something uses it."""
    row = world.find(key)
    if row is None or row.deleting:
        return
    if not in_use(world, row) and not any(in_use(world, a) for a in aliases(world, row)):
        return
    holds = "its data would be lost" if key.kind == "volume" else "what uses it would be cut off"
    for field in FIXED[key.kind]:
        if row.body.get(field) != body.get(field):
            yield Refusal(
                key.id,
                field,
                f"it can't be changed while something uses the {key.kind}: {holds}",
                f"leave it as it was, or name a new {key.kind} and use that",
            )


def _size(key: Key, body: Mapping[str, Any]) -> int:
    if key.kind == "job":
        return min(job_policy(body).parallelism, job_policy(body).completions)
    policy = service_policy(body)
    return 1 if policy.everywhere else policy.replicas


def _overlap(key: Key, demand: Demand, body: Mapping[str, Any]) -> Iterator[Refusal]:
    update = body.get("deploy", EMPTY).get("update_config", EMPTY)
    if demand.ports and update.get("order") == "start-first":
        ports = ", ".join(map(str, demand.ports))
        yield Refusal(
            key.id,
            "deploy.update_config.order",
            f"the new replica can't start before the old one ends: both take port {ports} of the"
            " one node",
            "write stop-first, or publish the port with mode: ingress",
        )


# -- whether there is room -----------------------------------------------------------------


def _together(
    world: World, controller: Controller, units: Units, leaving: Sequence[Key]
) -> Iterator[Refusal]:
    """What finds no room beside the others once they all run and what leaves has gone.

    What has room only then is told with whom it waits for.
    """
    stuck = _crowded(world, controller, units, leaving)
    yield from stuck.values()
    units = {key: body for key, body in units.items() if key not in stuck}
    if not _crowded(world, controller, units, ()):
        return
    going = list(leaving)
    for key in leaving:
        fewer = [other for other in going if other != key]
        if not _crowded(world, controller, units, fewer):
            going = fewer
    staying = [key for key in leaving if key not in going]
    for refusal in _crowded(world, controller, units, staying).values():
        yield replace(refusal, freed_by=[key.id for key in going])


def _crowded(
    world: World, controller: Controller, units: Units, gone: Collection[Key]
) -> dict[Key, Refusal]:
    """The units that find no room on a node without `gone` and without their former selves."""
    former = {key._replace(name=body.get("formerly") or key.name) for key, body in units.items()}
    node = node_use(world, controller.facts(), without={*units, *former, *gone})
    found = {}
    for key, body in units.items():
        demand, wanted = demand_of(str(key), body), _size(key, body)
        for placed in range(wanted):
            placement = place(demand, [node])
            if not placement.node:
                found[key] = _no_room(key, placement.message, placed, wanted)
                break
            node.take(demand, f"{key.name}[{placed}]")
    return found


def _no_room(key: Key, told: str, placed: int, wanted: int) -> Refusal:
    fits = f"only {placed} of {wanted} replicas fit: " if placed else ""
    mend = _MENDS.get(told.split(" ", 1)[0], _MORE_ROOM)
    return Refusal(key.id, _field(told), f"{fits}{told}", mend)


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
