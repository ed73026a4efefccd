"""What a process of the host can be given here, and what of a spec it can't."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from orch.spec.application import Service
from orch_native.agent.pod import SECRETS_FOLDER, ports_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch.spec.application import Job
    from orch.spec.container import Container, Limits, PodFields

Refusal = tuple[str, str]
LOG_DRIVERS = frozenset({"json-file", "local", "none"})
USE_DOCKER = "; give it an image, so that the docker driver runs it"
CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]
_TRY = (
    "import ctypes,sys;l=ctypes.CDLL(None);"
    "sys.exit(l.unshare(0x20000) or l.mount(b'none',b'/',b'',ctypes.c_ulong(0x84000),b''))"
)


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the agent is allowed to do here: be root, mount in private, bound by cgroups."""

    root: bool
    mounts: bool
    cgroups: frozenset[str]
    resource: bool = False

    @property
    def features(self) -> frozenset[str]:
        """Their names, as a node tells them."""
        names = {f"limits-{name}" for name in self.cgroups & {"memory", "cpu", "pids"}}
        return frozenset(
            {"exec", "logs", "stats", "tty"}
            | names
            | ({"users"} if self.root else set())
            | ({"mounts", "volumes", "hosts-file", "hostname"} if self.mounts else set())
        )


@cache
def can_mount() -> bool:
    """Whether a private mount namespace can be made; tried once, in a process of its own."""
    command = [sys.executable, "-I", "-S", "-c", _TRY]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def has_capability(name: str) -> bool:
    """Whether this process may use a Linux capability."""
    status = Path("/proc/self/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    return bool(int(mask, 16) >> CAPABILITIES.index(name) & 1)


def refusals(spec: Service | Job, able: Abilities) -> Iterator[Refusal]:
    """What of a service or job can't be done for processes here: (field path, reason)."""
    yield from _container("", spec, able)
    yield from _pod(spec, able)
    for number, init in enumerate(spec.pre_start):
        yield from _container(f"pre_start[{number}].", init, able)
    for name, sidecar in spec.sidecars.items():
        yield from _container(f"sidecars.{name}.", sidecar, able)
    if isinstance(spec, Service):
        if spec.deploy.resources:
            yield from _resources("deploy.resources.", spec.deploy, able)
        for at, port in ports_of(spec):
            if port.protocol == "sctp":
                yield f"{at}.protocol", "the proxy carries tcp and udp, not sctp"
        if not able.root:
            yield from _hooks(spec)


def _container(at: str, spec: Container, able: Abilities) -> Iterator[Refusal]:
    if spec.image is not None:
        yield f"{at}image", "one unit is either all containers or all processes of the host"
    if not spec.command and not spec.entrypoint:
        yield f"{at}command", "a process of the host needs a command"
    never: Mapping[str, object] = {
        "read_only": spec.read_only,
        "privileged": spec.privileged,
        "devices": spec.devices,
        "sysctls": spec.sysctls,
        "shm_size": spec.shm_size,
    }
    for name, value in never.items():
        if value:
            yield f"{at}{name}", f"a process shares the host's own{USE_DOCKER}"
    yield from _privileges(at, spec, able)
    yield from _ulimits(at, spec)
    yield from _files(at, spec, able)
    if spec.logging and spec.logging.driver and spec.logging.driver not in LOG_DRIVERS:
        yield f"{at}logging.driver", "output of a process is kept as json-file or local keeps it"
    if spec.resources:
        yield from _resources(f"{at}resources.", spec, able)


def _privileges(at: str, spec: Container, able: Abilities) -> Iterator[Refusal]:
    for number, option in enumerate(spec.security_opt):
        if option.replace("=", ":") not in ("no-new-privileges", "no-new-privileges:true"):
            yield f"{at}security_opt[{number}]", f"{option} needs a container{USE_DOCKER}"
    if able.root:
        for field, names in (("cap_add", spec.cap_add), ("cap_drop", spec.cap_drop)):
            for number, name in enumerate(names):
                if capability(name) is None:
                    yield f"{at}{field}[{number}]", f"{name} is no Linux capability"
        return
    if spec.cap_add:
        yield f"{at}cap_add", "only an agent of root can give capabilities"
    if spec.user is not None and spec.user.split(":")[0] not in _myself():
        yield f"{at}user", f"only an agent of root can run as {spec.user}"
    if spec.group_add:
        yield f"{at}group_add", "only an agent of root can add groups"


def _hooks(spec: Service) -> Iterator[Refusal]:
    for name in ("post_start", "pre_stop"):
        for number, hook in enumerate(getattr(spec, name)):
            if hook.user is not None and hook.user.split(":")[0] not in _myself():
                yield f"{name}[{number}].user", f"only an agent of root can run as {hook.user}"


def _myself() -> tuple[str, ...]:
    import pwd

    uid = os.geteuid()
    try:
        return (str(uid), pwd.getpwuid(uid).pw_name)
    except KeyError:
        return (str(uid),)


def capability(name: str) -> int | None:
    """The kernel's number of a capability, -1 for ALL, None for no capability."""
    plain = name.upper().removeprefix("CAP_")
    if plain == "ALL":
        return -1
    return CAPABILITIES.index(plain) if plain in CAPABILITIES else None


def _ulimits(at: str, spec: Container) -> Iterator[Refusal]:
    for name, bound in spec.ulimits.items():
        number = getattr(resource, f"RLIMIT_{name.upper()}", None)
        if number is None:
            yield f"{at}ulimits.{name}", f"{name} is no bound that this kernel knows"
            continue
        highest = resource.getrlimit(number)[1]
        if highest != resource.RLIM_INFINITY and not -1 < bound.hard <= highest:
            yield f"{at}ulimits.{name}.hard", f"the host allows at most {highest}"


def _files(at: str, spec: Container, able: Abilities) -> Iterator[Refusal]:
    if able.mounts:
        yield from _closed(at, spec)
        for number, mount in enumerate(spec.volumes):
            if mount.type == "volume" and mount.source and mount.target == "/":
                yield f"{at}volumes[{number}].target", "the root of the host stays where it is"
        return
    why = "mounting takes root, CAP_SYS_ADMIN and a root folder that is a mount point"
    if spec.volumes:
        yield f"{at}volumes", f"{why}{USE_DOCKER}"
    for number, config in enumerate(spec.configs):
        if config.target.startswith("/"):
            mend = f"; write target: {config.target.rsplit('/', 1)[-1]}, and read $ORCH_CONFIG_DIR"
            yield f"{at}configs[{number}].target", why + mend
    for number, secret in enumerate(spec.secrets):
        if secret.target.startswith("/") and not secret.target.startswith(f"{SECRETS_FOLDER}/"):
            mend = f"; write target: {secret.target.rsplit('/', 1)[-1]}, and read $ORCH_SECRETS_DIR"
            yield f"{at}secrets[{number}].target", why + mend


def _closed(at: str, spec: Container) -> Iterator[Refusal]:
    for number, config in enumerate(spec.configs):
        if _is_closed(config.target):
            yield f"{at}configs[{number}].target", "no file can be put there"


def _is_closed(target: str) -> bool:
    """Whether the kernel lets nobody make a file there."""
    path = Path("/", target)
    inside = any(path.is_relative_to(closed) for closed in ("/proc", "/sys"))
    return inside and not path.is_file()


def _resources(at: str, owner: object, able: Abilities) -> Iterator[Refusal]:
    found = getattr(owner, "resources", None)
    if found is None:
        return
    if found.limits:
        yield from _limits(f"{at}limits.", found.limits, able)
    if found.reservations and found.reservations.devices:
        yield f"{at}reservations.devices", f"devices are not set aside for processes{USE_DOCKER}"


def _limits(at: str, limits: Limits, able: Abilities) -> Iterator[Refusal]:
    needs = {"cpus": "cpu", "memory": "memory", "pids": "pids", "swap": "memory"}
    for name, controller in needs.items():
        if getattr(limits, name) is not None and controller not in able.cgroups:
            why = f"the {controller} control group can't be used here, so nothing would hold it"
            yield f"{at}{name}", f"{why}; remove it, or run the agent as root"
    if limits.ephemeral_storage is not None:
        yield f"{at}ephemeral_storage", f"a process writes to the host's disk{USE_DOCKER}"


def _pod(spec: PodFields, able: Abilities) -> Iterator[Refusal]:
    if spec.runtime is not None:
        yield "runtime", f"a process has no container runtime{USE_DOCKER}"
    if spec.credential_spec is not None:
        yield "credential_spec", "this is not Windows"
    if spec.ipc not in (None, "host", "private"):
        yield "ipc", f"{spec.ipc} needs a container{USE_DOCKER}"
    if not able.mounts:
        yield from _for_namespaces(spec)
    if spec.oom_score_adj is not None and spec.oom_score_adj < 0 and not able.resource:
        yield "oom_score_adj", "only an agent with CAP_SYS_RESOURCE can lower it"
    yield from _networks(spec, able)


def _for_namespaces(spec: PodFields) -> Iterator[Refusal]:
    why = "a namespace of its own needs root and CAP_SYS_ADMIN"
    for name in ("hostname", "domainname", "extra_hosts", "dns", "dns_search", "dns_opt"):
        if getattr(spec, name):
            yield name, f"{why}{USE_DOCKER}"
    if spec.ipc == "private":
        yield "ipc", why
    if spec.network_mode == "none":
        yield "network_mode", why


def _networks(spec: PodFields, able: Abilities) -> Iterator[Refusal]:
    for name, attachment in spec.networks.items():
        for field in ("ipv4_address", "ipv6_address"):
            if getattr(attachment, field) is not None:
                yield f"networks.{name}.{field}", f"a process has a loopback address{USE_DOCKER}"
        if attachment.aliases and not able.mounts:
            yield f"networks.{name}.aliases", "a private hosts file needs root and CAP_SYS_ADMIN"
