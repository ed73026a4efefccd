"""A running service in the words of the spec: the way back from `unit`, `service` and `job`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.spec.units import Bytes, Cpus, Duration
from orch_swarm.health import NANO
from orch_swarm.stack import OF_DOCKER
from orch_swarm.unit import FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Part = dict[str, Any]
_DNS = {"Nameservers": "dns", "Search": "dns_search", "Options": "dns_opt"}
_ROLL = {
    "Order": "order",
    "MaxFailureRatio": "max_failure_ratio",
    "FailureAction": "failure_action",
}
_USUAL_ROLL = {
    "order": "stop-first",
    "failure_action": "pause",
    "monitor": "5s",
}
"""What Swarm does when an update says nothing: the spec's own defaults are others."""
_SHELL = ("/bin/sh", "-c")
_CHECK = {"interval": "30s", "timeout": "30s", "failure_threshold": 3}


def span(nanoseconds: int) -> str:
    """A duration, to the millisecond."""
    return str(Duration(round(nanoseconds / NANO)))


def without_docker(labels: Mapping[str, str] | None) -> dict[str, str]:
    """Labels of the user's own."""
    return {key: text for key, text in (labels or {}).items() if not key.startswith(OF_DOCKER)}


def said(part: Mapping[str, Any]) -> Part:
    """What is not empty."""
    return {key: value for key, value in part.items() if value not in (None, "", [], {}, ())}


def unit_of(body: Mapping[str, Any], name: str, refer: Callable[[str, str], str]) -> Part:
    """What a service and a job have in common.

    `refer` gives what the document calls a config, secret, network or volume, by kind and name.
    """
    container = body.get("Container", {})
    dns = container.get("DNSConfig", {})
    log = body.get("LogDriver", {})
    made = {field: container.get(key) for field, key in FIELDS.items() if container.get(key)}
    for key in ("Init", "ReadOnly"):
        if key in container:
            made[{"Init": "init", "ReadOnly": "read_only"}[key]] = bool(container[key])
    if "StopGracePeriod" in container:
        made["stop_grace_period"] = span(container["StopGracePeriod"])
    return said(
        {
            **made,
            "environment": container.get("Env"),
            "labels": without_docker(container.get("Labels")),
            **{field: dns.get(key) for key, field in _DNS.items()},
            "ulimits": {
                key: {"soft": bound["Soft"], "hard": bound["Hard"]}
                for key, bound in container.get("Ulimits", {}).items()
            },
            "security_opt": _security(container.get("Privileges", {})),
            "credential_spec": _credential(container.get("Privileges", {}), refer),
            "logging": said({"driver": log.get("Name"), "options": log.get("Options")}),
            "configs": _files(container, "Configs", refer),
            "secrets": _files(container, "Secrets", refer),
            "volumes": [_mount(one, refer) for one in container.get("Mounts", {}).values()],
            **_networks(body.get("Networks", {}), name, refer),
            **_isolation(container.get("Isolation")),
        }
    )


def service_of(body: Mapping[str, Any], name: str, refer: Callable[[str, str], str]) -> Part:
    """A service that keeps running."""
    deploy: Part = {
        "mode": "global" if body["Mode"] == "global" else None,
        "placement": _placement(body.get("Placement", {})),
        "resources": _resources(body.get("Resources", {})),
        "restart_policy": _restart(body.get("RestartPolicy")),
        "update_config": _roll(body.get("UpdateConfig")),
        "rollback_config": _roll(body.get("RollbackConfig")),
        "labels": without_docker(body.get("Labels")),
        "endpoint_mode": body.get("EndpointSpec", {}).get("Mode"),
    }
    deploy = said(deploy)
    if body["Mode"] == "replicated":
        deploy["replicas"] = body.get("Replicas", 0)
    ports = [_port(one) for one in body.get("EndpointSpec", {}).get("Ports", {}).values()]
    more = {"ports": ports, "probes": _probes(body.get("Container", {}).get("Healthcheck", {}))}
    return {**unit_of(body, name, refer), **said(more), "deploy": deploy}


def job_of(body: Mapping[str, Any], name: str, refer: Callable[[str, str], str]) -> Part:
    """A job: a service whose tasks end."""
    policy = body.get("RestartPolicy") or {}
    more = {
        "completions": body.get("TotalCompletions"),
        "parallelism": body.get("MaxConcurrent"),
        "placement": _placement(body.get("Placement", {})),
        "resources": _resources(body.get("Resources", {})),
        "restart_policy": _restart(policy),
    }
    return {**unit_of(body, name, refer), **said(more)}


# -- parts ---------------------------------------------------------------------------------------


def _security(privileges: Mapping[str, Any]) -> list[str]:
    found = []
    if "NoNewPrivileges" in privileges:
        found.append(f"no-new-privileges:{str(bool(privileges['NoNewPrivileges'])).lower()}")
    if privileges.get("Seccomp", {}).get("Mode") == "unconfined":
        found.append("seccomp:unconfined")
    if privileges.get("AppArmor", {}).get("Mode") == "disabled":
        found.append("apparmor:unconfined")
    for key, text in (privileges.get("SELinuxContext") or {}).items():
        if key == "Disable":
            found += ["label:disable"] if text else []
        elif text:
            found.append(f"label:{key.lower()}:{text}")
    return found


def _credential(privileges: Mapping[str, Any], refer: Callable[[str, str], str]) -> Part:
    spec = privileges.get("CredentialSpec") or {}
    config = refer("config", spec["Config"]) if spec.get("Config") else None
    return said({"config": config, "file": spec.get("File"), "registry": spec.get("Registry")})


def _files(container: Mapping[str, Any], kind: str, refer: Callable[[str, str], str]) -> list[Part]:
    single = kind[:-1].lower()
    return [
        {
            "source": refer(single, file["Name"]),
            "target": target,
            **{key: file[key.upper()] for key in ("uid", "gid") if file[key.upper()] != "0"},
            "mode": f"{file['Mode']:04o}",
        }
        for target, file in container.get(kind, {}).items()
    ]


def _mount(mount: Mapping[str, Any], refer: Callable[[str, str], str]) -> Part:
    kind, source = mount["Type"], mount.get("Source")
    if kind == "volume" and source:
        source = refer("volume", source)
    tmpfs = mount.get("TmpfsOptions") or {}
    size, mode = tmpfs.get("SizeBytes"), tmpfs.get("Mode")
    nocopy = (mount.get("VolumeOptions") or {}).get("NoCopy")
    return said(
        {
            "type": kind,
            "source": source,
            "target": mount["Target"],
            "read_only": mount.get("ReadOnly") or None,
            "volume": {"nocopy": True} if nocopy else None,
            "bind": said({"propagation": (mount.get("BindOptions") or {}).get("Propagation")}),
            "tmpfs": said(
                {
                    "size": str(Bytes(size)) if size else None,
                    "mode": f"{mode:04o}" if mode else None,
                }
            ),
        }
    )


def _networks(
    attached: Mapping[str, Any], name: str, refer: Callable[[str, str], str]
) -> dict[str, Any]:
    if list(attached) == ["/host"]:
        return {"network_mode": "host"}
    found = {
        refer("network", network): said(
            {
                "aliases": [a for a in one.get("Aliases") or () if a != name],
                "driver_opts": one.get("DriverOpts"),
            }
        )
        for network, one in attached.items()
    }
    return {} if found == {"default": {}} else {"networks": found}


def _isolation(isolation: str | None) -> dict[str, Any]:
    if isolation in (None, "", "default"):
        return {}
    return {"overrides": {"swarm": {"isolation": isolation}}}


def _placement(placement: Mapping[str, Any]) -> Part:
    spreads = [one.get("Spread", {}) for one in placement.get("Preferences") or ()]
    return said(
        {
            "constraints": placement.get("Constraints"),
            "preferences": [{"spread": one["SpreadDescriptor"]} for one in spreads if one],
            "max_replicas_per_node": placement.get("MaxReplicas"),
        }
    )


def _resources(resources: Mapping[str, Any]) -> Part:
    limits, reserved = resources.get("Limits", {}), resources.get("Reservations", {})
    return said(
        {
            "limits": said({**_bounds(limits), "pids": limits.get("Pids")}),
            "reservations": said({**_bounds(reserved), "generic": reserved.get("Generic")}),
        }
    )


def _bounds(bound: Mapping[str, Any]) -> Part:
    cpus, memory = bound.get("NanoCPUs"), bound.get("MemoryBytes")
    return {
        "cpus": str(Cpus(round(cpus / NANO))) if cpus else None,
        "memory": str(Bytes(memory)) if memory else None,
    }


def _restart(policy: Mapping[str, Any] | None) -> Part | None:
    if not policy:
        return None
    delay, window = policy.get("Delay"), policy.get("Window")
    return said(
        {
            "condition": policy.get("Condition") or "any",
            "delay": span(delay) if delay is not None else None,
            "max_attempts": policy.get("MaxAttempts") or None,
            "window": span(window) if window else None,
        }
    )


def _roll(config: Mapping[str, Any] | None) -> Part | None:
    if not config:
        return None
    made = {field: config[key] for key, field in _ROLL.items() if config.get(key)}
    made["parallelism"] = config.get("Parallelism", 0)
    for key, field in (("Delay", "delay"), ("Monitor", "monitor")):
        if config.get(key):
            made[field] = span(config[key])
    return {**_USUAL_ROLL, **said(made)}


def _port(port: Mapping[str, Any]) -> Part:
    return said(
        {
            "target": port["TargetPort"],
            "published": port.get("PublishedPort") or None,
            "protocol": port.get("Protocol", "tcp"),
            "mode": port.get("PublishMode", "ingress"),
        }
    )


def _probes(check: Mapping[str, Any]) -> Part:
    """The check replaces a task that fails it: that is the liveness probe."""
    form, *words = check.get("Test") or ("NONE",)
    if form not in ("CMD", "CMD-SHELL"):
        return {}
    command = [*_SHELL, *words] if form == "CMD-SHELL" else words
    probe: Part = {"exec": {"command": command}, **_CHECK}
    for key, field in (
        ("Interval", "interval"),
        ("Timeout", "timeout"),
        ("StartPeriod", "initial_delay"),
    ):
        if check.get(key):
            probe[field] = span(check[key])
    if check.get("Retries"):
        probe["failure_threshold"] = check["Retries"]
    return {"liveness": probe}
