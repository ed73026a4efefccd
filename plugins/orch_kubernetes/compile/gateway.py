"""Routes on a Gateway: HTTPRoutes, and the listeners of the Gateway that is made for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orch.types import Consequence
from orch_kubernetes import names
from orch_kubernetes.compile.encryption import EncryptedRoutes, by_host, encrypted_of

if TYPE_CHECKING:
    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import View
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope

API = "gateway.networking.k8s.io/v1"
HELD_THERE = (
    "the Gateway that is named holds the certificates, and says what becomes of requests that come "
    "unencrypted"
)
MAP = re.compile(
    r"(projects/[^/]+/locations/global/)?certificateMaps/(?P<name>[a-z]([a-z0-9-]*[a-z0-9])?)"
)
ONE_MAP = "a Gateway has one certificate map, for all its hosts"
MAP_OR_SECRETS = "a Gateway of this cluster takes one certificate map or Secrets, not both"
MOST_LISTENERS, MOST_RULES, MOST_BACKENDS = 64, 16, 16
"""What one Gateway, one HTTPRoute and one of its rules hold."""
PLAIN, ENCRYPTED = "http", "https"
"""The listener of what is not encrypted, and that of all hosts of a certificate map."""


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
        resource = self._scope.begin(API, "Gateway", names.GATEWAY_ID, app)
        resource.set("spec.gatewayClassName", facts.gateway_class or "gateway")
        listener: dict[str, Any] = {"name": PLAIN, "port": 80, "protocol": "HTTP"}
        resource.set("spec.listeners", [listener])
        return resource

    def _listen(self, gateway: ResourceBuilder, host: str, encrypted: list[View]) -> str:
        """A listener for a host; gives its name."""
        path = ("spec", "listeners", len(gateway.body["spec"]["listeners"]))
        called = names.object_name(f"https-{host or 'any'}")
        gateway.set((*path, "name"), called)
        gateway.set((*path, "port"), 443)
        gateway.set((*path, "protocol"), "HTTPS")
        if host:
            gateway.set((*path, "hostname"), host)
        gateway.set((*path, "tls", "mode"), "Terminate")
        held = (*path, "tls", "certificateRefs", 0, "name")
        self._certificate(encrypted, gateway, held, host)
        return called

    def _listen_by_map(self, gateway: ResourceBuilder, encrypted: list[View], name: str) -> str:
        """A certificate map hangs on the Gateway itself, and its listener names no certificate."""
        listeners = gateway.body["spec"]["listeners"]
        listener = {"name": ENCRYPTED, "port": 443, "protocol": "HTTPS"}
        if listener not in listeners:
            gateway.set(("spec", "listeners", len(listeners)), listener)
        annotation = self._scope.facts.flavour.certificate_map
        reads = (route.tls.certificate for route in encrypted)
        gateway.put(("metadata", "annotations", annotation), *reads, value=name)
        return ENCRYPTED

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
        """HTTPRoutes of a host, as many as its paths need, on its own listener."""
        encrypted = encrypted_of(self._make, routes)
        section = self._section(gateway, host, encrypted)
        paths = list(dict.fromkeys(route.value.path for route in routes))
        for first in range(0, len(paths), MOST_RULES):
            chosen = paths[first : first + MOST_RULES]
            more = f"/{first // MOST_RULES + 1}" if first else ""
            resource = self._begin(gateway, host, section, more)
            self._rules(resource, [route for route in routes if route.value.path in chosen])
        if section not in ("", PLAIN):
            self._redirect(gateway, host)

    def _begin(
        self, gateway: ResourceBuilder | None, host: str, section: str, more: str = ""
    ) -> ResourceBuilder:
        """An HTTPRoute of a host on a listener; `more` tells it from others of that host."""
        called = names.object_name(f"{host or f'{self._scope.app.name}-any-host'}{more}")
        resource = self._scope.begin(API, "HTTPRoute", f"httproute/{host or '*'}{more}", called)
        if gateway is not None:
            resource.depend(gateway.id)
        parent = {**self._parent(), "sectionName": section} if section else self._parent()
        resource.set("spec.parentRefs", [parent])
        if host:
            resource.set("spec.hostnames", [host])
        return resource

    def _redirect(self, gateway: ResourceBuilder | None, host: str) -> None:
        """What comes unencrypted for a host with a certificate is sent to where it is not."""
        resource = self._begin(gateway, host, PLAIN, "/redirect")
        to = {"scheme": "https", "statusCode": 301}
        rule = {
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "filters": [{"type": "RequestRedirect", "requestRedirect": to}],
        }
        resource.set("spec.rules", [rule])

    def _parent(self) -> dict[str, str]:
        space, _, name = self._scope.facts.gateway.rpartition("/")
        said = {"name": name or names.object_name(self._scope.app.name)}
        return {**said, "namespace": space} if space else said

    def _section(self, gateway: ResourceBuilder | None, host: str, encrypted: list[View]) -> str:
        """The listener that a host hangs on; empty on a Gateway of others."""
        if gateway is None:
            for route in encrypted:
                mend = "give it the certificate"
                self._make.lose(route.tls, HELD_THERE, mend, Consequence.COSMETIC)
            return ""
        if not encrypted or not self._is_known(encrypted) or not self._fits(gateway, encrypted):
            return PLAIN
        self._map = self._map_of(encrypted)
        if self._map:
            return self._listen_by_map(gateway, encrypted, self._map)
        return self._listen(gateway, host, encrypted)

    def _fits(self, gateway: ResourceBuilder, encrypted: list[View]) -> bool:
        """Whether a certificate can be there beside those of other hosts."""
        called = self._map_of(encrypted)
        mend = "let all hosts have their certificate from one"
        if self._map not in (None, called):
            fault = ONE_MAP if self._map and called else MAP_OR_SECRETS
        elif not called and len(gateway.body["spec"]["listeners"]) == MOST_LISTENERS:
            fault = f"a Gateway has {MOST_LISTENERS} listeners, and each encrypted host needs one"
            mend = "give several hosts one, such as *.example.com, or split the application"
        else:
            return True
        for route in encrypted:
            self._make.reject(route.tls, fault, mend)
        return False

    def _rules(self, resource: ResourceBuilder, routes: list[View]) -> None:
        paths: dict[str, list[View]] = {}
        for route in routes:
            paths.setdefault(route.value.path, []).append(route)
        for index, same in enumerate(paths.values()):
            rule = ("spec", "rules", index)
            resource.set((*rule, "matches", 0, "path", "type"), "PathPrefix")
            for number, route in enumerate(same):
                if route.host is not None:
                    resource.put("spec.hostnames", route.host, value=[route.value.host])
                resource.put((*rule, "matches", 0, "path", "value"), route.field("path"))
                if number < MOST_BACKENDS:
                    self._backend(resource, (*rule, "backendRefs", number), route)
                else:
                    told = f"one host and path have {MOST_BACKENDS} backends"
                    self._make.reject(route.service, told, "remove some")

    def _backend(self, resource: ResourceBuilder, path: FieldPath, route: View) -> None:
        name = names.object_name(route.value.service)
        resource.put((*path, "name"), route.service, value=name, **self._led)
        resource.put((*path, "port"), route.port, value=self._port(route))
        resource.put((*path, "weight"), route.weight)
        resource.depend(f"address/{route.value.service}")
        made = self._scope.begun.get(names.GATEWAY_ID)
        self._scope.lead(route.value.service, resource, *([made] if made else ()))
