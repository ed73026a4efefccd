"""Certificates of routes: from an authority, a Secret or the platform, and one for each host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.types import Consequence, Fidelity
from orch_kubernetes.reader.values import text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch.load.item import Item
    from orch.types import FieldPath
    from orch_kubernetes.reader.objects import Thing
    from orch_kubernetes.reader.part import Around

ISSUERS = (
    "cert-manager.io/cluster-issuer",
    "cert-manager.io/issuer",
    "cert-manager.io/issuer-name",
    "certmanager.k8s.io/cluster-issuer",
)
ISSUER_KIND = "cert-manager.io/issuer-kind"
ACME = "an ACME authority is asked"
AS_THE_FIRST = "the first route of its host has the same certificate"
ONE_CERTIFICATE = "a host has one certificate: that of its first route is taken"


class Certificates:
    """Writes what encrypts each route."""

    def __init__(self, around: Around) -> None:
        self._writer, self._secrets = around.writer, around.secrets
        self._first: dict[str, tuple[FieldPath, Sequence[str]]] = {}

    def write(self, thing: Thing, named: Item | None, here: FieldPath, space: str) -> None:
        """The certificate that an object names, unless the route's host has one already."""
        issuer = issuer_of(thing)
        said = [space, text_of(named), text_of(issuer)]
        kind = thing.at("metadata", "annotations", ISSUER_KIND)
        if self.is_first(here, named or issuer, said, named, issuer, kind):
            self.set(thing, named, here, space)

    def set(self, thing: Thing, named: Item | None, here: FieldPath, space: str) -> None:
        """The certificate that an object names: an authority's, a Secret or the platform's."""
        issuer, held = issuer_of(thing), self._secrets.find(text_of(named), space)
        if held is not None and not _is_issued(held):
            for field, key in (("cert", "tls.crt"), ("key", "tls.key")):
                called = self._secrets.use(held.name, key, space, named or held.item)
                self._writer.set((*here, "tls", field, "secret"), called, named or held.item)
            self._writer.note((*here, "tls"), named)
        elif issuer is not None:
            how: dict[str, Any] = {"outcome": Fidelity.EMULATED, "reason": ACME}
            self._writer.put((*here, "tls", "acme"), issuer, value=True, **how)
            kind = thing.at("metadata", "annotations", ISSUER_KIND)
            for item in (kind, named):
                self._writer.note((*here, "tls", "acme"), item, Fidelity.NATIVE, ACME)
        elif named is not None:
            self._writer.put((*here, "tls", "certificate"), named)

    def is_first(
        self, here: FieldPath, at: Item | None, said: Sequence[str], *items: Item | None
    ) -> bool:
        """Whether a route is the first of its host that is encrypted; others follow that one.

        `said` tells certificates apart, `at` is where this one is named, and `items` name it.
        """
        host = str(self._writer.get((*here, "host")) or "").lower()
        first, other = self._first.get(host, (here, said))
        tls = self._writer.get((*first, "tls"))
        if not host or first == here or tls is None or at is None:
            self._first[host] = (here, said)
            return True
        alike = other == said
        outcome = Fidelity.NATIVE if alike else Fidelity.DEGRADED
        told = AS_THE_FIRST if alike else ONE_CERTIFICATE
        self._writer.set((*here, "tls"), dict(tls), at)
        for item in items:
            self._writer.note((*here, "tls"), item, outcome, told, Consequence.SECURITY)
        return False


def issuer_of(thing: Thing) -> Item | None:
    """The annotation that names an authority, if any."""
    annotations = thing.at("metadata", "annotations")
    found = (annotations.get(key) for key in ISSUERS) if annotations is not None else ()
    return next((item for item in found if item is not None), None)


def _is_issued(secret: Thing) -> bool:
    """Whether cert-manager wrote it, and will again."""
    return any(
        key.startswith("cert-manager.io/") for key in secret.texts("metadata", "annotations")
    )
