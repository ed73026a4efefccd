"""What services share: networks, volumes, configs and secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.types import Consequence, Fidelity
from orch_compose.paths import relative

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch.load.account import Writer
    from orch.load.item import Item
    from orch_compose.part import Surroundings

_NOT_ENCRYPTED = ("false", "0")


def write_sections(writer: Writer, around: Surroundings, variables: Mapping[str, str]) -> None:
    """Write every shared part of the model."""
    for name, item in _members(writer, around, "networks"):
        _network(writer, name, item)
    for name, item in _members(writer, around, "volumes"):
        _volume(writer, name, item)
    for name, item in _members(writer, around, "configs"):
        _config(writer, name, item, around.base, variables)
    for name, item in _members(writer, around, "secrets"):
        _secret(writer, name, item, around.base)


def _members(writer: Writer, around: Surroundings, section: str) -> Iterator[tuple[str, Item]]:
    found = around.model.get(section)
    for name, item in found.items() if found is not None else ():
        if name.startswith("x-"):
            reason = "extensions are carried where the spec has the same part"
            writer.lose(item, reason, "", Consequence.COSMETIC)
            continue
        writer.set((section, name), {}, item)
        if not item.value:
            writer.note((section, name), item)
        _common(writer, (section, name), item)
        yield name, item


def _common(writer: Writer, path: tuple[str, ...], item: Item) -> None:
    for key in ("name", "external"):
        writer.put((*path, key), item.get(key))
    labels = item.get("labels")
    for name, label in labels.items() if labels is not None else ():
        writer.put((*path, "labels", name), label, label.value or "")
    for key, extension in item.items():
        if key.startswith("x-"):
            writer.put((*path, key), extension, extension.plain())


def _options(writer: Writer, path: tuple[str, ...], item: Item, apart: str = "") -> None:
    """Write a driver's options; the one that is `apart` has a key of its own."""
    options = item.get("driver_opts")
    for name, option in options.items() if options is not None else ():
        if name != apart:
            writer.put((*path, "driver_opts", name), option, option.value or "")


def _network(writer: Writer, name: str, item: Item) -> None:
    path = ("networks", name)
    for key in ("driver", "internal", "attachable", "enable_ipv6"):
        writer.put((*path, key), item.get(key))
    _options(writer, path, item, apart="encrypted")
    options = item.get("driver_opts")
    encrypted = options.value.get("encrypted") if options is not None else None
    if encrypted is not None:
        wanted = str(encrypted.value or "true").lower() not in _NOT_ENCRYPTED
        writer.put((*path, "encrypted"), encrypted, wanted)
    four = item.get("enable_ipv4")
    if four is not None and four.value:
        writer.note(path, four, reason="this is the default")
    _pools(writer, path, item)


def _pools(writer: Writer, path: tuple[str, ...], item: Item) -> None:
    driver = item.at("ipam", "driver")
    if driver is not None and driver.value == "default":
        writer.note(path, driver, reason="this is the default")
    index = 0
    for pool in item.at("ipam", "config") or ():
        keys = [key for key in ("subnet", "gateway", "ip_range") if pool.get(key) is not None]
        for key in keys:
            writer.put((*path, "ipam", index, key), pool.get(key))
        index += bool(keys)
    ipam = item.get("ipam")
    if ipam is not None:
        for empty in ipam.leaves():
            if empty.value in ({}, []):
                writer.note(path, empty, reason="it says nothing")


def _without_source(writer: Writer, path: tuple[str, ...], item: Item) -> None:
    """Nothing says where it comes from: then it must be there."""
    if writer.get((*path, "external")):
        return
    writer.set((*path, "external"), True, item)  # noqa: FBT003
    reason = "nothing says where it comes from, so it must exist already"
    named = item.get("name") or item
    for leaf in named.leaves():
        writer.note((*path, "external"), leaf, Fidelity.DEGRADED, reason, Consequence.DATA)


def _volume(writer: Writer, name: str, item: Item) -> None:
    path = ("volumes", name)
    writer.put((*path, "driver"), item.get("driver"))
    _options(writer, path, item)


def share_volumes(writer: Writer) -> None:
    """Compose lets everybody mount every volume: say so where more than one replica does."""
    users: dict[str, int] = {}
    for section in ("services", "jobs"):
        for part in (writer.document.get(section) or {}).values():
            for name in {m["source"] for m in part.get("volumes", ()) if m.get("type") == "volume"}:
                users[name] = users.get(name, 0) + _writers(part)
    for name, count in users.items():
        volume = writer.document.get("volumes", {}).get(name)
        if count > 1 and volume is not None and not volume.get("per_replica"):
            volume.setdefault("access", "shared")


def _writers(part: dict[str, Any]) -> int:
    """How many replicas may mount at once; a second one may while an update starts first."""
    deploy = part.get("deploy", {})
    orders = [deploy.get(key, {}).get("order") for key in ("update_config", "rollback_config")]
    if deploy.get("mode") == "global" or "start-first" in orders:
        return 2
    count: int = deploy.get("replicas", part.get("parallelism", 1))
    return max(1, count)


def _config(writer: Writer, name: str, item: Item, base: str, variables: Mapping[str, str]) -> None:
    path = ("configs", name)
    file, environment = item.get("file"), item.get("environment")
    if file is not None:
        writer.put((*path, "file"), file, relative(file.value, base))
    writer.put((*path, "content"), item.get("content"))
    if environment is not None and environment.value in variables:
        writer.put((*path, "content"), environment, variables[environment.value])
    elif environment is not None:
        reason = f"the variable {environment.value} is not set: the file is empty"
        writer.put((*path, "content"), environment, "", outcome=Fidelity.DEGRADED, reason=reason)
    elif file is None and item.get("content") is None:
        _without_source(writer, path, item)


def _secret(writer: Writer, name: str, item: Item, base: str) -> None:
    path = ("secrets", name)
    file, environment = item.get("file"), item.get("environment")
    driver = item.get("driver")
    if file is not None:
        writer.set((*path, "provider"), "file", file)
        writer.put((*path, "path"), file, relative(file.value, base))
    elif environment is not None:
        writer.set((*path, "provider"), "env", environment)
        writer.put((*path, "key"), environment)
    elif driver is not None:
        writer.set((*path, "external"), True, driver)  # noqa: FBT003
        reason = f"the engine's driver {driver.value!r} is not asked: the secret must exist"
        writer.note((*path, "external"), driver, Fidelity.DEGRADED, reason, Consequence.SECURITY)
    else:
        _without_source(writer, path, item)
