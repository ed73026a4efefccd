"""What of a spec an engine can't do, from what it says of itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orch.spec.application import Service
from orch_native.agent.pod import ports_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch.spec.application import Job
    from orch.spec.container import Container, Resources

Refusal = tuple[str, str]
QUOTA_DRIVERS = frozenset({"btrfs", "zfs", "devicemapper", "windowsfilter"})
SUBPATH_ENGINE = 26
CDI_ENGINE = 25
_UNKNOWN = ("manifest unknown", "not found", "name unknown")
_CLOSED = ("unauthorized", "no basic auth", "authentication required", "access denied", "forbidden")


def pull_mend(fault: str, registry: str, user: str) -> str:
    """What to do about a pull that failed, from the words of the engine and the registry."""
    words = fault.lower()
    if any(word in words for word in _UNKNOWN):
        return f"; {registry} has no such image: check its name and tag"
    if not any(word in words for word in _CLOSED):
        return ""
    if user:
        return f"; {registry} does not let the user {user} in: correct registries.{registry}"
    login = f"registries: {{{registry}: {{username: …, password: {{secret: …}}}}}}"
    return f"; {registry} wants a login, or has no such image: write {login}"


def refusals(
    spec: Service | Job, info: Mapping[str, Any], version: Mapping[str, Any]
) -> Iterator[Refusal]:
    """What this engine can't do: (field path, reason)."""
    yield from _container("", spec, info, version)
    for number, init in enumerate(spec.pre_start):
        yield from _container(f"pre_start[{number}].", init, info, version)
    for name, sidecar in spec.sidecars.items():
        yield from _container(f"sidecars.{name}.", sidecar, info, version)
    if spec.runtime is not None and spec.runtime not in info.get("Runtimes", {}):
        known = ", ".join(sorted(info.get("Runtimes", {})))
        yield "runtime", f"the engine has no runtime {spec.runtime}; it has {known}"
    if spec.credential_spec is not None:
        yield "credential_spec", "this is not Windows"
    if isinstance(spec, Service):
        yield from _service(spec, info)


def _service(spec: Service, info: Mapping[str, Any]) -> Iterator[Refusal]:
    if spec.deploy.resources:
        yield from _resources("deploy.resources.", spec.deploy.resources, info)
    for at, port in ports_of(spec):
        if port.protocol == "sctp" and port.published is not None and port.mode == "ingress":
            yield f"{at}.protocol", "sctp is not balanced; publish it with mode: host"


def _container(
    at: str, spec: Container, info: Mapping[str, Any], version: Mapping[str, Any]
) -> Iterator[Refusal]:
    major = int(match[0]) if (match := re.match(r"\d+", str(version.get("Version", "")))) else 0
    podman = any("Podman" in str(c.get("Name")) for c in version.get("Components") or ())
    if spec.image is None:
        yield f"{at}image", "one unit is either all containers or all processes of the host"
    for number, mount in enumerate(spec.volumes):
        if mount.volume and mount.volume.subpath and (podman or major < SUBPATH_ENGINE):
            why = f"subpath needs Docker Engine {SUBPATH_ENGINE}; this is {version.get('Version')}"
            yield f"{at}volumes[{number}].volume.subpath", why
    for number, device in enumerate(spec.devices):
        if not device.source.startswith("/") and major < CDI_ENGINE:
            yield f"{at}devices[{number}].source", f"CDI names need Docker Engine {CDI_ENGINE}"
    if spec.resources:
        yield from _resources(f"{at}resources.", spec.resources, info)


def _resources(at: str, resources: Resources, info: Mapping[str, Any]) -> Iterator[Refusal]:
    limits, reserved = resources.limits, resources.reservations
    if limits:
        able = {"memory": "MemoryLimit", "swap": "SwapLimit", "pids": "PidsLimit"}
        for name, flag in able.items():
            if getattr(limits, name) is not None and info.get(flag) is False:
                yield f"{at}limits.{name}", "the kernel of this host holds no such limit"
        if limits.cpus is not None and info.get("CpuCfsQuota") is False:
            yield f"{at}limits.cpus", "the kernel of this host holds no such limit"
        if limits.ephemeral_storage is not None and info.get("Driver") not in QUOTA_DRIVERS:
            why = f"the engine's storage driver {info.get('Driver')} holds no such limit"
            yield f"{at}limits.ephemeral_storage", why
    for number, request in enumerate(reserved.devices if reserved else ()):
        runtimes = info.get("Runtimes", {})
        named = request.driver == "cdi"
        if "gpu" in request.capabilities and "nvidia" not in runtimes and not named:
            where = f"{at}reservations.devices[{number}]"
            yield (
                where,
                "the engine has no runtime for GPUs; install the vendor's container toolkit",
            )
