"""Everything that is referred to by name is there, and nothing waits for itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

from orch.load.hints import nearest
from orch.spec.application import Backends
from orch.spec.base import NAME_PATTERN
from orch.spec.container import SecretRef
from orch.spec.shape import shape_at
from orch.types import Diagnostic, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from orch.spec.application import Application, Route
    from orch.spec.container import Container, PodFields, Port
    from orch.types import FieldPath, Key

_PLATFORMS: tuple[str, ...] = get_args(Backends)
_NAME = re.compile(NAME_PATTERN)
_COMPLETED, _HEALTHY = "service_completed_successfully", "service_healthy"


def check(app: Application, left_out: Mapping[str, Collection[str]]) -> Iterator[Diagnostic]:
    """Faults of references; `left_out` gives the profiles of what was left out."""
    yield from _shared_names(app)
    for section in ("services", "jobs"):
        for name, part in getattr(app, section).items():
            path: FieldPath = (section, name)
            yield from _containers(app, part, path)
            yield from _networks(app, part, path)
            yield from _dependencies(app, part, path, left_out)
            yield from _affinities(app, part, path)
            yield from _overrides(part, path)
    for number, route in enumerate(app.routes):
        yield from _route(app, route, ("routes", number))
    yield from _policies(app)
    yield from _registries(app)
    yield from _fidelity(app)
    yield from _cycles(app)


def unknown(noun: str, name: str, known: Collection[str], path: FieldPath) -> Diagnostic:
    """The fault of a name that nothing has."""
    near = nearest(name, known)
    if near:
        mend = f"did you mean {near}?"
    elif known:
        mend = f"choose one of {', '.join(sorted(set(known))[:8])}, or add it"
    else:
        mend = f"add it to `{noun}s` at the top"
    return Diagnostic(f"there is no {noun} {name!r}", path, mend=mend)


def _shared_names(app: Application) -> Iterator[Diagnostic]:
    for name in app.jobs:
        if name in app.services:
            fault = f"a service is named {name!r} too, and both share their names"
            yield Diagnostic(fault, ("jobs", name), mend="rename one of them")
    for section in ("services", "jobs"):
        for name, part in getattr(app, section).items():
            if part.formerly in app.services or part.formerly in app.jobs:
                fault = f"{part.formerly!r} still exists"
                yield Diagnostic(fault, (section, name, "formerly"), mend="remove one of the two")


# -- containers ----------------------------------------------------------------------------


def containers(part: Container, path: FieldPath) -> Iterator[tuple[Container, FieldPath]]:
    """A service's or job's main container, what runs before it and what runs beside it."""
    yield part, path
    for number, init in enumerate(getattr(part, "pre_start", ())):
        yield init, (*path, "pre_start", number)
    for name, sidecar in getattr(part, "sidecars", {}).items():
        yield sidecar, (*path, "sidecars", name)


def _containers(app: Application, part: PodFields, path: FieldPath) -> Iterator[Diagnostic]:
    ports = ports_of(part)
    for container, here in containers(part, path):
        yield from _mounts(app, container, here)
        yield from _files(app, container, here)
        yield from _environment(app, container, here)
        yield from _probes(container, ports, here)
    spec = part.credential_spec
    if spec is not None and spec.config is not None and spec.config not in app.configs:
        yield unknown("config", spec.config, app.configs, (*path, "credential_spec", "config"))


def _mounts(app: Application, container: Container, path: FieldPath) -> Iterator[Diagnostic]:
    for number, mount in enumerate(container.volumes):
        if mount.type == "volume" and mount.source not in app.volumes:
            here = (*path, "volumes", number, "source")
            yield unknown("volume", str(mount.source), app.volumes, here)


def _files(app: Application, container: Container, path: FieldPath) -> Iterator[Diagnostic]:
    for number, file in enumerate(container.configs):
        if file.source not in app.configs:
            yield unknown("config", file.source, app.configs, (*path, "configs", number, "source"))
    for number, file in enumerate(container.secrets):
        if file.source not in app.secrets:
            yield unknown("secret", file.source, app.secrets, (*path, "secrets", number, "source"))


def _environment(app: Application, container: Container, path: FieldPath) -> Iterator[Diagnostic]:
    for key, value in container.environment.items():
        if type(value) is SecretRef and value.secret not in app.secrets:
            here = (*path, "environment", key, "secret")
            yield unknown("secret", value.secret, app.secrets, here)


def ports_of(part: Any) -> list[Port]:
    """Ports of a service and what runs beside it; they share one network."""
    ports = list(getattr(part, "ports", ()))
    for sidecar in getattr(part, "sidecars", {}).values():
        ports += sidecar.ports
    return ports


def _probes(container: Any, ports: list[Port], path: FieldPath) -> Iterator[Diagnostic]:
    probes = getattr(container, "probes", None)
    if probes is None:
        return
    for kind in ("startup", "readiness", "liveness"):
        probe = getattr(probes, kind)
        for check_name in ("http", "tcp", "grpc") if probe is not None else ():
            used = getattr(probe, check_name)
            if used is not None and isinstance(used.port, str):
                here = (*path, "probes", kind, check_name, "port")
                yield from _port_name(used.port, ports, here)


def _port_name(name: str, ports: list[Port], path: FieldPath) -> Iterator[Diagnostic]:
    names = [port.name for port in ports if port.name]
    if name not in names:
        near = nearest(name, names)
        known = f"the names of its ports are {', '.join(names)}" if names else "name one of `ports`"
        mend = f"did you mean {near}?" if near else known
        if name.isdigit():
            mend = f"write {name} without quotes"
        yield Diagnostic(f"there is no port named {name!r}", path, mend=mend)


def _networks(app: Application, part: PodFields, path: FieldPath) -> Iterator[Diagnostic]:
    for name in part.networks:
        if name not in app.networks:
            yield unknown("network", name, app.networks, (*path, "networks", name))
    if part.networks and part.network_mode != "app":
        fault = f"with network_mode {part.network_mode} there are no networks to join"
        yield Diagnostic(fault, (*path, "networks"), mend="remove `networks` or `network_mode`")


def _affinities(app: Application, part: Any, path: FieldPath) -> Iterator[Diagnostic]:
    deploy = getattr(part, "deploy", None)
    placement = part.placement if deploy is None else deploy.placement
    if placement is None:
        return
    below: tuple[Key, ...] = ("placement",) if deploy is None else ("deploy", "placement")
    for kind in ("affinity", "anti_affinity"):
        for number, wish in enumerate(getattr(placement, kind)):
            if wish.service not in app.services and wish.service not in app.jobs:
                here = (*path, *below, kind, number, "service")
                yield unknown("service", wish.service, [*app.services, *app.jobs], here)


def _overrides(part: Any, path: FieldPath) -> Iterator[Diagnostic]:
    for platform in part.overrides:
        if platform in _PLATFORMS:
            continue
        near = nearest(platform, _PLATFORMS)
        yield Diagnostic(
            f"no platform that orch knows is called {platform!r}",
            (*path, "overrides", platform),
            mend=f"did you mean {near}?" if near else f"known are {', '.join(_PLATFORMS)}",
            severity=Severity.ERROR if near else Severity.WARNING,
        )


# -- depends_on ----------------------------------------------------------------------------


def _dependencies(
    app: Application, part: PodFields, path: FieldPath, left_out: Mapping[str, Collection[str]]
) -> Iterator[Diagnostic]:
    for name, wanted in part.depends_on.items():
        here = (*path, "depends_on", name)
        if name in app.services:
            yield from _of_service(app, name, wanted.condition, here)
        elif name in app.jobs:
            yield from _of_job(app, name, wanted.condition, here)
        elif "/" in name:
            yield from _of_other_app(name, here)
        elif name in left_out:
            profiles = ", ".join(left_out[name])
            mend = f"choose it with --profile {next(iter(left_out[name]))}, or say required: false"
            fault = f"{name!r} is left out, since it belongs to the profile {profiles}"
            yield Diagnostic(fault, here, mend=mend)
        elif wanted.required:
            yield unknown("service", name, [*app.services, *app.jobs], here)
        else:
            lost = unknown("service", name, [*app.services, *app.jobs], here)
            yield Diagnostic(lost.fault, here, mend=lost.mend, severity=Severity.WARNING)


def _of_service(
    app: Application, name: str, condition: str, path: FieldPath
) -> Iterator[Diagnostic]:
    probes = app.services[name].probes
    if condition == _COMPLETED:
        fault = f"{name!r} is a service and never completes"
        yield Diagnostic(fault, (*path, "condition"), mend=f"move {name!r} below `jobs`")
    elif condition == _HEALTHY and (
        probes is None or (probes.readiness is None and probes.liveness is None)
    ):
        yield Diagnostic(
            f"{name!r} has no probe, so it counts as healthy once it has started",
            (*path, "condition"),
            mend=f"give {name!r} a readiness probe",
            severity=Severity.WARNING,
        )


def _of_job(app: Application, name: str, condition: str, path: FieldPath) -> Iterator[Diagnostic]:
    if condition == _HEALTHY:
        fault = f"{name!r} is a job and has no health"
        yield Diagnostic(fault, (*path, "condition"), mend=f"write {_COMPLETED}")
    elif app.jobs[name].schedule is not None:
        fault = f"{name!r} runs by its schedule, so waiting for it would have no end"
        yield Diagnostic(fault, path, mend="depend on a job without a schedule")


def _of_other_app(name: str, path: FieldPath) -> Iterator[Diagnostic]:
    if not all(_NAME.fullmatch(part) for part in name.split("/")) or name.count("/") > 1:
        yield Diagnostic(
            f"{name!r} is not the service of another app", path, mend="write app/service"
        )


def _cycles(app: Application) -> Iterator[Diagnostic]:
    parts: dict[str, tuple[str, PodFields]] = {
        name: (section, part)
        for section in ("services", "jobs")
        for name, part in getattr(app, section).items()
    }
    waits = {name: [n for n in p.depends_on if n in parts] for name, (_, p) in parts.items()}
    done: set[str] = set()
    for start in waits:
        for cycle in _cycles_from(start, waits, done):
            path = (parts[cycle[0]][0], cycle[0], "depends_on", cycle[1])
            fault = f"these wait for each other: {' → '.join(cycle)}"
            yield Diagnostic(fault, path, mend="remove one of the dependencies")


def _cycles_from(
    start: str, waits: Mapping[str, list[str]], done: set[str]
) -> Iterator[tuple[str, ...]]:
    """Depth first without recursion; `trail` is the way from the start to where we are."""
    trail: dict[str, Iterator[str]] = {}
    if start not in done:
        trail[start] = iter(waits[start])
    while trail:
        here = next(reversed(trail))
        onward = next(trail[here], None)
        if onward is None:
            done.add(here)
            del trail[here]
        elif onward in trail:
            names = list(trail)
            yield (*names[names.index(onward) :], onward)
        elif onward not in done:
            trail[onward] = iter(waits[onward])


# -- the application's own lists -----------------------------------------------------------


def _route(app: Application, route: Route, path: FieldPath) -> Iterator[Diagnostic]:
    service = app.services.get(route.service)
    if service is None:
        yield unknown("service", route.service, app.services, (*path, "service"))
    else:
        yield from _port(route.port, ports_of(service), (*path, "port"))
    if route.tls is not None:
        for name in ("cert", "key"):
            given = getattr(route.tls, name)
            if given is not None and given.secret not in app.secrets:
                here = (*path, "tls", name, "secret")
                yield unknown("secret", given.secret, app.secrets, here)


def _port(wanted: int | str, ports: list[Port], path: FieldPath) -> Iterator[Diagnostic]:
    if isinstance(wanted, str):
        yield from _port_name(wanted, ports, path)
    elif wanted not in (known := [port.target for port in ports]):
        mend = f"its ports are {', '.join(map(str, known))}" if known else "add it to `ports`"
        yield Diagnostic(f"the service has no port {wanted}", path, mend=mend)


def _policies(app: Application) -> Iterator[Diagnostic]:
    for number, policy in enumerate(app.policies):
        path: FieldPath = ("policies", number)
        peers = [(policy.to, (*path, "to"))]
        peers += [(peer, (*path, "from", index)) for index, peer in enumerate(policy.from_)]
        for peer, here in peers:
            part = app.services.get(peer.service) or app.jobs.get(peer.service)
            if part is None:
                known = [*app.services, *app.jobs]
                yield unknown("service", peer.service, known, (*here, "service"))
            elif isinstance(peer.port, str):
                yield from _port_name(peer.port, ports_of(part), (*here, "port"))


def _registries(app: Application) -> Iterator[Diagnostic]:
    for host, registry in app.registries.items():
        if registry.password.secret not in app.secrets:
            here = ("registries", host, "password", "secret")
            yield unknown("secret", registry.password.secret, app.secrets, here)


def _fidelity(app: Application) -> Iterator[Diagnostic]:
    for text in app.fidelity:
        keys = tuple(re.split(r"\.|\[\d*\]\.?", text.rstrip("]")))
        if shape_at(tuple(key for key in keys if key)) is None and "*" not in text:
            fault = f"there is no field {text!r}"
            mend = "write a path such as services.web.deploy.priority"
            yield Diagnostic(fault, ("fidelity", text), mend=mend)
