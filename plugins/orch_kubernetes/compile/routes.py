"""Ways in from outside: HTTPRoutes of a Gateway, Ingresses, or OpenShift's Routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.compile.view import ListView
from orch.types import Consequence
from orch_kubernetes import names
from orch_kubernetes.compile.encryption import EncryptedRoutes, by_host, encrypted_of
from orch_kubernetes.compile.gateway import GatewayRoutes
from orch_kubernetes.compile.openshift import OpenShiftRoutes
from orch_kubernetes.flavours import GATEWAY, INGRESS

if TYPE_CHECKING:
    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import View
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope

UNENCRYPTED = (
    "the controller of Ingresses decides whether what comes unencrypted for an encrypted host is "
    "redirected, served or refused"
)
NO_SECRETS = "its load balancers take certificates by their ARN alone, never from a Secret"
NAME_AN_ARN = (
    "put it into ACM and name its ARN as tls.certificate, or set the target's ingress_class "
    "to a controller that reads Secrets"
)
ONE_BACKEND = "an Ingress has no weights: the heaviest route of a host and path serves all"


def compile_routes(scope: Scope) -> None:
    """All routes, one object a host; the kind is what the cluster has."""
    routes = scope.make.app.routes
    if not isinstance(routes, ListView):
        return
    if scope.facts.routes == GATEWAY:
        GatewayRoutes(scope, list(routes)).compile()
    elif scope.facts.routes == INGRESS:
        IngressRoutes(scope, list(routes)).compile()
    else:
        OpenShiftRoutes(scope, list(routes)).compile()
    facts = scope.facts
    how = f"as {facts.routes}: {facts.routes_because}"
    scope.make.note(f"routes are made for {facts.flavour.title} {how}")


class IngressRoutes(EncryptedRoutes):
    """One Ingress a host."""

    def compile(self) -> None:
        """All hosts."""
        for host, routes in by_host(self._routes).items():
            self._host(host, routes)
        if any(route.tls is not None for route in self._routes):
            self._make.note(UNENCRYPTED)

    def _host(self, host: str, routes: list[View]) -> None:
        facts = self._scope.facts
        called = names.object_name(host or f"{self._scope.app.name}-any-host")
        resource = self._scope.begin(
            "networking.k8s.io/v1", "Ingress", f"ingress/{host or '*'}", called
        )
        for key, text in facts.flavour.ingress_annotations.items():
            resource.set(("metadata", "annotations", key), text)
        if facts.ingress_class:
            resource.set("spec.ingressClassName", facts.ingress_class)
        chosen = self._heaviest(routes)
        for route in chosen:
            resource.put(("spec", "rules", 0, "host"), route.host)
            self._path(resource, route)
        encrypted = encrypted_of(self._make, chosen)
        if encrypted and not facts.tls_secrets and encrypted[0].value.tls.certificate is None:
            for route in encrypted:
                self._make.lose(route.tls, NO_SECRETS, NAME_AN_ARN, Consequence.SECURITY)
        elif encrypted:
            if host:
                resource.set(("spec", "tls", 0, "hosts"), [host])
            self._certificate(encrypted, resource, ("spec", "tls", 0, "secretName"), host)

    def _heaviest(self, routes: list[View]) -> list[View]:
        """Of equal paths the heaviest; the others are lost, and told so."""
        best: dict[str, View] = {}
        for route in routes:
            standing = best.get(route.value.path)
            if standing is None or (route.value.weight or 1) > (standing.value.weight or 1):
                best[route.value.path] = route
        for route in routes:
            if best[route.value.path] is not route:
                mend = "use a cluster with a Gateway, or one route"
                self._make.lose(route, ONE_BACKEND, mend, Consequence.AVAILABILITY)
        chosen = [route for route in routes if best[route.value.path] is route]
        for route in chosen:
            alone = sum(one.value.path == route.value.path for one in routes) == 1
            consequence = Consequence.COSMETIC if alone else Consequence.AVAILABILITY
            self._make.lose(route.weight, ONE_BACKEND, "", consequence)
        return chosen

    def _path(self, resource: ResourceBuilder, route: View) -> None:
        base: FieldPath = ("spec", "rules", 0, "http", "paths")
        rules = resource.body.get("spec", {}).get("rules", [{}])
        path = (*base, len(rules[0].get("http", {}).get("paths", ())))
        resource.put((*path, "path"), route.field("path"))
        resource.set((*path, "pathType"), "Prefix")
        self._scope.lead(route.value.service, resource)
        backend = (*path, "backend", "service")
        name = names.object_name(route.value.service)
        resource.put((*backend, "name"), route.service, value=name, **self._led)
        resource.put((*backend, "port", "number"), route.port, value=self._port(route))

    def _held(self, encrypted: list[View], holder: ResourceBuilder, path: FieldPath) -> None:
        reads = [route.tls.certificate for route in encrypted]
        annotation = self._scope.facts.flavour.certificate_annotation
        if not self._scope.facts.tls_secrets and not reads[0].value.startswith("arn:"):
            for read in reads:
                self._make.reject(read, NO_SECRETS, NAME_AN_ARN)
        elif annotation and not names.is_subdomain(reads[0].value):
            holder.put(("metadata", "annotations", annotation), *reads)
        else:
            super()._held(encrypted, holder, path)
