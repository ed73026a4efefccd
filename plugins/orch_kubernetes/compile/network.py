"""Names and addresses of services inside the application, and their ports to the outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.compile.view import ListView
from orch.types import Consequence, Fidelity
from orch_kubernetes import names
from orch_kubernetes.compile.objects import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import Read, View
    from orch.spec.application import Service
    from orch.spec.container import Port
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope

BALANCED = "a Service of its own, open to the outside"
NO_BALANCER = "a load balancer has to be there; without one it is open on a port of the nodes alone"
ONE_PROTOCOL = "before 1.24 a load balancer has ports of one protocol"
ALIAS = "a Service of that name"
POD_NAME = "statefulset.kubernetes.io/pod-name"
HEADLESS = "None"


def compile_addresses(scope: Scope, name: str, view: View, workload: str) -> None:
    """The name of a service inside the application, of its replicas, and its published ports."""
    _Addresses(scope, name, view, workload).compile()


class _Addresses:
    def __init__(self, scope: Scope, name: str, view: View, workload: str) -> None:
        self._scope, self._make, self._name, self._view = scope, scope.make, name, view
        self._workload, self._called = workload, names.object_name(name)

    def compile(self) -> None:
        ports = list(_ports(self._view))
        mode = self._view.deploy.endpoint_mode
        resource = self._begin("address", self._called)
        headless = mode.value == "dnsrr" or not ports
        if mode.value == "dnsrr":
            resource.put("spec.clusterIP", mode, value=HEADLESS)
        elif headless:
            resource.set("spec.clusterIP", HEADLESS)
        if mode.authored and mode.value == "vip":
            resource.put("spec.type", mode, value="ClusterIP")
        for port in ports:
            self._inside(resource, port)
        self._published([port for port in ports if _is_published(port)])
        if self._workload == "StatefulSet" and _has_own(self._scope, self._view):
            self._replicas(ports)

    def _begin(self, id_: str, called: str) -> ResourceBuilder:
        resource = self._scope.begin("v1", "Service", f"{id_}/{self._name}", called)
        selector = names.selector(self._scope.app.name, self._name)
        resource.set(("metadata", "labels", names.SERVICE), selector[names.SERVICE])
        resource.set("spec.selector", selector)
        return resource

    def _inside(self, resource: ResourceBuilder, port: View) -> None:
        self._write(resource, port, port.target)
        if port.value.mode == "host":
            if port.value.published is None:
                told = "nothing of it is published"
                self._make.lose(port.mode, told, "", Consequence.COSMETIC)
                self._make.lose(port.host_ip, told, "", Consequence.COSMETIC)
        elif not _is_published(port):
            told = "nothing of it is published"
            if port.mode.authored:
                resource.rate(("spec", "ports"), port.mode, Fidelity.NATIVE, "")
            self._make.lose(port.host_ip, told, "", Consequence.COSMETIC)

    def _write(self, resource: ResourceBuilder, port: View, number: Read) -> None:
        value = port.value
        base: FieldPath = ("spec", "ports")
        standing = resource.body["spec"].get("ports", [])
        protocol = value.protocol.upper()
        twice = [
            index
            for index, one in enumerate(standing)
            if (one["port"], one["protocol"]) == (number.value, protocol)
        ]
        path = (*base, twice[0] if twice else count(resource, base))
        said = names.port_name(value.name) if value.name else f"{value.protocol}-{number.value}"
        if not twice:
            resource.set((*path, "name"), said)
        resource.put(
            (*path, "name"), port.name, value=standing[twice[0]]["name"] if twice else said
        )
        resource.put((*path, "port"), number)
        resource.put((*path, "targetPort"), port.target)
        resource.put((*path, "protocol"), port.protocol, value=protocol)
        if value.app_protocol is not None:
            resource.put((*path, "appProtocol"), port.app_protocol)

    def _published(self, ports: list[View]) -> None:
        if not ports:
            return
        flavour = self._scope.facts.flavour
        resource = self._begin("published", f"{self._called}-published")
        resource.set("spec.type", "LoadBalancer")
        for key, text in flavour.load_balancer_annotations.items():
            resource.set(("metadata", "annotations", key), text)
        balanced = self._scope.facts.load_balancer
        outcome = Fidelity.EMULATED if balanced else Fidelity.DEGRADED
        reason = BALANCED if balanced else NO_BALANCER
        first = ports[0].value.protocol
        for port in ports:
            self._write(resource, port, port.published)
            if port.value.protocol != first and not self._scope.facts.has("mixed_protocols"):
                mend = "publish it by mode: host, or use a later cluster"
                self._make.reject(port.published, ONE_PROTOCOL, mend)
            last = ("spec", "ports", len(resource.body["spec"]["ports"]) - 1)
            resource.rate((*last, "port"), port.published, outcome, reason)
            resource.rate((*last, "port"), port.mode, outcome, reason)
            self._make.lose(
                port.host_ip,
                "a load balancer listens on an address of its own",
                "keep it inside, or guard it with a firewall",
                Consequence.SECURITY,
            )

    def _replicas(self, ports: list[View]) -> None:
        """`web-0` inside the application, as the spec promises it for replicas of their own."""
        service = self._view.value
        most = service.autoscale.max if service.autoscale else service.deploy.replicas
        for index in range(most):
            called = f"{self._called}-{index}"
            id_ = f"address/{self._name}-{index}"
            if f"{self._name}-{index}" in self._scope.app.services:
                continue
            resource = self._scope.begin("v1", "Service", id_, called)
            resource.set("spec.clusterIP", HEADLESS)
            resource.set("spec.selector", {POD_NAME: called})
            resource.set("spec.publishNotReadyAddresses", value=True)
            for at, port in enumerate(
                {(p.value.target, p.value.protocol): p for p in ports}.values()
            ):
                said: dict[str, Any] = {
                    "name": f"{port.value.protocol}-{port.value.target}",
                    "port": port.value.target,
                    "protocol": port.value.protocol.upper(),
                }
                resource.set(("spec", "ports", at), said)


def _ports(view: View) -> Iterator[View]:
    """Ports of a service and of what runs beside it: they share one address."""
    for part in (view, *(sidecar for _, sidecar in view.sidecars.items())):
        yield from part.ports if isinstance(part.ports, ListView) else ()


def _is_published(port: View) -> bool:
    return port.value.published is not None and port.value.mode == "ingress"


def _has_own(scope: Scope, view: View) -> bool:
    service = view.value
    return service.deploy.ordered or any(
        scope.app.volumes[mount.source].per_replica
        for mount in service.volumes
        if mount.type == "volume" and mount.source in scope.app.volumes
    )


def ports_of(service: Service) -> list[Port]:
    """Ports of a service and of what runs beside it."""
    return [*service.ports, *(p for side in service.sidecars.values() for p in side.ports)]


def is_published(service: Service) -> bool:
    """Whether a load balancer is asked for it."""
    return any(port.published is not None and port.mode == "ingress" for port in ports_of(service))


def port_number(scope: Scope, service: str, port: int | str) -> int | str:
    """A port of a service by its number, whichever way it is said."""
    unit = scope.app.services.get(service)
    found = {one.name: one.target for one in ports_of(unit)} if unit is not None else {}
    return found.get(port, port) if isinstance(port, str) else port


# -- aliases -----------------------------------------------------------------------------------


def compile_aliases(scope: Scope) -> None:
    """A Service for each further name; the label that it selects by is on the pods."""
    known: dict[str, ResourceBuilder] = {}
    for units in (scope.make.app.services, scope.make.app.jobs):
        for name, view in units.items():
            for _, attachment in view.networks.items():  # noqa: PERF102  (a view)
                for alias in attachment.value.aliases:
                    _alias(scope, known, name, view, alias, attachment.aliases)


def _alias(
    scope: Scope,
    known: dict[str, ResourceBuilder],
    name: str,
    view: View,
    alias: str,
    read: Read,
) -> None:
    called = names.object_name(alias)
    told: dict[str, Any] = {"outcome": Fidelity.EMULATED, "reason": ALIAS}
    if alias == name:
        scope.make.lose(read, "it is its own name", "", Consequence.COSMETIC)
        return
    if alias not in known:
        resource = scope.begin("v1", "Service", f"alias/{alias}", called)
        resource.set("spec.selector", names.selector(scope.app.name, name))
        known[alias] = resource
    resource = known[alias]
    if resource.body["spec"]["selector"] != names.selector(scope.app.name, name):
        scope.make.lose(read, f"another service is called {alias} already", "choose another name")
        return
    resource.put("metadata.name", read, value=called, **told)
    if hasattr(view.value, "ports") and any(True for _ in _ports(view)):
        ports = {(p.value.target, p.value.protocol): p.value for p in _ports(view)}
        resource.set(
            "spec.ports",
            [
                {"name": f"{kind}-{target}", "port": target, "protocol": kind.upper()}
                for target, kind in ports
            ],
        )
    else:
        resource.set("spec.clusterIP", HEADLESS)
