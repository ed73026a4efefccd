"""A container of the spec as a body of the Docker Engine API."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch_native.agent.driver import StartFault
from orch_native.agent.process_settings import volume_is_read_only

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch.spec.container import Container, DeviceRequest, Mount, Resources
    from orch_native.agent.files import Placed
    from orch_native.agent.pod import Piece, Pod

LOG_DEFAULT = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


def container_body(
    pod: Pod,
    piece: Piece,
    *,
    labels: Mapping[str, str],
    files: Sequence[Placed],
    network: str,
    endpoints: Mapping[str, Any],
) -> dict[str, Any]:
    """The body of a create call; it holds the values of secrets that are asked for as variables."""
    spec = piece.container
    body: dict[str, Any] = {
        "Image": str(spec.image),
        "Cmd": list(spec.command) or None,
        "Entrypoint": list(spec.entrypoint) or None,
        "Env": [f"{name}={value}" for name, value in _environment(pod, piece).items()],
        "WorkingDir": spec.working_dir,
        "User": spec.user,
        "Tty": spec.tty,
        "OpenStdin": spec.stdin_open,
        "StopSignal": spec.stop_signal,
        # Our own probes ask: an image's health check would only take time.
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {**pod.spec.annotations, **pod.spec.labels, **labels},
        "HostConfig": _host_config(pod, piece, files, network),
        "NetworkingConfig": {"EndpointsConfig": dict(endpoints)},
    }
    if not _is_shared(network):
        body |= {"Hostname": pod.spec.hostname, "Domainname": pod.spec.domainname}
    if piece.role == "main":
        body["ExposedPorts"] = {f"{p.target}/{p.protocol}": {} for p in pod.ports}
    return body


def _host_config(pod: Pod, piece: Piece, files: Sequence[Placed], network: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "NetworkMode": network,
        "RestartPolicy": {"Name": "no"},
        "Mounts": _mounts(pod, piece, files),
        "LogConfig": _logging(piece.container),
        **_privileges(piece.container),
        **_kernel(pod, piece.container),
        **_resources(piece.resources),
        "DeviceRequests": _device_requests(piece),
    }
    if not _is_shared(network):
        config |= _resolver(pod)
    if piece.role == "main":
        config["PortBindings"] = _ports(pod) if network != "host" else {}
    return config


def _is_shared(network: str) -> bool:
    """Whether it is another container's, which then has the name and the resolver too."""
    return network.startswith("container:")


def _environment(pod: Pod, piece: Piece) -> dict[str, str]:
    try:
        return pod.environment(piece)
    except KeyError as missing:
        raise StartFault(f"the secret {missing.args[0]} has no value on this node") from missing


def _ports(pod: Pod) -> dict[str, list[dict[str, str]]]:
    """Ports of mode host: the engine opens them; balanced ones are the proxy's."""
    found: dict[str, list[dict[str, str]]] = {}
    for port in pod.ports:
        if port.published is not None and port.mode == "host":
            binding = {"HostIp": port.host_ip or "", "HostPort": str(port.published)}
            found.setdefault(f"{port.target}/{port.protocol}", []).append(binding)
    return found


# -- files -----------------------------------------------------------------------------------------


def _mounts(pod: Pod, piece: Piece, files: Sequence[Placed]) -> list[dict[str, Any]]:
    mounts = [_mount(pod, mount) for mount in piece.container.volumes]
    return mounts + [
        {"Type": "bind", "Source": str(f.path), "Target": f.target, "ReadOnly": True} for f in files
    ]


def _mount(pod: Pod, mount: Mount) -> dict[str, Any]:
    body: dict[str, Any] = {
        "Type": mount.type,
        "Target": mount.target,
        "ReadOnly": mount.read_only or volume_is_read_only(pod, mount),
    }
    if mount.type == "tmpfs":
        options = mount.tmpfs
        settings: dict[str, int] = {}
        if options and options.size is not None:
            settings["SizeBytes"] = int(options.size)
        if options and options.mode is not None:
            settings["Mode"] = int(options.mode, 8)
        return body | {"TmpfsOptions": settings}
    if mount.type == "bind":
        return body | _bind(mount)
    known = pod.allocation.volumes.get(str(mount.source), {})
    given: dict[str, Any] = {"NoCopy": bool(mount.volume and mount.volume.nocopy)}
    if mount.volume and mount.volume.subpath:
        given["Subpath"] = mount.volume.subpath
    return body | {"Source": str(known.get("name", mount.source)), "VolumeOptions": given}


def _bind(mount: Mount) -> dict[str, Any]:
    source = Path(str(mount.source))
    if mount.bind and mount.bind.create_host_path:
        source.mkdir(parents=True, exist_ok=True)
    elif not source.exists():
        raise StartFault(f"{source} is not on this host; make it, or set create_host_path")
    propagation = mount.bind.propagation if mount.bind else None
    options = {"Propagation": propagation} if propagation else {}
    return {"Source": str(source), "BindOptions": options}


def _logging(spec: Container) -> dict[str, Any]:
    if spec.logging is None:
        return LOG_DEFAULT
    driver = spec.logging.driver or "json-file"
    options = dict(spec.logging.options)
    if driver in ("json-file", "local"):
        defaults = {"max-size": "10m", "max-file": "3"}
        return {"Type": driver, "Config": defaults | options}
    return {"Type": driver, "Config": options}


# -- what it may -----------------------------------------------------------------------------------


def _privileges(spec: Container) -> dict[str, Any]:
    body: dict[str, Any] = {
        "CapAdd": list(spec.cap_add),
        "CapDrop": list(spec.cap_drop),
        "SecurityOpt": [_security(option) for option in spec.security_opt],
        "Privileged": spec.privileged,
        "ReadonlyRootfs": spec.read_only,
        "GroupAdd": list(spec.group_add),
        "Devices": [
            {
                "PathOnHost": device.source,
                "PathInContainer": device.target or device.source,
                "CgroupPermissions": device.permissions,
            }
            for device in spec.devices
            if not _is_cdi(device.source)
        ],
    }
    return body


def _security(option: str) -> str:
    """An option as the engine takes it: a seccomp profile by its content, not by its path."""
    kind, _, value = option.replace(":", "=", 1).partition("=")
    if kind != "seccomp" or not value.startswith("/"):
        return f"{kind}={value}" if value else kind
    try:
        return f"seccomp={Path(value).read_text()}"
    except OSError as fault:
        raise StartFault(f"the seccomp profile {value}: {fault.strerror}") from fault


def _is_cdi(source: str) -> bool:
    return not source.startswith("/") and "=" in source


def _kernel(pod: Pod, spec: Container) -> dict[str, Any]:
    body: dict[str, Any] = {
        "Init": spec.init,
        "Ulimits": [
            {"Name": name, "Soft": bound.soft, "Hard": bound.hard}
            for name, bound in spec.ulimits.items()
        ],
        "Sysctls": dict(spec.sysctls),
        "IpcMode": pod.spec.ipc or "",
        "PidMode": pod.spec.pid or "",
        "UsernsMode": pod.spec.userns_mode or "",
    }
    if spec.shm_size is not None:
        body["ShmSize"] = int(spec.shm_size)
    if pod.spec.runtime:
        body["Runtime"] = pod.spec.runtime
    if pod.spec.oom_score_adj is not None:
        body["OomScoreAdj"] = pod.spec.oom_score_adj
    return body


def _resolver(pod: Pod) -> dict[str, Any]:
    return {
        "Dns": list(pod.spec.dns),
        "DnsSearch": list(pod.spec.dns_search),
        "DnsOptions": list(pod.spec.dns_opt),
        "ExtraHosts": [f"{name}:{address}" for name, address in pod.spec.extra_hosts.items()],
    }


def _resources(resources: Resources | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    limits = resources.limits if resources else None
    if limits and limits.cpus is not None:
        body["NanoCpus"] = int(limits.cpus) * 1_000_000
    if limits and limits.memory is not None:
        body["Memory"] = int(limits.memory)
        if limits.swap is not None:
            body["MemorySwap"] = int(limits.memory) + int(limits.swap)
    if limits and limits.pids is not None:
        body["PidsLimit"] = limits.pids
    if limits and limits.ephemeral_storage is not None:
        body["StorageOpt"] = {"size": str(int(limits.ephemeral_storage))}
    reserved = resources.reservations if resources else None
    if reserved and reserved.memory is not None:
        body["MemoryReservation"] = int(reserved.memory)
    if reserved and reserved.cpus is not None:
        body["CpuShares"] = max(2, int(reserved.cpus) * 1024 // 1000)
    return body


def _device_requests(piece: Piece) -> list[dict[str, Any]]:
    reserved = piece.resources.reservations if piece.resources else None
    cdi = [device.source for device in piece.container.devices if _is_cdi(device.source)]
    requests = [_device_request(request) for request in (reserved.devices if reserved else ())]
    return requests + ([{"Driver": "cdi", "DeviceIDs": cdi}] if cdi else [])


def _device_request(request: DeviceRequest) -> dict[str, Any]:
    count = -1 if request.count == "all" else request.count
    return {
        "Driver": request.driver or "",
        "Count": 0 if request.device_ids else count,
        "DeviceIDs": list(request.device_ids),
        "Capabilities": [list(request.capabilities)],
        "Options": dict(request.options),
    }


# -- networks --------------------------------------------------------------------------------------


def endpoint(pod: Pod, attachment: Any) -> dict[str, Any]:
    """How a container takes part in a network: the service's name leads to all its replicas."""
    allocation = pod.allocation
    names = [
        allocation.unit,
        f"{allocation.unit}-{allocation.index}",
        f"{allocation.unit}.{allocation.app}.internal",
        *(attachment.aliases if attachment else ()),
    ]
    body: dict[str, Any] = {"Aliases": names}
    if attachment and (attachment.ipv4_address or attachment.ipv6_address):
        body["IPAMConfig"] = {
            "IPv4Address": attachment.ipv4_address or "",
            "IPv6Address": attachment.ipv6_address or "",
        }
    if attachment and attachment.driver_opts:
        body["DriverOpts"] = dict(attachment.driver_opts)
    return body


def network_body(settings: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """A network of the spec as the engine makes it."""
    pools = [
        {
            key: pool[name]
            for key, name in (("Subnet", "subnet"), ("Gateway", "gateway"), ("IPRange", "ip_range"))
            if pool.get(name)
        }
        for pool in settings.get("ipam", ())
    ]
    body: dict[str, Any] = {
        "Driver": settings.get("driver") or "bridge",
        "Internal": bool(settings.get("internal")),
        "Attachable": bool(settings.get("attachable")),
        "EnableIPv6": bool(settings.get("enable_ipv6")),
        "Options": {k: str(v) for k, v in settings.get("driver_opts", {}).items()},
    }
    if pools:
        body["IPAM"] = {"Config": pools}
    mark = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
    own = {str(k): str(v) for k, v in settings.get("labels", {}).items()}
    return body | {"Labels": {**own, **labels, "orch.settings": mark}}
