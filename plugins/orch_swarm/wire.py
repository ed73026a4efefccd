"""Bodies in the words of the engine's API, and back.

A body holds mappings where the API holds lists, so that changes are told field by field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Body = dict[str, Any]

_ROLL = ("UpdateConfig", "RollbackConfig")
_MODES = {
    "replicated": "Replicated",
    "global": "Global",
    "replicated-job": "ReplicatedJob",
    "global-job": "GlobalJob",
}
_FILES = (("Configs", "Config"), ("Secrets", "Secret"))


# -- services: body to API ---------------------------------------------------------------------


def service_spec(
    body: Mapping[str, Any], real: Callable[[str], str], ids: Mapping[tuple[str, str], str]
) -> Body:
    """A service's body as a ServiceSpec without its name.

    `real` gives real names, `ids` the ids of configs, secrets and networks by kind and real name.
    """
    container = _container(body.get("Container", {}), real, ids)
    task: Body = {"ContainerSpec": container, "Resources": _resources(body.get("Resources", {}))}
    for key in ("RestartPolicy", "Placement", "LogDriver"):
        if body.get(key):
            task[key] = dict(body[key])
    task["Networks"] = [
        {"Target": ids.get(("network", real(name)), real(name)), **attachment}
        for name, attachment in body.get("Networks", {}).items()
    ]
    spec: Body = {"Labels": dict(body.get("Labels", {})), "TaskTemplate": task, "Mode": _mode(body)}
    for key in _ROLL:
        if body.get(key) and not body["Mode"].endswith("-job"):
            spec[key] = dict(body[key])
    endpoint = body.get("EndpointSpec")
    if endpoint:
        ports = [dict(port) for port in endpoint.get("Ports", {}).values()]
        spec["EndpointSpec"] = {**endpoint, "Ports": ports}
    return spec


def _mode(body: Mapping[str, Any]) -> Body:
    kind = _MODES[body.get("Mode", "replicated")]
    keys = {"Replicated": ("Replicas",), "ReplicatedJob": ("MaxConcurrent", "TotalCompletions")}
    return {kind: {key: body[key] for key in keys.get(kind, ()) if key in body}}


def _container(
    said: Mapping[str, Any], real: Callable[[str], str], ids: Mapping[tuple[str, str], str]
) -> Body:
    spec: Body = dict(said)
    spec["Env"] = [f"{key}={value}" for key, value in said.get("Env", {}).items()]
    spec["Hosts"] = [f"{address} {name}" for name, address in said.get("Hosts", {}).items()]
    spec["Ulimits"] = [{"Name": name, **bound} for name, bound in said.get("Ulimits", {}).items()]
    spec["Mounts"] = [
        _mount(target, mount, real) for target, mount in said.get("Mounts", {}).items()
    ]
    for kind, single in _FILES:
        spec[kind] = [_reference(single, file, real, ids) for file in said.get(kind, {}).values()]
    spec["Privileges"] = _privileges(said.get("Privileges", {}), real, ids)
    credential = said.get("Privileges", {}).get("CredentialSpec", {}).get("Config")
    if credential:
        # The engine asks that what it reads so is listed, too.
        spec["Configs"].append(_named("Config", real(credential), ids) | {"Runtime": {}})
    return {key: value for key, value in spec.items() if value not in ([], {}, None)}


def _mount(target: str, mount: Mapping[str, Any], real: Callable[[str], str]) -> Body:
    made = {**mount, "Target": target}
    if mount.get("Type") == "volume":
        made["Source"] = real(mount["Source"])
    return made


def _reference(
    kind: str, file: Mapping[str, Any], real: Callable[[str], str], ids: Mapping[Any, str]
) -> Body:
    target = {"Name": file["File"], "UID": file["UID"], "GID": file["GID"], "Mode": file["Mode"]}
    return _named(kind, real(file["Name"]), ids) | {"File": target}


def _named(kind: str, name: str, ids: Mapping[Any, str]) -> Body:
    return {f"{kind}ID": ids.get((kind.lower(), name), ""), f"{kind}Name": name}


def platforms(found: Mapping[str, Any]) -> list[Body]:
    """What an image runs on, as its registry tells, as the platforms of a service.

    Nodes name 32-bit ARM by its variant, and images do not: it is left open.
    """
    seen = [
        {"OS": one.get("os", ""), "Architecture": machine(one.get("architecture", ""))}
        for one in found.get("Platforms") or ()
        if one.get("os") not in (None, "", "unknown")
    ]
    return [one for index, one in enumerate(seen) if one not in seen[:index]]


def machine(architecture: str) -> str:
    """A processor as the engine compares it, empty for one that it names in many ways."""
    return "" if architecture == "arm" else architecture


def _privileges(
    said: Mapping[str, Any], real: Callable[[str], str], ids: Mapping[tuple[str, str], str]
) -> Body:
    made = dict(said)
    spec = made.get("CredentialSpec")
    if spec and "Config" in spec:
        name = real(spec["Config"])
        made["CredentialSpec"] = {**spec, "Config": ids.get(("config", name), name)}
    return made


def _resources(said: Mapping[str, Any]) -> Body:
    made = {key: dict(value) for key, value in said.items()}
    reservations = made.get("Reservations", {})
    generic = [
        {"DiscreteResourceSpec": {"Kind": kind, "Value": count}}
        for kind, count in reservations.pop("Generic", {}).items()
    ]
    for kind, values in reservations.pop("Named", {}).items():
        generic += [{"NamedResourceSpec": {"Kind": kind, "Value": value}} for value in values]
    if generic:
        reservations["GenericResources"] = generic
    return made


# -- services: API to body ---------------------------------------------------------------------


def service_body(
    spec: Mapping[str, Any], short: Callable[[str], str], names: Mapping[str, str]
) -> Body:
    """A ServiceSpec as a body; `names` gives the real names of networks and configs by id."""
    task = spec.get("TaskTemplate", {})
    body: Body = {
        "Container": _container_body(task.get("ContainerSpec", {}), short, names),
        "Resources": _resources_body(task.get("Resources") or {}),
        "Networks": {
            short(names.get(net["Target"], net["Target"])): {
                key: value for key, value in net.items() if key != "Target"
            }
            for net in (task.get("Networks") or spec.get("Networks") or ())
        },
        "Labels": dict(spec.get("Labels") or {}),
        **_mode_body(spec.get("Mode", {})),
    }
    for key in ("RestartPolicy", "Placement", "LogDriver"):
        if task.get(key):
            body[key] = dict(task[key])
    for key in _ROLL:
        if spec.get(key):
            body[key] = dict(spec[key])
    endpoint = dict(spec.get("EndpointSpec") or {})
    ports = endpoint.pop("Ports", None) or ()
    if endpoint or ports:
        endpoint["Ports"] = {_port_key(port): dict(port) for port in ports}
        body["EndpointSpec"] = endpoint
    return {key: value for key, value in body.items() if value not in ({}, [], None)}


def _port_key(port: Mapping[str, Any]) -> str:
    protocol = port.get("Protocol", "tcp")
    return f"{port.get('PublishedPort', 0)}->{port.get('TargetPort')}/{protocol}"


def _mode_body(mode: Mapping[str, Any]) -> Body:
    for name, key in _MODES.items():
        if key in mode:
            said = mode[key] or {}
            return {"Mode": name, **({"Replicas": 0} if name == "replicated" else {}), **said}
    return {"Mode": "replicated"}


def _container_body(
    spec: Mapping[str, Any], short: Callable[[str], str], names: Mapping[str, str]
) -> Body:
    body: Body = dict(spec)
    body["Env"] = dict(_pair(item) for item in spec.get("Env") or ())
    body["Hosts"] = {
        name: address
        for line in spec.get("Hosts") or ()
        for address, name in [line.split(maxsplit=1)]
    }
    body["Ulimits"] = {
        item["Name"]: {"Soft": item.get("Soft", 0), "Hard": item.get("Hard", 0)}
        for item in spec.get("Ulimits") or ()
    }
    body["Mounts"] = {
        mount["Target"]: {
            **mount,
            **({"Source": short(mount["Source"])} if mount.get("Type") == "volume" else {}),
        }
        for mount in spec.get("Mounts") or ()
    }
    for kind, single in _FILES:
        body[kind] = {
            file["File"]["Name"]: {
                "Name": short(file[f"{single}Name"]),
                "File": file["File"]["Name"],
                "UID": file["File"].get("UID", "0"),
                "GID": file["File"].get("GID", "0"),
                "Mode": file["File"].get("Mode", 0),
            }
            for file in spec.get(kind) or ()
            if file.get("File")
        }
    body["Privileges"] = {k: v for k, v in (spec.get("Privileges") or {}).items() if v is not None}
    credential = body["Privileges"].get("CredentialSpec")
    if credential and credential.get("Config"):
        said = {**credential, "Config": short(names.get(credential["Config"], ""))}
        body["Privileges"]["CredentialSpec"] = said
    return {key: value for key, value in body.items() if value not in ({}, [], None)}


def _pair(item: str) -> tuple[str, str]:
    key, _, value = item.partition("=")
    return key, value


def _resources_body(said: Mapping[str, Any]) -> Body:
    made = {key: dict(value or {}) for key, value in said.items()}
    reservations = made.get("Reservations", {})
    for item in reservations.pop("GenericResources", None) or ():
        counted, named = item.get("DiscreteResourceSpec"), item.get("NamedResourceSpec")
        if counted:
            reservations.setdefault("Generic", {})[counted["Kind"]] = counted["Value"]
        if named:
            kinds = reservations.setdefault("Named", {})
            kinds.setdefault(named["Kind"], []).append(named["Value"])
    return {key: value for key, value in made.items() if value}


# -- networks and volumes ------------------------------------------------------------------------


def network_request(body: Mapping[str, Any]) -> Body:
    """A network's body as the API takes it, without its name."""
    options = {k: v for k, v in body.get("Options", {}).items() if k != "orch.driver"}
    if body.get("Encrypted"):
        options["encrypted"] = ""
    made: Body = {
        "Driver": body.get("Driver", "overlay"),
        "Options": options,
        "Labels": dict(body.get("Labels", {})),
        "CheckDuplicate": True,
    }
    for key in ("Internal", "Attachable", "EnableIPv6"):
        made[key] = bool(body.get(key))
    if body.get("IPAM"):
        made["IPAM"] = {"Driver": "default", "Config": [dict(pool) for pool in body["IPAM"]]}
    return made


def network_body(seen: Mapping[str, Any], wanted: Mapping[str, Any]) -> Body:
    """A network as a body; what the engine chose itself is shown only where it was asked for."""
    options = dict(seen.get("Options") or {})
    encrypted = "encrypted" in options
    options.pop("encrypted", None)
    options = {
        key: value
        for key, value in options.items()
        if not key.startswith("com.docker.network.driver.overlay.vxlanid")
    }
    if "orch.driver" in wanted.get("Options", {}):
        options["orch.driver"] = wanted["Options"]["orch.driver"]
    body: Body = {
        "Driver": seen.get("Driver", ""),
        "Options": options,
        "Labels": dict(seen.get("Labels") or {}),
    }
    for key in ("Internal", "Attachable", "EnableIPv6"):
        if seen.get(key) or key in wanted:
            body[key] = bool(seen.get(key))
    if encrypted or "Encrypted" in wanted:
        body["Encrypted"] = encrypted
    if "IPAM" in wanted:
        pools = (seen.get("IPAM") or {}).get("Config") or []
        body["IPAM"] = [
            {k: v for k, v in pool.items() if k in ask}
            for pool, ask in zip(pools, wanted["IPAM"], strict=False)
        ]
    return {key: value for key, value in body.items() if value not in ({}, [])}


def volume_body(seen: Mapping[str, Any]) -> Body:
    """A volume as a body."""
    body = {
        "Driver": seen.get("Driver", ""),
        "Options": dict(seen.get("Options") or {}),
        "Labels": dict(seen.get("Labels") or {}),
    }
    return {key: value for key, value in body.items() if value not in ({}, [])}


# -- what the engine leaves out ------------------------------------------------------------------


def filled(live: Any, wanted: Any) -> Any:
    """The live value with what the engine leaves out because it is empty, where it is asked for."""
    if not isinstance(live, dict) or not isinstance(wanted, dict):
        return live
    made = {key: filled(value, wanted.get(key)) for key, value in live.items()}
    for key, value in wanted.items():
        if key not in made and _is_empty(value):
            made[key] = value
    return made


def _is_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_empty(item) for item in value.values())
    return not value
