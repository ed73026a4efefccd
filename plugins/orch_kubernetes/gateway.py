"""Routes on a Gateway: HTTPRoutes, and the listeners of the Gateway that is made for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orch.types import Consequence
from orch_kubernetes import names
from orch_kubernetes.encryption import EncryptedRoutes, by_host, encrypted_of

if TYPE_CHECKING:
    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import View
    from orch_kubernetes.objects import Scope

API = "gateway.networking.k8s.io/v1"
HELD_THERE = "the Gateway that is named holds the certificates"
MAP = re.compile(
    r"(projects/[^/]+/locations/global/)?certificateMaps/(?P<name>[a-z]([a-z0-9-]*[a-z0-9])?)"
)
ONE_MAP = "a Gateway has one certificate map, for all its hosts"
MAP_OR_SECRETS = "a Gateway of this cluster takes one certificate map or Secrets, not both"
ENCRYPTED = "https"
"""The listener of all hosts of a certificate map."""


class GatewayRoutes(EncryptedRoutes):
    """One HTTPRoute a host, on a Gateway that is there or that is made."""

    def __init__(self, scope: Scope, routes: list[View]) -> None:
        super().__init__(scope, routes)
        self._map: str | None = None

    def compile(self) -> None:
        """The Gateway, then all hosts."""
        gateway = self._gateway()
        for host, routes in by_host(self._routes).items():
            self._host(host, routes, gateway)

    def _gateway(self) -> ResourceBuilder | None:
        facts = self._scope.facts
        if facts.gateway:
            return None
        app = names.object_name(self._scope.app.name)
        resource = self._scope.begin(API, "Gateway", "gateway/app", app)
        resource.set("spec.gatewayClassName", facts.gateway_class or "gateway")
        listener: dict[str, Any] = {"name": "http", "port": 80, "protocol": "HTTP"}
        resource.set("spec.listeners", [listener])
        return resource

    def _listen(self, gateway: ResourceBuilder, host: str, encrypted: list[View]) -> None:
        listeners = gateway.body["spec"]["listeners"]
        path = ("spec", "listeners", len(listeners))
        gateway.set((*path, "name"), names.object_name(f"https-{host or 'any'}"))
        gateway.set((*path, "port"), 443)
        gateway.set((*path, "protocol"), "HTTPS")
        if host:
            gateway.set((*path, "hostname"), host)
        gateway.set((*path, "tls", "mode"), "Terminate")
        held = (*path, "tls", "certificateRefs", 0, "name")
        self._certificate(encrypted, gateway, held, host)

    def _listen_by_map(self, gateway: ResourceBuilder, encrypted: list[View], name: str) -> None:
        """A certificate map hangs on the Gateway itself, and its listener names no certificate."""
        listeners = gateway.body["spec"]["listeners"]
        listener = {"name": ENCRYPTED, "port": 443, "protocol": "HTTPS"}
        if listener not in listeners:
            gateway.set(("spec", "listeners", len(listeners)), listener)
        annotation = self._scope.facts.flavour.certificate_map
        reads = (route.tls.certificate for route in encrypted)
        gateway.put(("metadata", "annotations", annotation), *reads, value=name)

    def _map_of(self, encrypted: list[View]) -> str:
        """The certificate map that is named, empty for any other certificate."""
        said = encrypted[0].value.tls.certificate or ""
        found = MAP.fullmatch(said) if self._scope.facts.flavour.certificate_map else None
        return found["name"] if found else ""

    def _is_known(self, encrypted: list[View]) -> bool:
        """Whether a certificate that the platform holds can be named here."""
        said = encrypted[0].value.tls.certificate
        if said is None or self._map_of(encrypted) or names.is_subdomain(said):
            return True
        mend = "name a Secret that holds cert and key"
        if self._scope.facts.flavour.certificate_map:
            mend += ", or a certificate map as certificateMaps/NAME"
        self._unknown([route.tls.certificate for route in encrypted], mend)
        return False

    def _host(self, host: str, routes: list[View], gateway: ResourceBuilder | None) -> None:
        called = names.object_name(host or f"{self._scope.app.name}-any-host")
        resource = self._scope.begin(API, "HTTPRoute", f"route/{host or '*'}", called)
        if gateway is not None:
            resource.depend(gateway.id)
        resource.set("spec.parentRefs", [self._parent()])
        for route in routes:
            if route.host is not None:
                resource.put("spec.hostnames", route.host, value=[host])
        encrypted = encrypted_of(self._make, routes)
        if encrypted:
            self._tls(gateway, host, encrypted)
        self._rules(resource, routes)

    def _parent(self) -> dict[str, str]:
        space, _, name = self._scope.facts.gateway.rpartition("/")
        said = {"name": name or names.object_name(self._scope.app.name)}
        return {**said, "namespace": space} if space else said

    def _tls(self, gateway: ResourceBuilder | None, host: str, encrypted: list[View]) -> None:
        if gateway is None:
            for route in encrypted:
                mend = "give it the certificate"
                self._make.lose(route.tls, HELD_THERE, mend, Consequence.COSMETIC)
            return
        if self._is_known(encrypted) and self._fits(encrypted):
            self._map = self._map_of(encrypted)
            if self._map:
                self._listen_by_map(gateway, encrypted, self._map)
            else:
                self._listen(gateway, host, encrypted)

    def _fits(self, encrypted: list[View]) -> bool:
        """Whether a certificate can be there beside those of other hosts."""
        called = self._map_of(encrypted)
        if self._map in (None, called):
            return True
        fault = ONE_MAP if self._map and called else MAP_OR_SECRETS
        for route in encrypted:
            self._make.reject(route.tls, fault, "let all hosts have their certificate from one")
        return False

    def _rules(self, resource: ResourceBuilder, routes: list[View]) -> None:
        paths = list(dict.fromkeys(route.value.path for route in routes))
        for route in routes:
            rule = ("spec", "rules", paths.index(route.value.path))
            if resource.body["spec"].get("rules", [])[rule[2] :] == []:
                resource.set((*rule, "matches", 0, "path", "type"), "PathPrefix")
            resource.put((*rule, "matches", 0, "path", "value"), route.field("path"))
            backends = resource.body["spec"]["rules"][rule[2]].get("backendRefs", [])
            backend = (*rule, "backendRefs", len(backends))
            name = names.object_name(route.value.service)
            resource.put((*backend, "name"), route.service, value=name)
            resource.put((*backend, "port"), route.port, value=self._port(route))
            resource.put((*backend, "weight"), route.weight)
            resource.depend(f"address/{route.value.service}")
