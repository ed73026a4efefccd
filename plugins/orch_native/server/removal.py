"""Removing for good what was asked to go, once nothing uses it any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_native.server.assignment import (
    DEFAULT_NETWORK,
    content_digest,
    content_of,
    network_name,
    volume_name,
)
from orch_native.server.model import Key
from orch_native.server.requests import in_use, units_of

if TYPE_CHECKING:
    from orch_native.messages import Agent
    from orch_native.server.model import App, ResourceRow
    from orch_native.server.world import World

_UNITS = frozenset({"service", "job"})


def unused(world: World) -> list[ResourceRow]:
    """Resources that were asked to go and that nothing uses any more."""
    return [row for row in world.resources.values() if row.deleting and _free(world, row)]


def remove(world: World, row: ResourceRow, agent: Agent, now: float) -> None:
    """Forget a resource, and take its volumes and networks off the node.

    Called after the commit that asked for it. The node comes first: a crash in between leaves a
    resource that is removed once more.
    """
    _take_off(world, row, agent)
    world.drop_resource(row.uid)
    world.tell(row.key.app, "applied", row.key.id, "removed", now)
    if row.key.kind in _UNITS and not units_of(world, row.key.app):
        _take_off_default_network(world, row.key.app, agent)


def collect(world: World) -> None:
    """Drop contents that nothing holds or pins any more, and secret values of apps that are gone.

    An app that is there keeps every version until its client says which ones releases name.
    """
    if not world.shrunk:
        return
    world.shrunk = False
    _collect(world)


def _free(world: World, row: ResourceRow) -> bool:
    if row.key.kind in _UNITS:
        return not world.members.get(row.uid)
    return row.key.kind not in {"volume", "network"} or not in_use(world, row)


def _take_off(world: World, row: ResourceRow, agent: Agent) -> None:
    if row.body.get("external"):
        return
    if row.key.kind == "network":
        agent.remove_network(network_name(row.key, row.body))
    elif row.key.kind == "volume":
        own = world.node_volumes.get(row.uid, {})
        for name in own or (volume_name(row.key, row.body),):
            agent.remove_volume(name)


def _take_off_default_network(world: World, app: App, agent: Agent) -> None:
    """The network that an app has without naming it goes with its last service."""
    key = Key(app, "network", DEFAULT_NETWORK)
    if world.find(key) is None:
        agent.remove_network(network_name(key, {}))


def _collect(world: World) -> None:
    pinned = {
        value
        for templates in world.templates.values()
        for template in templates.values()
        for value in template.pins.values()
    }
    for row in world.resources.values():
        if row.key.kind == "config" and not row.body.get("external"):
            pinned.add(content_digest(content_of(row.body)))
    for digest in world.contents.keys() - pinned:
        world.drop_content(digest)
    standing = {row.key.app for row in world.resources.values()}
    for app, name, version in tuple(world.secrets):
        if app not in standing and version not in pinned:
            world.drop_secret(app, name, version)
