"""An allocation as its agent gets it: the body with every name resolved, and what it mounts."""

from __future__ import annotations

import base64
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orch.errors import UsageFault
from orch_native.messages import Allocation
from orch_native.server.model import App, Key
from orch_native.server.policy import file_names, variable_secrets, volume_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch_native.server.model import Alloc, ResourceRow, Template
    from orch_native.server.vault import Vault
    from orch_native.server.world import World

DEFAULT_NETWORK = "default"


def purpose(app: App, name: str, version: str) -> str:
    """What a sealed value is for."""
    return "\0".join((*app, name, version))


def content_of(body: Mapping[str, Any]) -> bytes:
    """The bytes of a config."""
    content = str(body.get("content", ""))
    if body.get("encoding") == "base64":
        return base64.b64decode(content, validate=True)
    return content.encode()


def content_digest(data: bytes) -> str:
    """The name under which content is kept."""
    return hashlib.sha256(data).hexdigest()


# -- names on the node ---------------------------------------------------------------------


def volume_name(key: Key, body: Mapping[str, Any], suffix: str = "") -> str:
    """The true name of a volume: the one the spec gives, else one that no other app has."""
    given = body.get("name")
    if body.get("external"):
        return str(given or key.name)
    return f"{given or '_'.join((*key.app, key.name))}{suffix}"


def network_name(key: Key, body: Mapping[str, Any]) -> str:
    """The true name of a network."""
    given = body.get("name")
    if body.get("external"):
        return str(given or key.name)
    return str(given or "_".join((*key.app, key.name)))


def aliases(world: World, row: ResourceRow) -> Iterator[ResourceRow]:
    """The volumes or networks of other apps that are external there and mean this one."""
    true_name = volume_name if row.key.kind == "volume" else network_name
    for other in world.resources.values():
        theirs = other.key.kind == row.key.kind and other is not row and other.body.get("external")
        if theirs and true_name(other.key, other.body) == true_name(row.key, row.body):
            yield other


# -- what a template is pinned to ----------------------------------------------------------


def pins_of(world: World, app: App, body: Mapping[str, Any]) -> dict[str, str]:
    """The exact configs and secrets that a body goes with now. Raises UsageFault for a missing."""
    pins: dict[str, str] = {}
    for name in sorted(file_names(body, "configs")):
        owner = _owner(world, Key(app, "config", name))
        pins[f"configs/{name}"] = content_digest(content_of(owner.body))
    for name in sorted(file_names(body, "secrets") | variable_secrets(body)):
        owner = _owner(world, Key(app, "secret", name))
        pins[f"secrets/{name}"] = str(owner.body["version"])
    return pins


def _owner(world: World, key: Key) -> ResourceRow:
    """The config or secret itself; one that is external is another app's of the namespace."""
    row = world.find(key)
    if row is None:
        raise UsageFault(
            f"there is no {key.kind} {key.name!r}",
            place=str(key),
            mend=f"deploy the {key.kind} first, or remove what mounts it",
        )
    return external_owner(world, key, row.body) if row.body.get("external") else row


def external_owner(world: World, key: Key, body: Mapping[str, Any]) -> ResourceRow:
    """The config or secret of another app that an external one means. Raises UsageFault."""
    name = str(body.get("name") or key.name)
    owners = [
        other
        for other in world.resources.values()
        if other.key.kind == key.kind
        and other.key.app != key.app
        and other.key.app.namespace == key.app.namespace
        and not other.deleting
        and not other.body.get("external")
        and name in (other.key.name, other.body.get("name"))
    ]
    if len(owners) == 1:
        return owners[0]
    count = f"{len(owners)} apps have" if owners else "no app has"
    raise UsageFault(
        f"the external {key.kind} {name!r} can't be resolved: {count} one in this namespace",
        place=str(key),
        mend=f"deploy the app that owns it, or give the {key.kind} a source of its own",
    )


# -- the allocation ------------------------------------------------------------------------


def allocation_of(world: World, vault: Vault, alloc: Alloc) -> Allocation:
    """What the agent needs to run it. Raises OrchError when a secret can't be opened."""
    row, template = world.resources[alloc.uid], world.template_of(alloc)
    app, body = row.key.app, template.body
    return Allocation(
        id=alloc.id,
        namespace=app.namespace,
        app=app.name,
        unit=template.pins.get("unit", row.key.name),
        kind=row.key.kind,
        index=alloc.index,
        revision=template.revision,
        body=body,
        desired=alloc.desired,
        files=_files(world, vault, app, body, template.pins),
        values=variable_values(world, vault, app, body, template.pins),
        volumes=_volumes(world, row, template, alloc.index),
        networks=_networks(world, app, body),
        registries=_registries(world, vault, app),
    )


def _files(
    world: World, vault: Vault, app: App, body: Mapping[str, Any], pins: Mapping[str, str]
) -> dict[str, bytes]:
    files = {
        f"configs/{name}": world.contents[pins[f"configs/{name}"]]
        for name in file_names(body, "configs")
    }
    for name in file_names(body, "secrets"):
        files[f"secrets/{name}"] = _secret(world, vault, Key(app, "secret", name), pins)
    return files


def variable_values(
    world: World, vault: Vault, app: App, body: Mapping[str, Any], pins: Mapping[str, str]
) -> dict[str, str]:
    """Values of the secrets that a unit gets as variables. Raises UsageFault for one not text."""
    keys = (Key(app, "secret", name) for name in variable_secrets(body))
    return {key.name: _text(key, _secret(world, vault, key, pins)) for key in keys}


def _text(key: Key, value: bytes) -> str:
    """One that is external may be no text, which only its owner's deploy could see."""
    with suppress(UnicodeDecodeError):
        if "\0" not in (text := value.decode()):
            return text
    raise UsageFault(
        f"the secret {key.name!r} is not UTF-8 text, and can be had as a file alone",
        place=str(key),
        mend="list it under `secrets`, or name one that is text",
    )


def _secret(world: World, vault: Vault, key: Key, pins: Mapping[str, str]) -> bytes:
    version = pins[f"secrets/{key.name}"]
    sealed = world.secrets.get((key.app, key.name, version))
    if sealed is not None:
        return vault.open(sealed, purpose(key.app, key.name, version))
    owner = _owner(world, key).key
    sealed = world.secrets[owner.app, owner.name, version]
    return vault.open(sealed, purpose(owner.app, owner.name, version))


def current_secret(world: World, vault: Vault, app: App, name: str) -> bytes:
    """The value of a secret as it is now, for what follows its rotation."""
    owner = _owner(world, Key(app, "secret", name))
    version = str(owner.body["version"])
    sealed = world.secrets[owner.key.app, owner.key.name, version]
    return vault.open(sealed, purpose(owner.key.app, owner.key.name, version))


def _volumes(
    world: World, row: ResourceRow, template: Template, index: int
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in volume_names(template.body):
        key = Key(row.key.app, "volume", name)
        volume = world.find(key)
        settings = dict(volume.body) if volume is not None else {}
        found[name] = {**settings, "name": _true_name(key, settings, row, template, index)}
    return found


def _true_name(
    key: Key, settings: Mapping[str, Any], row: ResourceRow, template: Template, index: int
) -> str:
    if not settings.get("per_replica"):
        return volume_name(key, settings)
    origin = template.pins.get("volumes", row.key.name)
    return volume_name(key, settings, f"-{origin}-{index}")


def volumes_left(world: World, key: Key, body: Mapping[str, Any]) -> str:
    """The former name of a service or job that has gone and left volumes of its replicas."""
    former = body.get("formerly") or ""
    for name in volume_names(body) if former else ():
        volume = world.find(Key(key.app, "volume", name))
        if volume is not None and volume.body.get("per_replica"):
            left = volume_name(volume.key, volume.body, f"-{former}-")
            if any(known.startswith(left) for known in world.node_volumes.get(volume.uid, ())):
                return str(former)
    return ""


def note_volumes(world: World, alloc: Alloc) -> None:
    """Remember the volumes that are this replica's own, so that they can be removed one day."""
    row, template = world.resources[alloc.uid], world.template_of(alloc)
    for name in volume_names(template.body):
        volume = world.find(Key(row.key.app, "volume", name))
        if volume is not None and volume.body.get("per_replica"):
            true = _true_name(volume.key, volume.body, row, template, alloc.index)
            world.note_volume(volume.uid, true)


def _networks(world: World, app: App, body: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    if body.get("network_mode", "app") != "app":
        return found
    for name in body.get("networks") or (DEFAULT_NETWORK,):
        key = Key(app, "network", name)
        network = world.find(key)
        settings = dict(network.body) if network is not None else {}
        found[name] = {**settings, "name": network_name(key, settings)}
    return found


def _registries(world: World, vault: Vault, app: App) -> dict[str, tuple[str, str]]:
    found = {}
    for row in world.of_app(app, "registry"):
        key = Key(app, "secret", row.body["password"]["secret"])
        password = _text(key, current_secret(world, vault, app, key.name))
        found[row.key.name] = (row.body["username"], password)
    return found
