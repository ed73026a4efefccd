"""Ways in from outside: HTTPRoutes of a Gateway, Ingresses, or OpenShift's Routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.compile.tokens import value_token, version_token
from orch.compile.view import ListView
from orch.types import Consequence, Fidelity
from orch_kubernetes import names
from orch_kubernetes.flavours import GATEWAY, INGRESS
from orch_kubernetes.network import port_number
from orch_kubernetes.openshift import OpenShiftRoutes

if TYPE_CHECKING:
    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import View
    from orch.types import FieldPath
    from orch_kubernetes.objects import Scope

NO_SECRETS = "its load balancers take certificates by their ARN alone, never from a Secret"
NAME_AN_ARN = (
    "put it into ACM and name its ARN as tls.certificate, or set the target's ingress_class "
    "to a controller that reads Secrets"
)
SET_IT_UP = "set one up, and name its class by the target's ingress_class or gateway_class"
CERT_MANAGER = "cert-manager has to be there, with an issuer of that name"
ONE_BACKEND = "an Ingress has no weights: the heaviest route of a host and path serves all"
ISSUER = "cert-manager.io/cluster-issuer"


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
    scope.make.note(f"routes are made for {scope.facts.flavour.title} as {scope.facts.routes}")


def by_host(routes: list[View]) -> dict[str, list[View]]:
    """Routes of each host, empty for every host."""
    found: dict[str, list[View]] = {}
    for route in routes:
        found.setdefault(route.value.host or "", []).append(route)
    return found


class _Routes:
    """What Gateway and Ingress have in common: certificates as Secrets."""

    def __init__(self, scope: Scope, routes: list[View]) -> None:
        self._scope, self._make, self._routes = scope, scope.make, routes
        self._led: dict[str, Any] = {}
        if told := scope.facts.routes_told:
            self._led = {"outcome": Fidelity.DEGRADED, "reason": told, "mend": SET_IT_UP}

    def _certificate(
        self, route: View, holder: ResourceBuilder, path: FieldPath, host: str
    ) -> None:
        """Say at a path which Secret holds the certificate of a host."""
        tls, value = route.tls, route.value.tls
        if not self._scope.facts.tls_secrets and value.certificate is None:
            self._make.lose(tls, NO_SECRETS, NAME_AN_ARN, Consequence.SECURITY)
        elif value.cert is not None:
            name = self._tls_secret(route, host, holder)
            holder.put(path, tls.cert.secret, tls.field("key").secret, value=name)
        elif value.acme:
            holder.set(path, names.object_name(f"tls-{host or 'any'}"))
            issuer = self._scope.facts.issuer
            holder.put(
                ("metadata", "annotations", ISSUER),
                tls.acme,
                value=issuer,
                outcome=Fidelity.EMULATED,
                reason=CERT_MANAGER,
            )
        else:
            self._held(route, holder, path)

    def _held(self, route: View, holder: ResourceBuilder, path: FieldPath) -> None:
        read = route.tls.certificate
        annotation = self._scope.facts.flavour.certificate_annotation
        if not self._scope.facts.tls_secrets and not read.value.startswith("arn:"):
            self._make.reject(read, NO_SECRETS, NAME_AN_ARN)
        elif names.is_subdomain(read.value):
            holder.put(path, read)
        elif annotation:
            holder.put(("metadata", "annotations", annotation), read)
        else:
            self._make.reject(
                read, "it is no name of a Secret", "name a Secret that holds cert and key"
            )

    def _tls_secret(self, route: View, host: str, holder: ResourceBuilder) -> str:
        tls = route.value.tls
        cert, key = tls.cert.secret, tls.key.secret
        stem = names.object_name(f"tls-{host or 'any'}")
        called = f"{stem}-{version_token(cert)}-{version_token(key)}"
        resource = self._scope.begin("v1", "Secret", f"certificate/{host or '*'}", called)
        for secret in (cert, key):
            holder.secret_version(secret)
            resource.secret_version(secret)
            resource.secret_value(secret)
        resource.set("type", "kubernetes.io/tls")
        resource.set("immutable", value=True)
        resource.put(("stringData", "tls.crt"), route.tls.cert.secret, value=value_token(cert))
        resource.put(
            ("stringData", "tls.key"), route.tls.field("key").secret, value=value_token(key)
        )
        holder.depend(f"certificate/{host or '*'}")
        return called

    def _port(self, route: View) -> int | str:
        return port_number(self._scope, route.value.service, route.value.port)


class IngressRoutes(_Routes):
    """One Ingress a host."""

    def compile(self) -> None:
        """All hosts."""
        for host, routes in by_host(self._routes).items():
            self._host(host, routes)

    def _host(self, host: str, routes: list[View]) -> None:
        facts = self._scope.facts
        called = names.object_name(host or f"{self._scope.app.name}-any-host")
        resource = self._scope.begin(
            "networking.k8s.io/v1", "Ingress", f"route/{host or '*'}", called
        )
        for key, text in facts.flavour.ingress_annotations.items():
            resource.set(("metadata", "annotations", key), text)
        if facts.ingress_class:
            resource.set("spec.ingressClassName", facts.ingress_class)
        tls = 0
        for route in self._heaviest(routes):
            resource.put(("spec", "rules", 0, "host"), route.host)
            self._path(resource, route)
            if route.tls is not None:
                path = ("spec", "tls", tls)
                if host:
                    resource.set((*path, "hosts"), [host])
                self._certificate(route, resource, (*path, "secretName"), host)
                tls += bool(resource.body["spec"].get("tls"))

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
        backend = (*path, "backend", "service")
        name = names.object_name(route.value.service)
        resource.put((*backend, "name"), route.service, value=name, **self._led)
        resource.put((*backend, "port", "number"), route.port, value=self._port(route))


class GatewayRoutes(_Routes):
    """One HTTPRoute a host, on a Gateway that is there or that is made."""

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
        resource = self._scope.begin("gateway.networking.k8s.io/v1", "Gateway", "gateway/app", app)
        resource.set("spec.gatewayClassName", facts.gateway_class or "gateway")
        listener: dict[str, Any] = {"name": "http", "port": 80, "protocol": "HTTP"}
        resource.set("spec.listeners", [listener])
        return resource

    def _listen(self, gateway: ResourceBuilder, host: str, route: View) -> None:
        listeners = gateway.body["spec"]["listeners"]
        path = ("spec", "listeners", len(listeners))
        gateway.set((*path, "name"), names.object_name(f"https-{host or 'any'}"))
        gateway.set((*path, "port"), 443)
        gateway.set((*path, "protocol"), "HTTPS")
        if host:
            gateway.set((*path, "hostname"), host)
        gateway.set((*path, "tls", "mode"), "Terminate")
        held = (*path, "tls", "certificateRefs", 0, "name")
        self._certificate(route, gateway, held, host)

    def _host(self, host: str, routes: list[View], gateway: ResourceBuilder | None) -> None:
        called = names.object_name(host or f"{self._scope.app.name}-any-host")
        api = "gateway.networking.k8s.io/v1"
        resource = self._scope.begin(api, "HTTPRoute", f"route/{host or '*'}", called)
        if gateway is not None:
            resource.depend(gateway.id)
        resource.set("spec.parentRefs", [self._parent()])
        for route in routes:
            if route.host is not None:
                resource.put("spec.hostnames", route.host, value=[host])
            if route.tls is not None:
                self._tls(gateway, host, route)
        self._rules(resource, routes)

    def _parent(self) -> dict[str, str]:
        space, _, name = self._scope.facts.gateway.rpartition("/")
        said = {"name": name or names.object_name(self._scope.app.name)}
        return {**said, "namespace": space} if space else said

    def _tls(self, gateway: ResourceBuilder | None, host: str, route: View) -> None:
        if gateway is None:
            told = "the Gateway that is named holds the certificates"
            self._make.lose(route.tls, told, "give it the certificate", Consequence.COSMETIC)
        else:
            self._listen(gateway, host, route)

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
            resource.put((*backend, "name"), route.service, value=name, **self._led)
            resource.put((*backend, "port"), route.port, value=self._port(route))
            resource.put((*backend, "weight"), route.weight)
