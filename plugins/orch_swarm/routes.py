"""Routes: a proxy at the edge, and the service that hands it its table.

The proxy asks for its table each second and takes a new one with every connection kept. So a
route that changes replaces the task that hands the table out, and never the one that holds the
ports: of these no two can run side by side where they are opened on the hosts themselves.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orch.compile.view import ListView
from orch.types import Condition, Fidelity
from orch_swarm import generated
from orch_swarm.losses import ROUTE, tell
from orch_swarm.proxy import HTTP, HTTPS, TABLE, TABLE_PORT, Target, command, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.compile.builder import ManifestBuilder, ResourceBuilder
    from orch.compile.view import View
    from orch.spec.application import Application, Route
    from orch_swarm.references import References

NAME = "orch-routes"
TABLES = "orch-routes-table"
IMAGE = "traefik:v3"
"""Any image with Traefik 3 as `traefik` in the path will do."""
TABLE_IMAGE = "busybox:1.37"
"""Any image with busybox and its httpd will do."""
PROXIED = f"{NAME}, a Traefik, answers on ports 80 and 443 and asks the service's tasks by name"
SHARES = "the proxy shares requests by weight"
ACME = "the proxy asks for it, and keeps it in a volume: on another node it asks for another one"
NOTE = (
    f"{NAME} answers for the routes, from {{where}}; a route that changes keeps all connections. "
    "Where its certificates, networks or image change it is replaced: {replaced}"
)
_INGRESS = "every node, through Swarm's own balancing, so that services see no client's address"
_HOSTS = "each node that runs a replica, one on every node"
_FIRST = "the next one starts first"
_LAST = "each node is away for a moment, one after the other"
_SECOND = 1_000_000_000
_TAKEN = 6 * _SECOND
"""Until the proxy has taken a new table for sure: while none answered it has asked ever less often,
each time after half as long again. Only then goes what the old table leads to."""
_DATA = "/data"
_KEPT = f"{_DATA}/authority.json"
_FOLDER = "/etc/orch"


class RouteCompiler:
    """Writes the two services, when the application has routes."""

    def __init__(
        self,
        make: ManifestBuilder,
        app: Application,
        refs: References,
        settings: Mapping[str, str],
    ) -> None:
        self._make, self._app, self._refs, self._settings = make, app, refs, settings
        dnsrr = settings.get("endpoint_mode") == "dnsrr"
        self._on_hosts = settings.get("routes_mode", "host" if dnsrr else "ingress") == "host"

    def compile(self) -> None:
        """The proxy, its network, and what hands it its table."""
        views = self._make.app.routes
        if not isinstance(views, ListView) or not self._app.routes:
            return
        held = [view for view in views if self._holds(view)]
        if not held:
            return
        private = self._make.resource("network", f"network/{NAME}", NAME)
        private.set("Driver", "overlay")
        private.set("Internal", value=True)
        proxy = self._proxy([view.value for view in held])
        self._tables(proxy, held)
        where = _HOSTS if self._on_hosts else _INGRESS
        replaced = _LAST if self._on_hosts else _FIRST
        self._make.note(NOTE.format(where=where, replaced=replaced))

    def _holds(self, view: View) -> bool:
        """Whether a route can be held; what can't is told."""
        tell(self._make, view, ROUTE)
        route: Route = view.value
        if self._app.services[route.service].network_mode != "app":
            self._make.reject(
                view.service,
                f"{route.service} is on no network of the swarm, where the proxy could reach it",
                "let it join a network",
            )
        return route.tls is None or route.tls.certificate is None

    # -- the proxy ---------------------------------------------------------------------------------

    def _proxy(self, routes: list[Route]) -> ResourceBuilder:
        update = {"Order": "stop-first" if self._on_hosts else "start-first", "Parallelism": 1}
        asks = any(route.tls is not None and route.tls.acme for route in routes)
        image = self._settings.get("routes_image") or IMAGE
        body = {
            **self._body(image, command(TABLES, kept=_KEPT if asks else "")),
            **({"Mode": "global"} if self._on_hosts else {"Mode": "replicated", "Replicas": 1}),
            "UpdateConfig": {**update, "FailureAction": "rollback", "Monitor": 5 * _SECOND},
        }
        resource = generated.service(self._make, self._app, NAME, body)
        for service in dict.fromkeys(route.service for route in routes):
            resource.set(("Networks", self._network(resource, service), "Aliases"), [NAME])
        self._join(resource, NAME)
        for secret in dict.fromkeys(_secrets(routes)):
            generated.mount_secret(resource, self._app, self._refs, secret)
        if asks:
            self._keep(resource)
        if any(route.tls is None for route in routes):
            self._open(resource, "routes_http", 80, HTTP)
        if any(route.tls is not None for route in routes):
            self._open(resource, "routes_https", 443, HTTPS)
        return resource

    def _keep(self, proxy: ResourceBuilder) -> None:
        """A volume for what an authority gave: it gives only so many in a week."""
        volume = self._make.resource("volume", f"volume/{NAME}", NAME, stateful=True)
        volume.set("Driver", "local")
        proxy.depend(volume.id)
        mount = {"Type": "volume", "Source": NAME, "Target": _DATA}
        proxy.set(("Container", "Mounts", _DATA), mount)

    def _body(self, image: str, command: list[str]) -> dict[str, Any]:
        container = {
            "Image": image,
            "Command": command,
            "ReadOnly": True,
            "CapabilityDrop": ["ALL"],
            "StopGracePeriod": 30 * _SECOND,
        }
        return {"Container": container, "EndpointSpec": {"Mode": self._endpoint_mode()}}

    def _endpoint_mode(self) -> str:
        return self._settings.get("endpoint_mode") or "vip"

    def _network(self, resource: ResourceBuilder, service: str) -> str:
        """A network where the proxy meets a service: the application's own before others'."""
        joined = list(self._app.services[service].networks) or ["default"]
        own = [
            n for n in joined if n not in self._app.networks or not self._app.networks[n].external
        ]
        return self._refs.network(resource, (own or joined)[0])

    def _join(self, resource: ResourceBuilder, alias: str) -> None:
        resource.depend(f"network/{NAME}")
        resource.set(("Networks", NAME, "Aliases"), [alias])

    def _open(self, resource: ResourceBuilder, option: str, usual: int, inside: int) -> None:
        published = int(self._settings.get(option) or usual)
        key = f"{published}->{inside}/tcp"
        said = {"PublishedPort": published, "TargetPort": inside, "Protocol": "tcp"}
        mode = "host" if self._on_hosts else "ingress"
        resource.set(("EndpointSpec", "Ports", key), {**said, "PublishMode": mode})

    # -- the table ---------------------------------------------------------------------------------

    def _tables(self, proxy: ResourceBuilder, views: list[View]) -> None:
        """What hands the table out: once the services answer, and the proxy has its certificates.

        No two of it run side by side: the proxy would go back and forth between their tables.
        """
        serve = ["busybox", "httpd", "-f", "-p", str(TABLE_PORT), "-h", _FOLDER]
        image = self._settings.get("routes_table_image") or TABLE_IMAGE
        body = {**self._body(image, serve), "Mode": "replicated", "Replicas": 1}
        body["UpdateConfig"] = {"Order": "stop-first", "Parallelism": 1, "Monitor": _TAKEN}
        body["Container"] = {**body["Container"], "StopGracePeriod": _SECOND}
        resource = generated.service(self._make, self._app, TABLES, body)
        targets = [self._target(view.value) for view in views]
        config = generated.config(self._make, TABLES, json.dumps(table(targets)))
        generated.mount(resource, config, f"{_FOLDER}/{TABLE}")
        self._join(resource, TABLES)
        resource.depend(proxy.id, Condition.STARTED)
        for service in dict.fromkeys(view.value.service for view in views):
            resource.depend(f"service/{service}", Condition.HEALTHY)
        for view in views:
            self._account(config, view)

    def _target(self, route: Route) -> Target:
        service = self._app.services[route.service]
        port = next((p for p in service.ports if route.port in (p.name, p.target)), None)
        number = port.target if port is not None else route.port
        tls = route.tls
        pair = (tls.cert.secret, tls.key.secret) if tls and tls.cert and tls.key else None
        return Target(
            host=route.host or "",
            path=route.path,
            service=route.service,
            port=int(number),
            weight=route.weight,
            encrypted=tls is not None,
            pair=pair,
            speaks=(port.app_protocol or "") if port is not None else "",
        )

    def _account(self, config: ResourceBuilder, view: View) -> None:
        """Every field of a route stands in the table."""
        text = config.body["Content"]
        for name in ("host", "path", "service", "port"):
            self._carried(config, view.field(name), text, PROXIED)
        self._carried(config, view.weight, text, SHARES)
        if view.tls is None:
            return
        for pair in (view.tls.field("cert"), view.tls.field("key")):
            if pair is not None:
                self._carried(config, pair.secret, text, PROXIED)
        self._carried(config, view.tls.acme, text, ACME if view.tls.acme.value else PROXIED)

    def _carried(self, config: ResourceBuilder, read: Any, text: str, reason: str) -> None:
        if read is not None:
            config.put("Content", read, value=text, outcome=Fidelity.EMULATED, reason=reason)


def _secrets(routes: list[Route]) -> list[str]:
    tls = [route.tls for route in routes if route.tls is not None]
    return [one.secret for pair in tls for one in (pair.cert, pair.key) if one is not None]
