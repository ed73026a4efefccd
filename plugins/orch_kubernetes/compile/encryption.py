"""Certificates of hosts: one for all routes of a host, from a Secret, an authority or the cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.compile.tokens import value_token, version_token
from orch.types import Fidelity, render_path
from orch_kubernetes import names
from orch_kubernetes.compile.network import port_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.compile.builder import ManifestBuilder, ResourceBuilder
    from orch.compile.view import Read, View
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope

CERT_MANAGER = "cert-manager has to be there, with an issuer of that name"
SET_IT_UP = "set one up, and name its class by the target's ingress_class or gateway_class"
ISSUER = "cert-manager.io/cluster-issuer"

ONE_EACH = "whoever asks names a host before a path, so a host has one certificate; {} has another"


def by_host(routes: list[View]) -> dict[str, list[View]]:
    """Routes of each host, empty for every host."""
    found: dict[str, list[View]] = {}
    for route in routes:
        found.setdefault(route.value.host or "", []).append(route)
    return found


def encrypted_of(make: ManifestBuilder, routes: list[View]) -> list[View]:
    """Those of a host's routes that have TLS: the first one, and all that say the same.

    What says something else is rejected.
    """
    found = [route for route in routes if route.tls is not None]
    for route in found:
        if route.value.tls != found[0].value.tls:
            told = ONE_EACH.format(render_path(found[0].path))
            make.reject(route.tls, told, "give both the same tls, or different hosts")
    return [route for route in found if route.value.tls == found[0].value.tls]


def pair_of(encrypted: list[View]) -> Iterator[Read]:
    """The fields that name a certificate's secrets."""
    for route in encrypted:
        yield route.tls.cert.secret
        yield route.tls.field("key").secret


class EncryptedRoutes:
    """What Gateway and Ingress have in common: certificates as Secrets."""

    def __init__(self, scope: Scope, routes: list[View]) -> None:
        self._scope, self._make, self._routes = scope, scope.make, routes
        self._led: dict[str, Any] = {}
        if told := scope.facts.routes_told:
            self._led = {"outcome": Fidelity.DEGRADED, "reason": told, "mend": SET_IT_UP}

    def _certificate(
        self, encrypted: list[View], holder: ResourceBuilder, path: FieldPath, host: str
    ) -> None:
        """Say at a path which Secret holds the certificate of a host, as its routes all say."""
        value = encrypted[0].value.tls
        if value.cert is not None:
            name = self._tls_secret(encrypted, host, holder)
            holder.put(path, *pair_of(encrypted), value=name)
        elif value.acme:
            holder.set(path, names.object_name(f"tls-{host or 'any'}"))
            issuer = self._scope.facts.issuer
            holder.put(
                ("metadata", "annotations", ISSUER),
                *(route.tls.acme for route in encrypted),
                value=issuer,
                outcome=Fidelity.EMULATED,
                reason=CERT_MANAGER,
            )
        else:
            self._held(encrypted, holder, path)

    def _held(self, encrypted: list[View], holder: ResourceBuilder, path: FieldPath) -> None:
        """A certificate that the platform holds; one that is no Secret is known by its way in."""
        reads = [route.tls.certificate for route in encrypted]
        if names.is_subdomain(reads[0].value):
            holder.put(path, *reads)
        else:
            self._unknown(reads, "name a Secret that holds cert and key")

    def _unknown(self, reads: list[Read], mend: str) -> None:
        for read in reads:
            self._make.reject(read, "it is no name of a Secret", mend)

    def _tls_secret(self, encrypted: list[View], host: str, holder: ResourceBuilder) -> str:
        tls = encrypted[0].value.tls
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
        for name, field, secret in (("tls.crt", "cert", cert), ("tls.key", "key", key)):
            reads = (route.tls.field(field).secret for route in encrypted)
            resource.put(("stringData", name), *reads, value=value_token(secret))
        holder.depend(f"certificate/{host or '*'}")
        return called

    def _port(self, route: View) -> int | str:
        return port_number(self._scope, route.value.service, route.value.port)
