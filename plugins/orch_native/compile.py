"""Application to manifest: the native scheduler takes the spec's own words, so little changes."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from orch.compile.builder import ManifestBuilder
from orch.compile.compile import OTHER_APP
from orch.compile.view import ListView
from orch.spec.base import Model
from orch.spec.units import Duration
from orch.types import Consequence, Fidelity
from orch_native.capabilities import capabilities
from orch_native.parts import containers, driver_of, matches, part_views, used_secrets
from orch_native.rules import (
    BY_DNS,
    DOCKER,
    NOT_FOUND_BY_CONTAINERS,
    PROCESS,
    TWO_STORES,
    rules_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import Node, Read, View
    from orch.spec.application import Application, Route
    from orch.spec.container import PodFields
    from orch.types import FieldPath, Manifest
    from orch_native.rules import Rule, RuleTree

BACKEND = "native"
ORDERED = "a deploy waits for it; a restart of the host starts everything at once"
FOLLOWS = "its body holds a digest of the other's, so that both change together"


class NativeOverrides(Model):
    """What `overrides.native` of a service may say."""

    drain: Duration | None = None


class _Compiler:
    """One application on its way; the driver of each unit decides what it can hold."""

    def __init__(self, app: Application, only_driver: str) -> None:
        self.spec = app
        self.make = ManifestBuilder(app, BACKEND, capabilities())
        self.app = self.make.app
        self.only_driver = only_driver
        self.mounted_by: dict[str, set[str]] = defaultdict(set)
        self.joined_by: dict[str, set[str]] = defaultdict(set)
        self.has_containers = False
        self.bodies: dict[str, dict[str, Any]] = {}
        self._restarting: list[tuple[ResourceBuilder, str, View]] = []

    def compile(self) -> Manifest:
        """Parts before what uses them, so that the order of the manifest can be read."""
        self._look_who_uses_what()
        self._files()
        self._storage_and_networks()
        self._registries()
        for kind, units in (("job", self.app.jobs), ("service", self.app.services)):
            for name, view in units.items():
                self._unit(kind, name, view)
        self._restarts()
        self._names()
        self._routes()
        self._policies()
        self.make.core(self.app.fidelity)
        return self.make.build()

    def _look_who_uses_what(self) -> None:
        for unit in (*self.spec.services.values(), *self.spec.jobs.values()):
            driver = driver_of(unit)
            self.has_containers |= driver == DOCKER
            for network in unit.networks:
                self.joined_by[network].add(driver)
            for part in containers(unit):
                for mount in part.volumes:
                    if mount.type == "volume":
                        self.mounted_by[mount.source or ""].add(driver)

    # -- shared parts -----------------------------------------------------------------------

    def _files(self) -> None:
        for name, view in self.app.configs.items():
            resource = self.make.resource("config", f"config/{name}", name)
            resource.put_all(view)
            self.make.core(view.file)
            resource.leave_out(("file",))
            self._follow_rules(resource, view, rules_for("configs.*"))
            self._label(resource, view)
        for name, view in self.app.secrets.items():
            self._secret(name, view)

    def _secret(self, name: str, view: View) -> None:
        resource = self.make.resource("secret", f"secret/{name}", name)
        for source in ("provider", "key", "path", "options", "encoding"):
            self.make.core(view.field(source))
        resource.put("external", view.external)
        resource.put("name", view.name)
        resource.put("labels", view.labels)
        if not view.value.external:
            resource.set("version", resource.secret_version(name))
            resource.secret_value(name)
        self._follow_rules(resource, view, rules_for("secrets.*"))
        self._label(resource, view)

    def _storage_and_networks(self) -> None:
        for name, view in self.app.volumes.items():
            owned = not view.value.external
            resource = self.make.resource("volume", f"volume/{name}", name, stateful=owned)
            resource.put_all(view)
            self._follow_users(resource, view, "volumes.*", self.mounted_by[name])
            if len(self.mounted_by[name]) > 1:
                self.make.reject(view.here, TWO_STORES, "mount a folder in both: type: bind")
            self._label(resource, view)
        for name, view in self.app.networks.items():
            resource = self.make.resource("network", f"network/{name}", name)
            resource.put_all(view)
            self._follow_users(resource, view, "networks.*", self.joined_by[name])
            self._label(resource, view)

    def _follow_users(
        self, resource: ResourceBuilder, view: View, noun: str, drivers: set[str]
    ) -> None:
        for driver in sorted(drivers or {DOCKER}):
            self._follow_rules(resource, view, rules_for(noun, driver))

    def _registries(self) -> None:
        for host, view in self.app.registries.items():
            resource = self.make.resource("registry", f"registry/{host}", host)
            resource.put_all(view)
            self._pin_secrets(resource, [view.value.password.secret])

    def _routes(self) -> None:
        for view in _each(self.app.routes):
            name = route_name(view.value)
            resource = self.make.resource("route", f"route/{name}", name)
            resource.put_all(view)
            tls = view.value.tls
            pair = (tls.cert, tls.key) if tls is not None else ()
            self._pin_secrets(resource, [part.secret for part in pair if part is not None])
            resource.depend(f"service/{view.value.service}")
            self._follow_rules(resource, view, rules_for("routes.*"))

    def _policies(self) -> None:
        rules = rules_for("policies.*")
        for view in _each(self.app.policies):
            for read, _, rule in matches(view, rules):
                self.make.lose(read, rule.reason, rule.mend, rule.consequence)

    # -- services and jobs ------------------------------------------------------------------

    def _unit(self, kind: str, name: str, view: View) -> None:
        unit: PodFields = view.value
        driver = driver_of(unit)
        resource = self.make.resource(kind, f"{kind}/{name}", name, rollout=True)
        resource.put_all(view)
        self.bodies[name] = resource.body
        if unit.profiles:
            self.make.core(view.profiles)
            resource.leave_out(("profiles",))
        self._label(resource, view)
        self._use(resource, unit)
        self._scoped(resource, view)
        self._check_driver(view, driver)
        if driver == PROCESS and self.has_containers and getattr(unit, "ports", None):
            self._follow(resource, view.field("ports"), ("ports",), NOT_FOUND_BY_CONTAINERS)
        self._follow_rules(resource, view, rules_for(f"{kind}s.*", driver))
        for path, part in part_views(view):
            if driver == DOCKER and part.value.image is None:
                self._reject_process_part(part)
            rules = rules_for(f"{kind}s.*.{path[0]}.*", driver)
            self._follow_rules(resource, part, rules, path)
        self._depend(resource, view)

    def _names(self) -> None:
        """What a service's name leads to, where no field that was written says so."""
        found = [unit for unit in self.spec.services.values() if driver_of(unit) == DOCKER]
        if any(
            unit.ports and "endpoint_mode" not in unit.deploy.model_fields_set for unit in found
        ):
            path = ("services", "*", "deploy", "endpoint_mode")
            self.make.default(path, Fidelity.DEGRADED, BY_DNS)

    def _check_driver(self, view: View, driver: str) -> None:
        if self.only_driver not in ("", driver):
            field = view.image if driver == DOCKER else view.command
            self.make.reject(
                field if field is not None else view.here,
                f"this target runs the {self.only_driver} driver alone",
                "give the service an image" if driver == PROCESS else "remove the image",
            )
        unit = view.value
        if unit.build is not None and unit.image is None:
            self.make.reject(
                view.build,
                "there is no image to run, and a deploy builds none",
                "build it with docker build, and name it as `image`",
            )

    def _reject_process_part(self, part: View) -> None:
        self.make.reject(
            part,
            "one unit is either all containers or all processes of the host",
            "give it an image",
        )

    def _use(self, resource: ResourceBuilder, unit: PodFields) -> None:
        """Wait for what it mounts, and hold its versions: a changed file restarts it."""
        secrets: dict[str, None] = {}
        configs: dict[str, None] = {}
        for part in containers(unit):
            secrets.update(dict.fromkeys(used_secrets(part)))
            configs.update(dict.fromkeys(mount.source for mount in part.configs))
            for mount in part.volumes:
                if mount.type == "volume" and mount.source in self.spec.volumes:
                    resource.depend(f"volume/{mount.source}")
        for network in unit.networks:
            if network in self.spec.networks:
                resource.depend(f"network/{network}")
        self._pin_secrets(resource, secrets)
        self._pin_configs(resource, configs)

    def _pin_secrets(self, resource: ResourceBuilder, names: Iterable[str]) -> None:
        for name in names:
            if name in self.spec.secrets:
                resource.depend(f"secret/{name}")
                if not self.spec.secrets[name].external:
                    resource.set(("secret_versions", name), resource.secret_version(name))

    def _pin_configs(self, resource: ResourceBuilder, names: Iterable[str]) -> None:
        for name in names:
            config = self.spec.configs.get(name)
            if config is not None:
                resource.depend(f"config/{name}")
                content = digest([config.content, config.encoding])
                resource.set(("config_digests", name), content)

    def _scoped(self, resource: ResourceBuilder, view: View) -> None:
        for platform, part in view.overrides.items():
            if platform == BACKEND:
                self._own_overrides(part)
            else:
                reason = f"meant for {platform} alone"
                self.make.lose(part, reason, consequence=Consequence.COSMETIC)
                resource.leave_out(("overrides", platform))

    def _own_overrides(self, part: Node) -> None:
        try:
            NativeOverrides.model_validate(dict(part.value))
        except ValidationError as fault:
            first = fault.errors()[0]
            where = ".".join(str(key) for key in first["loc"])
            known = ", ".join(NativeOverrides.model_fields)
            self.make.reject(part, f"{where}: {first['msg']}", f"native knows {known}")

    def _depend(self, resource: ResourceBuilder, view: View) -> None:
        if not view.value.depends_on:
            return
        resource.leave_out(("depends_on",))
        for name, part in view.depends_on.items():
            self._wait(resource, name, part)

    def _wait(self, resource: ResourceBuilder, name: str, part: View) -> None:
        kind = "job" if name in self.spec.jobs else "service"
        id_ = f"{OTHER_APP}{name}" if "/" in name else f"{kind}/{name}"
        resource.depend(
            id_,
            part.value.awaited,
            part,
            required=part.value.required,
            outcome=Fidelity.EMULATED,
            reason=ORDERED,
        )
        if part.value.restart and (name in self.spec.jobs or name in self.spec.services):
            self._restarting.append((resource, name, part))

    def _restarts(self) -> None:
        """`depends_on.X.restart`: the other's body is part of this one's, so both change."""
        frozen = {name: digest(_without_size(body)) for name, body in self._followed().items()}
        for resource, name, part in self._restarting:
            versions = self.bodies[name].get("secret_versions", {})
            for secret in versions:
                resource.secret_version(secret)
            path = ("restarts_with", name)
            resource.set(path, {"digest": frozen[name], "secrets": versions})
            resource.rate(path, part.restart, Fidelity.EMULATED, FOLLOWS)

    def _followed(self) -> dict[str, dict[str, Any]]:
        names = {name for _, name, _ in self._restarting}
        return {name: self.bodies[name] for name in names}

    def _label(self, resource: ResourceBuilder, view: View) -> None:
        own = view.value.labels
        for key, read in self.app.labels.items():
            if key not in own:
                resource.put(("labels", key), read)

    def _follow_rules(
        self, resource: ResourceBuilder, view: View, rules: RuleTree, base: FieldPath = ()
    ) -> None:
        for read, path, rule in matches(view, rules):
            self._follow(resource, read, (*base, *path), rule)

    def _follow(
        self, resource: ResourceBuilder, read: Read | Node, path: FieldPath, rule: Rule
    ) -> None:
        if rule.outcome is Fidelity.LOST:
            self.make.lose(read, rule.reason, rule.mend, rule.consequence)
            resource.leave_out(path)
        elif rule.outcome is Fidelity.REJECTED:
            self.make.reject(read, rule.reason, rule.mend)
        else:
            resource.rate(
                path,
                read,
                rule.outcome,
                rule.reason,
                mend=rule.mend,
                consequence=rule.consequence,
            )


def compile_native(app: Application, only_driver: str = "") -> Manifest:
    """The application in the native scheduler's words; `only_driver` refuses all other ones."""
    return _Compiler(app, only_driver).compile()


def digest(value: Any) -> str:
    """A short name for a JSON-shaped value: equal values have equal ones."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _each(views: Any) -> Iterable[View]:
    """The models of a list; an empty list is a leaf."""
    return views if isinstance(views, ListView) else ()


def route_name(route: Route) -> str:
    """A name that tells which way in it is, and stays when routes are put in another order."""
    said = f"{route.host or 'any'}{route.path}".rstrip("/")
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", said).strip("-.")[:40]
    identity = [route.host, route.path, route.service, str(route.port)]
    return f"{readable}-{digest(identity)[:8]}"


def _without_size(body: dict[str, Any]) -> dict[str, Any]:
    """A body without the number of replicas: scaling one service restarts no other."""
    deploy = {key: value for key, value in body.get("deploy", {}).items() if key != "replicas"}
    return {**body, "deploy": deploy}
