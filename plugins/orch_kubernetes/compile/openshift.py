"""OpenShift's Routes: one a host and path, with its certificate in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.compile.tokens import value_token
from orch.types import Fidelity
from orch_kubernetes import names
from orch_kubernetes.compile.encryption import by_host, encrypted_of
from orch_kubernetes.compile.network import port_number

if TYPE_CHECKING:
    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import View
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope

MOST_BACKENDS, HEAVIEST = 4, 256
ONE_HOST = "a Route without a host answers at one that the cluster makes up, and at no other"
WILDCARD = "the cluster's router has to admit wildcards, which it does not by itself"
ADMIT = "set spec.routeAdmission.wildcardPolicy of the IngressController to WildcardsAllowed"
CERT_MANAGER = "cert-manager has to be there, with its addition for routes"
ISSUER = "cert-manager.io/issuer-name"


class OpenShiftRoutes:
    """Writes all routes."""

    def __init__(self, scope: Scope, routes: list[View]) -> None:
        self._scope, self._make, self._routes = scope, scope.make, routes

    def compile(self) -> None:
        """One Route for each host and path."""
        found: dict[tuple[str, str], list[View]] = {}
        for route in self._routes:
            found.setdefault((route.value.host or "", route.value.path), []).append(route)
        encrypted = {
            host: encrypted_of(self._make, routes) for host, routes in by_host(self._routes).items()
        }
        for (host, path), routes in found.items():
            self._one(host, path, routes, encrypted[host])

    def _one(self, host: str, path: str, routes: list[View], encrypted: list[View]) -> None:
        said = f"{host or names.NO_HOST}{path}".strip("/")
        resource = self._scope.begin(
            "route.openshift.io/v1", "Route", f"route/{said}", names.object_name(said)
        )
        first = routes[0]
        if len(routes) > MOST_BACKENDS:
            self._make.reject(
                routes[MOST_BACKENDS].service, "a Route has four backends", "remove some"
            )
        resource.set("spec.to.kind", "Service")
        port = port_number(self._scope, first.value.service, first.value.port)
        if not host:
            self._make.default(("routes", "*", "host"), Fidelity.DEGRADED, ONE_HOST)
        for index, route in enumerate(routes[:MOST_BACKENDS]):
            self._host(resource, route)
            resource.put("spec.path", route.field("path"))
            self._backend(resource, index, route)
            own = port_number(self._scope, route.value.service, route.value.port)
            resource.put("spec.port.targetPort", route.port, value=port)
            if own != port:
                self._make.reject(route.port, "backends of a Route have one port", "use one port")
        if encrypted:
            self._tls(resource, encrypted)

    def _host(self, resource: ResourceBuilder, route: View) -> None:
        """A Route names one host of those that a wildcard means, and its policy the rest."""
        if not (route.value.host or "").startswith("*."):
            resource.put("spec.host", route.host)
            return
        one = f"wildcard.{route.value.host.removeprefix('*.')}"
        resource.put(
            "spec.host",
            route.host,
            value=one,
            outcome=Fidelity.EMULATED,
            reason=WILDCARD,
            mend=ADMIT,
        )
        resource.set("spec.wildcardPolicy", "Subdomain")

    def _backend(self, resource: ResourceBuilder, index: int, route: View) -> None:
        path: FieldPath = ("spec", "to") if index == 0 else ("spec", "alternateBackends", index - 1)
        resource.set((*path, "kind"), "Service")
        name = names.object_name(route.value.service)
        resource.put((*path, "name"), route.service, value=name)
        self._scope.lead(route.value.service, resource)
        weight = route.value.weight
        if weight is None:
            return
        how: dict[str, Any] = {}
        if weight > HEAVIEST:
            how = {"outcome": Fidelity.DEGRADED, "reason": f"weights go up to {HEAVIEST}"}
        resource.put((*path, "weight"), route.weight, value=min(weight, HEAVIEST), **how)

    def _tls(self, resource: ResourceBuilder, encrypted: list[View]) -> None:
        value = encrypted[0].value.tls
        path = ("spec", "tls")
        resource.set((*path, "termination"), "edge")
        resource.set((*path, "insecureEdgeTerminationPolicy"), "Redirect")
        if value.cert is not None:
            for field, key in (("cert", "certificate"), ("key", "key")):
                secret = getattr(value, field).secret
                resource.secret_version(secret)
                resource.secret_value(secret)
                reads = (route.tls.field(field).secret for route in encrypted)
                resource.put((*path, key), *reads, value=value_token(secret))
        elif value.acme:
            self._issued(resource, encrypted)
        else:
            self._held(resource, encrypted)

    def _issued(self, resource: ResourceBuilder, encrypted: list[View]) -> None:
        resource.set(("metadata", "annotations", "cert-manager.io/issuer-kind"), "ClusterIssuer")
        resource.put(
            ("metadata", "annotations", ISSUER),
            *(route.tls.acme for route in encrypted),
            value=self._scope.facts.issuer,
            outcome=Fidelity.EMULATED,
            reason=CERT_MANAGER,
        )

    def _held(self, resource: ResourceBuilder, encrypted: list[View]) -> None:
        reads = [route.tls.certificate for route in encrypted]
        if names.is_subdomain(reads[0].value):
            resource.put(("spec", "tls", "externalCertificate", "name"), *reads)
            return
        for read in reads:
            self._make.reject(read, "it is no name of a Secret", "name a Secret that holds both")
