"""Volumes, bind mounts, tmpfs, and the files of configs and secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orch.spec.units import Bytes
from orch.types import Consequence, Fidelity
from orch_compose import short
from orch_compose.scalars import mode, size

if TYPE_CHECKING:
    from orch.load.item import Item
    from orch_compose.part import Part

_PROTECTING = frozenset(("noexec", "nosuid", "nodev"))
"""Options of a tmpfs whose loss lets a process do more."""


def write_files(part: Part, key: str) -> None:
    """Write configs or secrets as files; a bare config's place is the root of the file system."""
    for item in part.get(key) or ():
        path = part.at(key, part.writer.size(part.at(key)))
        source, target = item.get("source"), item.get("target")
        if source is None:
            part.writer.lose(item, "it names no source", "add source:", Consequence.DATA)
            continue
        part.writer.say(path, item)
        part.writer.put((*path, "source"), source)
        for name in ("target", "uid", "gid", "mode"):
            part.writer.put((*path, name), item.get(name))
        if target is None:
            default = f"/{source.value}" if key == "configs" else source.value
            part.writer.set((*path, "target"), default, source)


def write_mounts(part: Part) -> None:
    """Write what is mounted: volumes, tmpfs, then what another service lends."""
    for item in part.get("volumes") or ():
        _mount(part, item)
    for item in part.get("tmpfs") or ():
        _tmpfs(part, item)
    for item in part.get("volumes_from") or ():
        _borrow(part, item)


def _next(part: Part) -> tuple[Any, ...]:
    return part.at("volumes", part.writer.size(part.at("volumes")))


def _mount(part: Part, item: Item) -> None:
    kind = item.get("type")
    if kind is None:
        return
    if kind.value in ("npipe", "image"):
        nouns = {"npipe": "a pipe of Windows", "image": "an image"}
        reason = f"{nouns[kind.value]} can't be mounted"
        mend = "copy the files in with a pre_start step, or build them into the image"
        part.writer.lose(item, reason, mend, Consequence.AVAILABILITY)
        return
    source = item.get("source")
    if kind.value == "cluster" and source is not None and source.value.startswith("group:"):
        reason = "any volume of a group can't be asked for"
        part.writer.lose(item, reason, "name one volume", Consequence.DATA)
        return
    _write(part, item, kind)


def _write(part: Part, item: Item, kind: Item) -> None:
    writer, path = part.writer, _next(part)
    writer.say(path, item)
    if kind.value == "cluster":
        reason = "a cluster volume is a volume like others here"
        writer.put((*path, "type"), kind, "volume", outcome=Fidelity.DEGRADED, reason=reason)
    else:
        writer.put((*path, "type"), kind)
    _source(part, item, kind, path)
    writer.put((*path, "target"), item.get("target"))
    writer.put((*path, "read_only"), item.get("read_only"))
    writer.lose_as(item.get("consistency"), "services", "", "volumes", "consistency")
    _option(part, item)
    _bind(part, item, kind, path)
    _volume(part, item, kind, path)
    tmpfs = item.get("tmpfs")
    if tmpfs is not None and kind.value == "tmpfs":
        bytes_, access = tmpfs.get("size"), tmpfs.get("mode")
        writer.put((*path, "tmpfs", "size"), bytes_, str(Bytes(bytes_.value)) if bytes_ else None)
        writer.put((*path, "tmpfs", "mode"), access)


def _source(part: Part, item: Item, kind: Item, path: tuple[Any, ...]) -> None:
    source = item.get("source")
    if kind.value == "tmpfs":
        return
    if source is not None:
        part.writer.put((*path, "source"), source)
        return
    name = _anonymous(part, item)
    reason = f"a volume without a name becomes {name}, one for each replica"
    target = item.get("target")
    part.writer.set((*path, "source"), name, item)
    part.writer.note((*path, "source"), target, Fidelity.EMULATED, reason)
    part.writer.set(("volumes", name, "per_replica"), True, item)  # noqa: FBT003


def _anonymous(part: Part, item: Item) -> str:
    target = item.get("target")
    words = re.sub(r"[^A-Za-z0-9]+", "-", str(target.value) if target else "").strip("-")
    name = stem = f"{part.name}-{words}"[:60].rstrip("-")
    taken = part.around.volume_names
    number = 1
    while taken.setdefault(name, part.name + str(target)) != part.name + str(target):
        number += 1
        name = f"{stem}-{number}"
    return name


def _option(part: Part, item: Item) -> None:
    option = item.get("option")
    if option is not None:
        reason = f"the option {option.value!r} is not known"
        mend = "write ro, rw, z, Z, nocopy or a propagation"
        part.writer.lose(option, reason, mend, Consequence.AVAILABILITY)


def _bind(part: Part, item: Item, kind: Item, path: tuple[Any, ...]) -> None:
    """A missing folder is made, as Compose does unless it is told not to."""
    if kind.value != "bind":
        return
    bind = item.get("bind")
    create = bind.get("create_host_path") if bind is not None else None
    if create is None:
        part.writer.set((*path, "bind", "create_host_path"), True, item)  # noqa: FBT003
    if bind is None:
        return
    part.writer.put((*path, "bind", "create_host_path"), create)
    part.writer.lose_as(bind.get("selinux"), "services", "", "volumes", "selinux")
    propagation = bind.get("propagation")
    recursive = bind.get("recursive")
    if recursive is not None and recursive.value == "enabled":
        part.writer.note(path, recursive, reason="this is the default")
    if propagation is not None:
        part.writer.put((*path, "bind", "propagation"), propagation)
    if not bind.value:
        part.writer.note((*path, "bind"), bind)


def _volume(part: Part, item: Item, kind: Item, path: tuple[Any, ...]) -> None:
    volume = item.get("volume")
    if volume is None or kind.value not in ("volume", "cluster"):
        reason = f"it belongs to a volume, and this is a {kind.value}"
        part.writer.lose(volume, reason, "remove it", Consequence.COSMETIC)
        return
    for key in ("nocopy", "subpath"):
        part.writer.put((*path, "volume", key), volume.get(key))
    part.writer.lose_as(volume.get("labels"), "services", "", "volumes", "labels")
    if not volume.value:
        part.writer.put((*path, "volume"), volume)


def _tmpfs(part: Part, item: Item) -> None:
    target, options = short.tmpfs(item.value)
    writer, path = part.writer, _next(part)
    writer.set((*path, "type"), "tmpfs", item)
    writer.put((*path, "target"), item, target)
    for key, value in options.items():
        try:
            _tmpfs_option(part, item, path, key, value)
        except ValueError as wrong:
            fault, _, mend = str(wrong).partition("; ")
            writer.lose(item, fault, mend, Consequence.AVAILABILITY)


def _tmpfs_option(
    part: Part, item: Item, path: tuple[Any, ...], key: str, value: str | None
) -> None:
    writer = part.writer
    if key == "size" and value and not value.endswith("%"):
        writer.put((*path, "tmpfs", "size"), item, str(Bytes(size(value))))
    elif key == "mode" and value:
        writer.put((*path, "tmpfs", "mode"), item, mode(value))
    elif key == "ro":
        writer.put((*path, "read_only"), item, True)  # noqa: FBT003
    elif key != "rw":
        reason = f"the option {key} of a tmpfs has no counterpart"
        graver = key in _PROTECTING
        consequence = Consequence.SECURITY if graver else Consequence.AVAILABILITY
        writer.lose(item, reason, "write size and mode only", consequence)


def _borrow(part: Part, item: Item) -> None:
    """`volumes_from`: the other service's mounts, once more."""
    name, _, access = str(item.value).partition(":")
    other = part.around.service(name)
    if other is None or name == "container":
        reason = "files of a container outside the application can't be borrowed"
        part.writer.lose(item, reason, "mount a named volume in both", Consequence.DATA)
        return
    taken = {mount["target"] for mount in part.writer.get(part.at("volumes")) or ()}
    mounts = [m for m in other.get("volumes") or () if m.at("target") is not None]
    lent = [m for m in mounts if _can_be_lent(m) and m.value["target"].value not in taken]
    for mount in lent:
        _lend(part, item, mount, access)
    if not lent:
        part.writer.lose(item, f"{name} has no volume to share", "remove it", Consequence.DATA)
        return
    whole = all(_can_be_lent(mount) for mount in mounts)
    reason = f"the volumes of {name} are mounted here too"
    reason += "" if whole else "; those without a name are its own"
    outcome = Fidelity.EMULATED if whole else Fidelity.DEGRADED
    part.writer.note(part.at("volumes"), item, outcome, reason, Consequence.DATA)


def _can_be_lent(mount: Item) -> bool:
    kind, source = mount.get("type"), mount.get("source")
    return kind is not None and kind.value in ("bind", "volume") and source is not None


def _lend(part: Part, item: Item, mount: Item, access: str) -> None:
    path = _next(part)
    keys = (
        ("type",),
        ("source",),
        ("target",),
        ("read_only",),
        ("bind", "create_host_path"),
        ("bind", "propagation"),
        ("volume", "nocopy"),
        ("volume", "subpath"),
    )
    for key in keys:
        lent = mount.at(*key)
        if lent is not None:
            part.writer.set((*path, *key), lent.value, item)
    if mount.value["type"].value == "bind" and mount.at("bind", "create_host_path") is None:
        part.writer.set((*path, "bind", "create_host_path"), True, item)  # noqa: FBT003
    if access == "ro":
        part.writer.set((*path, "read_only"), True, item)  # noqa: FBT003
