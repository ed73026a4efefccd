"""What can be had only once: published ports, mount points, a host's certificate, one writer."""

from __future__ import annotations

from posixpath import join, normpath
from typing import TYPE_CHECKING

from orch.load.check_names import containers
from orch.types import Diagnostic, render_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.spec.application import Application, Service, Tls, Volume
    from orch.spec.container import Container, Mount, Port
    from orch.types import FieldPath

_ANYWHERE = (None, "", "0.0.0.0", "::")  # noqa: S104  (compared with, never bound)


def check(app: Application) -> Iterator[Diagnostic]:
    """Faults of sharing what can't be shared."""
    yield from _published(app)
    for section in ("services", "jobs"):
        for name, part in getattr(app, section).items():
            for container, path in containers(part, (section, name)):
                yield from _targets(container, path)
    for name, service in app.services.items():
        yield from _own_ports(service, ("services", name))
    yield from _volumes(app)
    yield from _weights(app)
    yield from _certificates(app)


# -- ports ---------------------------------------------------------------------------------


def _ports(service: Service, path: FieldPath) -> Iterator[tuple[Port, FieldPath]]:
    for number, port in enumerate(service.ports):
        yield port, (*path, "ports", number)
    for name, sidecar in service.sidecars.items():
        for number, port in enumerate(sidecar.ports):
            yield port, (*path, "sidecars", name, "ports", number)


def _published(app: Application) -> Iterator[Diagnostic]:
    taken: dict[tuple[int, str], list[tuple[str | None, FieldPath]]] = {}
    for name, service in app.services.items():
        for port, path in _ports(service, ("services", name)):
            if port.published is None:
                continue
            others = taken.setdefault((port.published, port.protocol), [])
            clash = next((p for ip, p in others if _overlap(ip, port.host_ip)), None)
            if clash is not None:
                fault = f"the port {port.published}/{port.protocol} is published already"
                mend = f"choose another; {render_path(clash)} has it"
                yield Diagnostic(fault, (*path, "published"), mend=mend)
            others.append((port.host_ip, path))


def _overlap(one: str | None, other: str | None) -> bool:
    return one == other or one in _ANYWHERE or other in _ANYWHERE


def _own_ports(service: Service, path: FieldPath) -> Iterator[Diagnostic]:
    names: dict[str, FieldPath] = {}
    targets: dict[tuple[int, str, int | None], FieldPath] = {}
    for port, here in _ports(service, path):
        if port.name is not None and port.name in names:
            mend = f"{render_path(names[port.name])} has that name"
            fault = f"two ports are named {port.name!r}"
            yield Diagnostic(fault, (*here, "name"), mend=f"rename one; {mend}")
        key = (port.target, port.protocol, port.published)
        if key in targets:
            fault = f"the port {port.target}/{port.protocol} stands here twice"
            yield Diagnostic(
                fault, (*here, "target"), mend=f"remove it or {render_path(targets[key])}"
            )
        names.setdefault(port.name or "", here)
        targets.setdefault(key, here)


# -- mounts and volumes --------------------------------------------------------------------


def _targets(container: Container, path: FieldPath) -> Iterator[Diagnostic]:
    if not (container.volumes or container.configs or container.secrets):
        return
    taken: dict[str, FieldPath] = {}
    yield from _nameless(container, path)
    for target, here in _mounted(container, path):
        if target in taken:
            fault = f"something is mounted at {target} already"
            mend = f"choose another target; {render_path(taken[target])} is there"
            yield Diagnostic(fault, (*here, "target"), mend=mend)
        taken.setdefault(target, here)


def _nameless(container: Container, path: FieldPath) -> Iterator[Diagnostic]:
    """Targets of files that name no file."""
    for kind in ("configs", "secrets"):
        for number, file in enumerate(getattr(container, kind)):
            if file.target.endswith(("/", "/.", "/..")) or file.target in ("", ".", ".."):
                fault = f"{file.target!r} names no file"
                here = (*path, kind, number, "target")
                yield Diagnostic(fault, here, mend="write a path such as /etc/app.toml")


def _mounted(container: Container, path: FieldPath) -> Iterator[tuple[str, FieldPath]]:
    for number, mount in enumerate(container.volumes):
        yield mount.target.rstrip("/") or "/", (*path, "volumes", number)
    for number, file in enumerate(container.configs):
        yield normpath(f"/{file.target.lstrip('/')}"), (*path, "configs", number)
    for number, file in enumerate(container.secrets):
        yield normpath(join("/run/secrets", file.target)), (*path, "secrets", number)


def _volumes(app: Application) -> Iterator[Diagnostic]:
    holders: dict[str, tuple[str, FieldPath]] = {}
    for name, service in app.services.items():
        for container, path in containers(service, ("services", name)):
            for number, mount in enumerate(container.volumes):
                volume = app.volumes.get(mount.source or "") if mount.type == "volume" else None
                if volume is None:
                    continue
                here = (*path, "volumes", number)
                yield from _read_only(mount, volume, here)
                if volume.access == "exclusive" and not volume.per_replica:
                    yield from _one_writer(str(mount.source), name, service, here, holders)


def _read_only(mount: Mount, volume: Volume, path: FieldPath) -> Iterator[Diagnostic]:
    if volume.access == "read-only-many" and not mount.read_only:
        fault = f"the volume {mount.source!r} is read-only-many, and this mount may write"
        yield Diagnostic(fault, path, mend="write read_only: true")


def _one_writer(
    volume: str,
    name: str,
    service: Service,
    path: FieldPath,
    holders: dict[str, tuple[str, FieldPath]],
) -> Iterator[Diagnostic]:
    """An exclusive volume has one replica at a time, also while an update goes on."""
    holder, first = holders.setdefault(volume, (name, path))
    shared = f"write `access: shared` for the volume {volume!r}"
    whole = f"the volume {volume!r} is exclusive"
    if holder != name:
        fault = f"{whole}, and {render_path(first)} mounts it too"
        yield Diagnostic(fault, path, mend=shared)
    elif first != path:
        return
    many = _many(service)
    if many:
        fault = f"{whole}, and {name!r} {many}"
        yield Diagnostic(fault, path, mend=f"{shared}, or `per_replica: true`")
    for key in ("update_config", "rollback_config"):
        pace = getattr(service.deploy, key)
        if pace is not None and pace.order == "start-first" and not many:
            fault = f"{whole}, and with start-first two replicas would hold it"
            here = ("services", name, "deploy", key, "order")
            yield Diagnostic(fault, here, mend=f"write stop-first, or {shared}")


def _many(service: Service) -> str:
    if service.deploy.mode == "global":
        return "runs on every node"
    if service.deploy.replicas > 1:
        return f"has {service.deploy.replicas} replicas"
    if service.autoscale is not None and service.autoscale.max > 1:
        return f"may grow to {service.autoscale.max} replicas"
    return ""


# -- routes --------------------------------------------------------------------------------


def _weights(app: Application) -> Iterator[Diagnostic]:
    first: dict[tuple[str | None, str], tuple[int | None, FieldPath]] = {}
    for number, route in enumerate(app.routes):
        here: FieldPath = ("routes", number)
        weight, other = first.setdefault((route.host, route.path), (route.weight, here))
        if other != here and (weight is None or route.weight is None):
            fault = f"{render_path(other)} has the same host and path"
            yield Diagnostic(fault, here, mend="give both a weight, or change one")


def _certificates(app: Application) -> Iterator[Diagnostic]:
    """Whoever asks names a host before a path, so that no two of its routes can differ in it."""
    first: dict[str, tuple[Tls, FieldPath]] = {}
    for number, route in enumerate(app.routes):
        if route.host is None or route.tls is None:
            continue
        here: FieldPath = ("routes", number, "tls")
        tls, other = first.setdefault(route.host.lower(), (route.tls, here))
        if tls != route.tls:
            fault = f"a host has one certificate, and {render_path(other)} says another"
            yield Diagnostic(fault, here, mend="give both the same tls, or different hosts")
