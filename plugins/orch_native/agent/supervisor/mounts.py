"""The folders and files that a process sees in a mount namespace of its own."""

from __future__ import annotations

import ctypes
import os

from kernel import check, libc

TYPE_CHECKING = False  # the name is enough: to import typing would cost every process 3 ms
if TYPE_CHECKING:
    from typing import Any

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT = 1, 2, 4, 32
MS_BIND, MS_REC, MS_UNBINDABLE = 4096, 16384, 1 << 17
MNT_DETACH = 2
PROPAGATION = {"private": 1 << 18, "slave": 1 << 19, "shared": 1 << 20}


def mount_all(steps: list[dict[str, Any]], layers: str) -> None:
    """Do these mounts; `layers` is an empty folder for what they need beside them."""
    _mount("none", "/", "", MS_REC | PROPAGATION["slave"], "", "detach the mounts")
    _mount("tmpfs", layers, "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,mode=0755", "make layers")
    if new := _new_at_root(steps):
        _own_root(new, layers)
    for step in steps:
        target = step["target"]
        folder = _is_folder(step)
        _make_point(target, folder=folder, layers=layers)
        if step["op"] == "tmpfs":
            _mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, step["data"], f"mount {target}")
            continue
        _mount(step["source"], target, "", MS_BIND | MS_REC, "", f"mount {target}")
        propagation = step.get("propagation") or "private"
        recursive = MS_REC if propagation.startswith("r") else 0
        _mount("", target, "", PROPAGATION[propagation.removeprefix("r")] | recursive, "", target)
        if step.get("read_only"):
            flags = MS_BIND | MS_REMOUNT | MS_RDONLY
            _mount("", target, "", flags, "", f"make {target} read-only")


def _existing(path: str) -> str:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def _make_point(target: str, *, folder: bool, layers: str) -> None:
    """Make the mount point inside this namespace, so that the host's own folders stay clean."""
    if os.path.exists(target):
        return
    above = _existing(target)
    if not os.path.exists(os.path.join(above, ".orch-layer")):
        _layer(above, layers)
    if folder:
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))


def _layer(above: str, layers: str) -> None:
    number = len(os.listdir(layers))
    upper, work = f"{layers}/{number}/upper", f"{layers}/{number}/work"
    os.makedirs(upper)
    os.makedirs(work)
    state = os.stat(above)
    os.chmod(upper, state.st_mode & 0o7777)
    os.chown(upper, state.st_uid, state.st_gid)
    os.close(os.open(f"{upper}/.orch-layer", os.O_CREAT | os.O_WRONLY, 0o444))
    if not os.listdir(above):
        _mount(upper, above, "", MS_BIND, "", f"make a place in {above}")
        return
    options = f"lowerdir={above},upperdir={upper},workdir={work}"
    _mount("overlay", above, "overlay", 0, options, f"make a place in {above}")


def _is_folder(step: dict[str, Any]) -> bool:
    return step["op"] == "tmpfs" or os.path.isdir(step["source"])


def _new_at_root(steps: list[dict[str, Any]]) -> dict[str, bool]:
    """Names directly below `/` that the host has not, and whether each is a folder."""
    found: dict[str, bool] = {}
    for step in steps:
        name, _, rest = step["target"].strip("/").partition("/")
        if name and not os.path.lexists(f"/{name}"):
            found[name] = found.get(name, False) or bool(rest) or _is_folder(step)
    return found


def _own_root(new: dict[str, bool], layers: str) -> None:
    """Make a root with everything of the host's in it, and the new names beside.

    No layer can lie over the root itself, and the host's own must stay as it is.
    """
    root = f"{layers}/root"
    os.mkdir(root, 0o755)
    _mount(root, root, "", MS_BIND, "", "make a root of its own")
    # What is bound below is copied with its mounts, and this one must not be among them.
    _mount("", root, "", MS_UNBINDABLE, "", "make a root of its own")
    for name in os.listdir("/"):
        _carry_over(f"/{name}", f"{root}/{name}")
    for name, folder in new.items():
        _make_empty(f"{root}/{name}", folder=folder)
    os.chdir(root)
    check(libc.pivot_root(b".", b"."), "change to a root of its own")
    # Both roots are stacked there now; the host's lies on top.
    check(libc.umount2(b".", MNT_DETACH), "leave the root of the host")
    os.chdir("/")


def _carry_over(source: str, target: str) -> None:
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    _make_empty(target, folder=os.path.isdir(source))
    _mount(source, target, "", MS_BIND | MS_REC, "", f"carry {source} over")


def _make_empty(path: str, *, folder: bool) -> None:
    if folder:
        os.mkdir(path, 0o755)
    else:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def _mount(source: str, target: str, kind: str, flags: int, data: str, what: str) -> None:
    check(
        libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            kind.encode(),
            ctypes.c_ulong(flags),
            data.encode(),
        ),
        what,
    )
