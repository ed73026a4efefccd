"""Which nodes can take a task, and why others can't: the engine's own filters, with words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.spec.constraint import Constraint, ConstraintFault, parse_constraint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Row = dict[str, Any]
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What the engine takes for the same processor when it compares platforms."""
_COUNTED = (("NanoCPUs", 1e9, "cpus"), ("MemoryBytes", 2**20, "MiB of memory"))


def host_name(node: Row) -> str:
    """What a node calls itself."""
    return str((node.get("Description") or {}).get("Hostname") or node["ID"])


def refusals(node: Row, task: Row) -> Iterator[str]:
    """Why a node can't take tasks of a template, with figures; nothing when it can."""
    host = host_name(node)
    # A leader that was elected just now calls every node unknown until it hears of it.
    if node["Status"]["State"] not in ("ready", "unknown"):
        yield f"{host} is {node['Status']['State']}"
    if node["Spec"].get("Availability", "active") != "active":
        yield f"{host} is set to {node['Spec']['Availability']}"
    for rule, found in _unmet(node, task):
        yield f"{host} does not meet {rule}: it has {found!r}"
    yield from _wrong_platform(host, node, task)
    yield from _shortages(host, node, task)
    yield from _missing_drivers(host, node, task)


# -- constraints -----------------------------------------------------------------------------------


def meets(node: Row, task: Row) -> bool:
    """Whether a node meets the constraints of a template; nothing else is looked at."""
    return next(_unmet(node, task), None) is None


def _unmet(node: Row, task: Row) -> Iterator[tuple[Constraint, str]]:
    for text in (task.get("Placement") or {}).get("Constraints") or ():
        try:
            rule = parse_constraint(text)
        except ConstraintFault:
            continue
        found = attribute(node, rule.attribute)
        # The engine compares without regard to case.
        alike = found.casefold() == rule.values[0].casefold()
        if alike is not (rule.operator == "=="):
            yield rule, found


def attribute(node: Row, name: str) -> str:
    """What a node has under the name that a constraint gives."""
    described = node.get("Description") or {}
    if name.startswith("node.labels."):
        return str((node["Spec"].get("Labels") or {}).get(name.removeprefix("node.labels."), ""))
    if name.startswith("engine.labels."):
        labels = (described.get("Engine") or {}).get("Labels") or {}
        return str(labels.get(name.removeprefix("engine.labels."), ""))
    platform = described.get("Platform") or {}
    known = {
        "node.id": node["ID"],
        "node.hostname": described.get("Hostname", ""),
        "node.ip": (node.get("Status") or {}).get("Addr", ""),
        "node.role": node["Spec"].get("Role", ""),
        "node.platform.arch": platform.get("Architecture", ""),
        "node.platform.os": platform.get("OS", ""),
    }
    return str(known.get(name, ""))


# -- what a node has -------------------------------------------------------------------------------


def _wrong_platform(host: str, node: Row, task: Row) -> Iterator[str]:
    wanted = (task.get("Placement") or {}).get("Platforms") or ()
    has = (node.get("Description") or {}).get("Platform") or {}
    if wanted and not any(_same_platform(one, has) for one in wanted):
        said = " or ".join(_platform_text(one) for one in wanted)
        yield f"{host} is {_platform_text(has)}, and {said} is wanted"


def _same_platform(wanted: Row, has: Row) -> bool:
    system, machine = wanted.get("OS", ""), wanted.get("Architecture", "")
    return system in ("", has.get("OS", "")) and (
        not machine or _MACHINES.get(machine, machine) == _machine_of(has)
    )


def _machine_of(platform: Row) -> str:
    machine = str(platform.get("Architecture", ""))
    return _MACHINES.get(machine, machine)


def _platform_text(platform: Row) -> str:
    return f"{platform.get('OS') or 'any'}/{_machine_of(platform) or 'any'}"


def _shortages(host: str, node: Row, task: Row) -> Iterator[str]:
    asked = (task.get("Resources") or {}).get("Reservations") or {}
    has = (node.get("Description") or {}).get("Resources") or {}
    for key, unit, noun in _COUNTED:
        if asked.get(key, 0) > has.get(key, 0):
            wanted, there = asked[key] / unit, has.get(key, 0) / unit
            yield f"{host} has {there:g} {noun}, and {wanted:g} are reserved"
    wanted_kinds, held = _generic(asked), _generic(has)
    for kind, count in wanted_kinds.items():
        if count > held.get(kind, 0):
            yield f"{host} has {held.get(kind, 0)} of {kind}, and {count} are reserved"


def _generic(resources: Row) -> dict[str, int]:
    """Numbers of generic resources by kind; each named one counts as one."""
    found: dict[str, int] = {}
    for item in resources.get("GenericResources") or ():
        counted, named = item.get("DiscreteResourceSpec"), item.get("NamedResourceSpec")
        spec = counted or named
        found[spec["Kind"]] = found.get(spec["Kind"], 0) + (int(counted["Value"]) if counted else 1)
    return found


def _missing_drivers(host: str, node: Row, task: Row) -> Iterator[str]:
    plugins = ((node.get("Description") or {}).get("Engine") or {}).get("Plugins") or ()
    for kind, name in _drivers(task):
        known = {p["Name"].removesuffix(":latest") for p in plugins if p["Type"] == kind}
        if known and name.removesuffix(":latest") not in known:
            yield f"{host} has no {kind.lower()} driver {name}"


def _drivers(task: Row) -> Iterator[tuple[str, str]]:
    log = (task.get("LogDriver") or {}).get("Name", "")
    if log not in ("", "none"):
        yield "Log", log
    for mount in task["ContainerSpec"].get("Mounts") or ():
        driver = ((mount.get("VolumeOptions") or {}).get("DriverConfig") or {}).get("Name", "")
        if mount.get("Type") == "volume" and driver not in ("", "local"):
            yield "Volume", driver


# -- how many --------------------------------------------------------------------------------------


def is_up(node: Row) -> bool:
    """Whether a node keeps what is placed on it."""
    drained = node["Spec"].get("Availability", "active") == "drain"
    return not drained and (node.get("Status") or {}).get("State") != "down"


def too_many(nodes: Sequence[Row], spec: Row) -> str:
    """Why a service's replicas don't all fit the nodes that can take them, empty when they do."""
    task = spec["TaskTemplate"]
    most = (task.get("Placement") or {}).get("MaxReplicas") or 0
    wanted = (spec.get("Mode", {}).get("Replicated") or {}).get("Replicas") or 0
    able = [host_name(node) for node in nodes if not any(refusals(node, task))]
    if not most or wanted <= most * len(able):
        return ""
    return f"{wanted} replicas are wanted, and {', '.join(sorted(able))} may each have {most}"
