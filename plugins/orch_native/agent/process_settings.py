"""What a supervisor is told about the process that it starts."""

from __future__ import annotations

import grp
import os
import pwd
import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch.spec.units import Bytes
from orch_native.agent.driver import StartFault
from orch_native.agent.pod import SECRETS_FOLDER
from orch_native.agent.process_able import CAPABILITIES, capability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orch.spec.container import Container, Mount
    from orch_native.agent.files import Placed
    from orch_native.agent.pod import Piece, Pod

_FILE_FOLDERS = (
    ("configs", "ORCH_CONFIG_DIR", "/"),
    ("secrets", "ORCH_SECRETS_DIR", SECRETS_FOLDER),
)
"""Where a process finds files with a relative target: mounted there, or in a folder of its own."""
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process lives on this node."""

    folder: Path
    volumes: Path
    files: Sequence[Placed]
    file_folders: Mapping[str, Path]
    cgroups: Sequence[str]
    kills: str
    variables: Mapping[str, str]
    hosts: Path | None
    resolver: Path | None
    mounts: bool
    root: bool


def settings(pod: Pod, piece: Piece, attempt: int, place: Place) -> dict[str, Any]:
    """The supervisor's settings; they hold secrets, and go through a pipe only."""
    spec = piece.container
    identity = account(spec.user, spec.group_add) if place.root else Account(None, None, None, "")
    mounts = _mounts(pod, piece, place) if place.mounts else []
    return {
        "attempt": attempt,
        "argv": [*spec.entrypoint, *spec.command],
        "env": _environment(pod, piece, place, identity),
        "cwd": spec.working_dir or str(place.folder / "data"),
        "uid": identity.uid,
        "gid": identity.gid,
        "groups": identity.groups,
        "tty": spec.tty,
        "stdin": spec.stdin_open,
        "log": log_bounds(spec),
        "ulimits": _ulimits(spec),
        "oom_score_adj": pod.spec.oom_score_adj,
        "cgroups": list(place.cgroups),
        "kills": place.kills,
        "namespaces": _namespaces(pod, mounts=bool(mounts)),
        "mounts": mounts,
        "layers": str(place.folder / "layers"),
        "hostname": pod.spec.hostname,
        "domainname": pod.spec.domainname,
        "drop": dropped(spec) if place.root else [],
        "no_new_privs": _gains_nothing(spec, root=place.root),
    }


# -- who it runs as ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """Ids to run as, None for the agent's own."""

    uid: int | None
    gid: int | None
    groups: list[int] | None
    home: str


def account(user: str | None, extra: Sequence[str]) -> Account:
    """Read `user[:group]` and further groups. Raises StartFault when the host knows no such one."""
    name, _, group = (user or str(os.geteuid())).partition(":")
    entry = _entry(name)
    uid = entry.pw_uid if entry else _number(name, "user")
    gid = _group(group) if group else (entry.pw_gid if entry else uid)
    groups = sorted({gid, *(_group(g) for g in extra)})
    return Account(uid, gid, groups, entry.pw_dir if entry else "/")


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        return None


def _group(name: str) -> int:
    if name.isdigit():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise StartFault(f"this host has no group {name}; write a number") from None


def _number(name: str, what: str) -> int:
    if name.isdigit():
        return int(name)
    raise StartFault(f"this host has no {what} {name}; write a number")


def _gains_nothing(spec: Container, *, root: bool) -> bool:
    # Without root there is nothing to take away, but a setuid program must not give it back.
    closed = any(option.startswith("no-new-privileges") for option in spec.security_opt)
    return closed or (bool(spec.cap_drop) and not root)


def dropped(spec: Container) -> list[int]:
    """Numbers of the capabilities that are taken away."""
    drop = {capability(name) for name in spec.cap_drop}
    if -1 in drop:
        drop = set(range(len(CAPABILITIES)))
    keep = {capability(name) for name in spec.cap_add}
    return [] if -1 in keep else sorted(n for n in drop - keep if n is not None and n >= 0)


# -- what it sees --------------------------------------------------------------------------------


def _environment(pod: Pod, piece: Piece, place: Place, identity: Account) -> dict[str, str]:
    try:
        own = pod.environment(piece)
    except KeyError as missing:
        raise StartFault(f"the secret {missing.args[0]} has no value on this node") from missing
    kinds = {file.kind for file in place.files}
    base = {
        "PATH": os.environ.get("PATH", DEFAULT_PATH),
        "HOME": identity.home or os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        **place.variables,
    }
    if piece.container.tty:
        base["TERM"] = "xterm"
    for kind, variable, mounted in _FILE_FOLDERS:
        if kind in kinds:
            base[variable] = mounted if place.mounts else str(place.file_folders[kind])
    return base | own


def _namespaces(pod: Pod, *, mounts: bool) -> list[str]:
    wanted = {
        "mnt": mounts,
        "uts": bool(pod.spec.hostname or pod.spec.domainname),
        "ipc": pod.spec.ipc == "private",
        "net": pod.spec.network_mode == "none",
    }
    return [name for name, needed in wanted.items() if needed]


def _mounts(pod: Pod, piece: Piece, place: Place) -> list[dict[str, Any]]:
    steps = [_volume(pod, mount, place) for mount in piece.container.volumes]
    steps += [
        {"op": "bind", "source": str(f.path), "target": f.target, "read_only": True}
        for f in place.files
    ]
    for source, target in ((place.hosts, "/etc/hosts"), (place.resolver, "/etc/resolv.conf")):
        if source:
            steps.append({"op": "bind", "source": str(source), "target": target, "read_only": True})
    return steps


def _volume(pod: Pod, mount: Mount, place: Place) -> dict[str, Any]:
    if mount.type == "tmpfs":
        options = mount.tmpfs
        data = [f"mode={options.mode if options and options.mode else '1777'}"]
        if options and options.size is not None:
            data.append(f"size={int(options.size)}")
        return {"op": "tmpfs", "target": mount.target, "data": ",".join(data)}
    source = _source(pod, mount, place)
    return {
        "op": "bind",
        "source": str(source),
        "target": mount.target,
        "read_only": mount.read_only or volume_is_read_only(pod, mount),
        "propagation": mount.bind.propagation if mount.bind else None,
    }


def volume_is_read_only(pod: Pod, mount: Mount) -> bool:
    """Whether the volume itself forbids writing."""
    settings = pod.allocation.volumes.get(mount.source or "", {})
    return mount.type == "volume" and settings.get("access") == "read-only-many"


def _source(pod: Pod, mount: Mount, place: Place) -> Path:
    from pathlib import Path

    if mount.type == "bind":
        path = Path(str(mount.source))
        if not path.exists():
            if not (mount.bind and mount.bind.create_host_path):
                raise StartFault(f"{path} is not on this host; make it, or set create_host_path")
            path.mkdir(parents=True)
        return path
    known = pod.allocation.volumes.get(str(mount.source), {})
    path = place.volumes / str(known.get("name", mount.source))
    if not path.is_dir():
        raise StartFault(f"the volume {path.name} is not on this host; create it first")
    if mount.volume and mount.volume.subpath:
        inner = (path / mount.volume.subpath).resolve()
        if not inner.is_relative_to(path.resolve()):
            raise StartFault(f"subpath {mount.volume.subpath} leads out of the volume")
        inner.mkdir(parents=True, exist_ok=True)
        return inner
    return path


# -- bounds ----------------------------------------------------------------------------------------


def _ulimits(spec: Container) -> dict[str, tuple[int, int]]:
    def bound(value: int) -> int:
        return resource.RLIM_INFINITY if value < 0 else value

    return {name: (bound(u.soft), bound(u.hard)) for name, u in spec.ulimits.items()}


def log_bounds(spec: Container) -> dict[str, int]:
    """Size of a log file in bytes and how many are kept; no size where no output is wanted."""
    if spec.logging and spec.logging.driver == "none":
        return {"size": 0, "count": 0}
    options = spec.logging.options if spec.logging else {}
    try:
        size = int(Bytes.parse(options.get("max-size", "10m")))
        return {"size": max(size, 4096), "count": max(1, int(options.get("max-file", "3")))}
    except ValueError as fault:
        raise StartFault(f"logging.options: {fault}") from fault
