"""Ways in from outside: Ingress, HTTPRoute and OpenShift's Route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.load.item import Item
from orch.types import Consequence, Fidelity
from orch_kubernetes.flavours import FLAVOURS
from orch_kubernetes.reader.certificates import Certificates, issuer_of
from orch_kubernetes.reader.part import IMPLIED, is_ours, note_identity
from orch_kubernetes.reader.services import has_port
from orch_kubernetes.reader.values import number_of, text_of

if TYPE_CHECKING:
    from orch.types import FieldPath
    from orch_kubernetes.reader.objects import Thing
    from orch_kubernetes.reader.part import Around, Part
    from orch_kubernetes.reader.services import ServiceReader

SUBDOMAIN = "Subdomain"
PREFIX = "a route's path is the beginning of what is asked for"
SAME = "another route has the same host and path"
CERTIFICATES = frozenset(flavour.certificate_annotation for flavour in FLAVOURS.values())
MAPS = frozenset(flavour.certificate_map for flavour in FLAVOURS.values())
WAY_IN = "the target's own way in is used"
REDIRECT = "what comes unencrypted for an encrypted host is redirected"
NOT_READ = "the Service behind it was not read"
HEADERS = "requests are told apart by host and path alone"
UNSAFE = "what comes unencrypted is treated as the platform does"


class RouteReader:
    """Writes all routes."""

    def __init__(self, around: Around, services: ServiceReader) -> None:
        self._writer, self._objects = around.writer, around.objects
        self._services, self._secrets = services, around.secrets
        self._seen: dict[tuple[str, str], FieldPath] = {}
        self._certificates = Certificates(around)
        self._failed: list[Item] = []

    def write(self) -> None:
        """Those of each kind."""
        for thing in self._objects.of_kind("Ingress"):
            self._ingress(thing)
        for thing in self._objects.of_kind("HTTPRoute"):
            self._http_route(thing)
        for thing in self._objects.of_kind("Route"):
            self._route(thing)
        for thing in self._objects.of_kind("Gateway"):
            if is_ours(thing):
                self._writer.note(("routes",), thing.item, Fidelity.NATIVE, WAY_IN)

    def _add(
        self, thing: Thing, host: str, path: str, service: tuple[str, Item], port: Item | int | None
    ) -> FieldPath | None:
        """A route to a service; None, and told, when there is no such service or port."""
        name, at = service
        found = self._behind(thing, name, port)
        if found is None:
            return None
        part, number = found
        here: FieldPath = ("routes", self._writer.size(("routes",)))
        self._writer.set((*here, "service"), part.name, at)
        self._writer.note((*here, "service"), at)
        if isinstance(port, Item):
            self._writer.put((*here, "port"), port, number)
        else:
            self._writer.set((*here, "port"), number, at)
        if host:
            self._writer.set((*here, "host"), host, at)
        self._writer.set((*here, "path"), path if path.startswith("/") else f"/{path}", at)
        note_identity(self._writer, thing, here)
        return here

    def _behind(self, thing: Thing, name: str, port: Item | int | None) -> tuple[Part, int] | None:
        wanted = port.value if isinstance(port, Item) else port
        if isinstance(wanted, str) and wanted.isdigit():
            wanted = int(wanted)
        if isinstance(wanted, dict | list):
            return None
        space = thing.namespace
        ports = self._services.ports
        if wanted is not None:
            found = ports.get((space, name, wanted))
            parts = self._services.behind.get((space, name)) or ()
            if found is not None or not isinstance(wanted, int):
                return found
            number: int = wanted
            return next(((part, number) for part in parts if has_port(part, number)), None)
        return next((found for key, found in ports.items() if key[:2] == (space, name)), None)

    def _weigh(self, here: FieldPath, weight: Item | None) -> None:
        """Routes of one host and path have weights; a second one without is lost."""
        if number_of(weight) is not None:
            self._writer.put((*here, "weight"), weight, number_of(weight))

    def _is_double(self, host: str, path: str, at: Item) -> bool:
        key = (host, path or "/")
        if key in self._seen:
            self._writer.lose(at, SAME, "remove one", Consequence.NETWORK)
            return True
        self._seen[key] = ("routes", self._writer.size(("routes",)))
        return False

    # -- Ingress ---------------------------------------------------------------------------------

    def _ingress(self, thing: Thing) -> None:
        spec = thing.item.get("spec") or Item({})
        default = spec.get("defaultBackend") or spec.get("backend")
        made: list[tuple[str, FieldPath]] = []
        if default is not None and not self._is_double("", "/", default):
            self._backend(thing, "", "/", default, made)
        for rule in spec.get("rules") or ():
            self._ingress_rule(thing, rule, made)
        self._tell_failed(carried=bool(made))
        for tls in spec.get("tls") or ():
            self._ingress_tls(thing, tls, made)
        for key, item in (thing.at("metadata", "annotations") or Item({})).items():
            for _, here in made if key in CERTIFICATES else ():
                said = [text_of(item)]
                if self._writer.get((*here, "tls")) is None and self._certificates.is_first(
                    here, item, said, item
                ):
                    self._writer.put((*here, "tls", "certificate"), item)
        if made and is_ours(thing):
            self._writer.note(made[0][1], spec.get("ingressClassName"))

    def _ingress_rule(self, thing: Thing, rule: Item, made: list[tuple[str, FieldPath]]) -> None:
        host, before = rule.get("host"), len(made)
        for path in rule.at("http", "paths") or ():
            self._path(thing, text_of(host), path, made)
        if len(made) > before:
            self._writer.note((*made[-1][1], "host"), host)
        elif host is not None:
            self._failed.append(host)

    def _tell_failed(self, *, carried: bool) -> None:
        """Ways to Services that were not read; an object of these alone is told as a whole."""
        for item in self._failed if carried else ():
            self._writer.lose(item, NOT_READ, "read its file too", Consequence.NETWORK)
        self._failed = []

    def _path(self, thing: Thing, host: str, path: Item, made: list[tuple[str, FieldPath]]) -> None:
        said, backend = text_of(path.get("path")) or "/", path.get("backend")
        if backend is None or self._is_double(host, said, backend):
            return
        if said.endswith("/*"):
            said = said[:-1]
        here = self._backend(thing, host, said, backend, made)
        if here is None:
            self._failed.append(path)
            return
        kind = text_of(path.get("pathType"))
        exact = kind == "Exact" or any(sign in said for sign in "(*[")
        outcome = Fidelity.DEGRADED if exact else Fidelity.NATIVE
        told = PREFIX if exact else ""
        item = path.get("path")
        self._writer.note((*here, "path"), item, outcome, told, Consequence.NETWORK)
        self._writer.note((*here, "path"), path.get("pathType"), Fidelity.NATIVE, IMPLIED)

    def _backend(
        self, thing: Thing, host: str, path: str, backend: Item, made: list[tuple[str, FieldPath]]
    ) -> FieldPath | None:
        service = backend.get("service")
        name = service.get("name") if service is not None else backend.get("serviceName")
        port = backend.get("servicePort")
        if service is not None:
            port = service.at("port", "number") or service.at("port", "name")
        if name is None:
            return None
        here = self._add(thing, host, path, (text_of(name), name), port)
        if here is not None:
            made.append((host, here))
        return here

    def _ingress_tls(self, thing: Thing, tls: Item, made: list[tuple[str, FieldPath]]) -> None:
        hosts = [str(host.value) for host in tls.get("hosts") or ()]
        routes = [here for host, here in made if host in hosts or not hosts]
        for here in routes:
            self._certificates.write(thing, tls.get("secretName"), here, thing.namespace)
        if routes:
            self._writer.note((*routes[0], "tls"), tls.get("hosts"))

    # -- HTTPRoute -------------------------------------------------------------------------------

    def _http_route(self, thing: Thing) -> None:
        spec = thing.item.get("spec") or Item({})
        if is_ours(thing) and not any(rule.get("backendRefs") for rule in spec.get("rules") or ()):
            self._writer.note(("routes",), thing.item, Fidelity.NATIVE, REDIRECT)
            return
        hosts = spec.get("hostnames")
        first: FieldPath | None = None
        for host in [str(item.value) for item in hosts or ()] or [""]:
            for rule in spec.get("rules") or ():
                for here in self._rule(thing, host, rule):
                    first = first or here
                    self._listener_tls(thing, host, here)
        told = any(leaf.ways for leaf in thing.item.leaves())
        self._tell_failed(carried=told)
        if told:
            note_identity(self._writer, thing, first or ("routes",))
        if first is not None:
            self._writer.note((*first, "host"), hosts)
            self._writer.note(first, spec.get("parentRefs"), Fidelity.NATIVE, WAY_IN)

    def _rule(self, thing: Thing, host: str, rule: Item) -> list[FieldPath]:
        made: list[FieldPath] = []
        matches: list[Item | None] = [*(rule.get("matches") or ())] or [None]
        for match in matches:
            path = match.get("path") if match is not None else None
            value = path.get("value") if path is not None else None
            said = text_of(value) or "/"
            backends = list(rule.get("backendRefs") or ())
            if match is not None and self._is_narrow(match):
                lost = match if len(matches) > 1 else rule
                mend = "let the service tell them apart"
                self._writer.lose(lost, HEADERS, mend, Consequence.NETWORK)
                continue
            if (host, said) in self._seen:
                self._writer.lose(rule, SAME, "remove one", Consequence.NETWORK)
                continue
            self._seen[host, said] = ("routes",)
            for backend in backends:
                here = self._to(thing, host, said, backend, several=len(backends) > 1)
                if here is None:
                    self._failed.append(backend)
                else:
                    made.append(here)
                    self._matched(here, path)
        return made

    def _is_narrow(self, match: Item) -> bool:
        """A rule for some requests alone is left out: it would take those of others, too."""
        return any(match.get(key) for key in ("headers", "method", "queryParams"))

    def _matched(self, here: FieldPath, path: Item | None) -> None:
        if path is None:
            return
        kind = text_of(path.get("type"))
        exact = kind not in ("PathPrefix", "")
        outcome = Fidelity.DEGRADED if exact else Fidelity.NATIVE
        told = PREFIX if exact else ""
        self._writer.note((*here, "path"), path, outcome, told, Consequence.NETWORK)

    def _to(
        self, thing: Thing, host: str, path: str, backend: Item, *, several: bool
    ) -> FieldPath | None:
        name, weight = backend.get("name"), backend.get("weight")
        if name is None or text_of(backend.get("kind")) not in ("", "Service"):
            return None
        here = self._add(thing, host, path, (text_of(name), name), backend.get("port"))
        if here is not None:
            for key in ("kind", "group"):
                self._writer.note(here, backend.get(key), Fidelity.NATIVE, IMPLIED)
            self._weigh(here, weight)
            if several and weight is None:
                self._writer.set((*here, "weight"), 1, backend)
        return here

    def _listener_tls(self, thing: Thing, host: str, here: FieldPath) -> None:
        """The certificate of the Gateway's listener for a host."""
        for parent in thing.at("spec", "parentRefs") or ():
            space = text_of(parent.get("namespace")) or thing.namespace
            gateway = self._objects.find("Gateway", text_of(parent.get("name")), space)
            section = text_of(parent.get("sectionName"))
            for listener in (
                gateway.at("spec", "listeners") if gateway is not None else None
            ) or ():
                if gateway is None or section not in ("", text_of(listener.get("name"))):
                    continue
                if text_of(listener.get("hostname")) in ("", host):
                    self._listener(gateway, listener, here, space)

    def _listener(self, gateway: Thing, listener: Item, here: FieldPath, space: str) -> None:
        encrypted = False
        for held in listener.at("tls", "certificateRefs") or ():
            self._certificates.write(gateway, held.get("name"), here, space)
            encrypted = True
        annotations = gateway.at("metadata", "annotations") or Item({})
        for key, item in annotations.items():
            if key in MAPS and text_of(listener.get("protocol")) == "HTTPS":
                said = f"certificateMaps/{text_of(item)}"
                self._writer.put((*here, "tls", "certificate"), item, said)
                encrypted = True
        if encrypted:
            note_identity(self._writer, gateway, here)
            self._writer.note((*here, "tls"), listener, Fidelity.NATIVE, WAY_IN)

    # -- OpenShift -------------------------------------------------------------------------------

    def _route(self, thing: Thing) -> None:
        spec = thing.item.get("spec") or Item({})
        host, path = spec.get("host"), spec.get("path")
        if self._is_double(_openshift_host(thing), text_of(path) or "/", thing.item):
            return
        others = list(spec.get("alternateBackends") or ())
        to = spec.get("to")
        for backend in [*([to] if to is not None else []), *others]:
            here = self._openshift_backend(thing, backend, several=bool(others))
            if here is not None:
                self._writer.note((*here, "host"), host)
                self._writer.note((*here, "path"), path)
                self._writer.note((*here, "port"), spec.get("port"))
                wild = spec.get("wildcardPolicy")
                if text_of(wild) == "None":
                    self._writer.note(here, wild, Fidelity.NATIVE, IMPLIED)
                elif text_of(wild) == SUBDOMAIN:
                    self._writer.note((*here, "host"), wild)
                self._openshift_tls(thing, spec.get("tls"), here)

    def _openshift_backend(self, thing: Thing, backend: Item, *, several: bool) -> FieldPath | None:
        name, weight = backend.get("name"), backend.get("weight")
        if name is None:
            return None
        host, path = _openshift_host(thing), text_of(thing.at("spec", "path")) or "/"
        port = thing.at("spec", "port", "targetPort")
        here = self._add(thing, host, path, (text_of(name), name), port)
        if here is None:
            return None
        self._writer.note(here, backend.get("kind"), Fidelity.NATIVE, IMPLIED)
        if several or number_of(weight) not in (None, 100):
            self._weigh(here, weight)
            if several and number_of(weight) is None:
                self._writer.set((*here, "weight"), 100, backend)
        else:
            self._writer.note(here, weight, Fidelity.NATIVE, "it is the only one")
        return here

    def _openshift_tls(self, thing: Thing, tls: Item | None, here: FieldPath) -> None:
        if tls is None:
            return
        cert, key = tls.get("certificate"), tls.get("key")
        held = tls.at("externalCertificate", "name")
        issuer = issuer_of(thing)
        edge = text_of(tls.get("termination")) in ("edge", "")
        outcome = Fidelity.NATIVE if edge else Fidelity.DEGRADED
        reason = "" if edge else "encryption ends at the way in, and not at the service"
        named = [text_of(one) for one in (cert, key, held, issuer)]
        if not any(named):
            outcome = Fidelity.DEGRADED
            reason = reason or "the cluster's own certificate is not there: an authority is asked"
        if self._certificates.is_first(here, tls, named, cert, key, held, issuer):
            self._openshift_certificate(thing, tls, here)
        self._writer.note((*here, "tls"), tls.get("termination"), outcome, reason,
            Consequence.SECURITY)  # fmt: skip
        policy = tls.get("insecureEdgeTerminationPolicy")
        kept = text_of(policy) in ("Redirect", "")
        outcome = Fidelity.NATIVE if kept else Fidelity.DEGRADED
        told = "" if kept else UNSAFE
        self._writer.note((*here, "tls"), policy, outcome, told, Consequence.SECURITY)

    def _openshift_certificate(self, thing: Thing, tls: Item, here: FieldPath) -> None:
        cert, key = tls.get("certificate"), tls.get("key")
        held = tls.at("externalCertificate", "name")
        if cert is not None and key is not None:
            for field, leaf in (("cert", cert), ("key", key)):
                where = self._secrets.name_for(thing, str(leaf.path[-1]), f"{thing.name}-{field}")
                said = ".".join(str(one) for one in leaf.path[1:])
                self._secrets.refer(where, leaf, thing, said)
                self._writer.set((*here, "tls", field, "secret"), where[-1], leaf)
        elif held is not None or issuer_of(thing) is not None:
            self._certificates.set(thing, held, here, thing.namespace)
        else:
            self._writer.set((*here, "tls", "acme"), value=True, item=tls)


def _openshift_host(thing: Thing) -> str:
    """The host of a Route; one with a policy for its subdomain means all hosts there."""
    host = text_of(thing.at("spec", "host"))
    wild = text_of(thing.at("spec", "wildcardPolicy")) == SUBDOMAIN
    return f"*.{host.partition('.')[2]}" if wild and host else host
