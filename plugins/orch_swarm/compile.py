"""Application to manifest: services, networks, volumes, configs and secrets of Swarm.

Names in bodies are those of the spec: the instance's prefix comes when they are sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.compile.builder import ManifestBuilder
from orch.compile.view import ListView
from orch.frozen import EMPTY
from orch.types import Consequence, Fidelity
from orch_swarm import names
from orch_swarm.capabilities import capabilities
from orch_swarm.job import JobCompiler
from orch_swarm.losses import POLICY, VOLUME, tell
from orch_swarm.references import References
from orch_swarm.routes import RouteCompiler
from orch_swarm.schedules import scheduler_service
from orch_swarm.service import ServiceCompiler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import View
    from orch.spec.application import Application
    from orch.types import Manifest

EXTERNAL = "external"
"""The kind of what is only looked for: it is never made, changed or removed."""
HASHED = "its content is part of the name, as Swarm never changes one"
LIMIT = 1000 * 1024
"""Bytes that a config may not reach."""
PINNED = "the service is pinned to the node that holds the volume, and waits when it is lost"
SHARED = "the driver decides who may write: Swarm checks nothing"
APART = "every node has files of its own under this name"
OVERLAY = "a network of one host is no use to a swarm: an overlay is made"
_ONE_HOST = ("bridge", "host", "macvlan", "ipvlan")
_LOCAL = (None, "local")


def compile_swarm(app: Application, settings: Mapping[str, str] = EMPTY) -> Manifest:
    """The application in Swarm's words, with the target's options."""
    endpoint_mode = settings.get("endpoint_mode", "")
    make = ManifestBuilder(app, names.BACKEND, capabilities())
    refs = References(app)
    _files(make, refs)
    _networks(make, app)
    _volumes(make)
    _registries(make)
    for name, view in make.app.jobs.items():
        JobCompiler(make, app, refs, name, view).compile()
    scheduler_service(make, app, refs, settings)
    for name, view in make.app.services.items():
        ServiceCompiler(make, app, refs, name, view, endpoint_mode=endpoint_mode).compile()
    RouteCompiler(make, app, refs, settings).compile()
    for view in make.app.policies if isinstance(make.app.policies, ListView) else ():
        tell(make, view, POLICY)
    make.core(make.app.fidelity)
    return make.build()


def _labels(resource: ResourceBuilder, view: View) -> None:
    for key, read in view.labels.items():
        resource.put(("Labels", key), read)


# -- configs and secrets -----------------------------------------------------------------------


def _files(make: ManifestBuilder, refs: References) -> None:
    for name, view in make.app.configs.items():
        _config(make, refs, name, view)
    for name, view in make.app.secrets.items():
        _secret(make, refs, name, view)


def _config(make: ManifestBuilder, refs: References, name: str, view: View) -> None:
    config = view.value
    kind = EXTERNAL if config.external else "config"
    resource = make.resource(kind, f"config/{name}", refs.config_name(name, config))
    make.core(view.file)
    if config.external:
        resource.put("External", view.external)
    else:
        if view.external.authored:
            resource.put("External", view.external)
        resource.put("Content", view.content)
        resource.put("Encoding", view.encoding)
        if config.size >= LIMIT:
            given = view.content if view.file is None else view.file
            make.reject(
                given, "a config of a swarm holds less than 1000 KiB", "put it into the image"
            )
    if view.name is not None:
        outcome = Fidelity.NATIVE if config.external else Fidelity.EMULATED
        resource.put("Name", view.name, outcome=outcome, reason="" if config.external else HASHED)
    _labels(resource, view)


def _secret(make: ManifestBuilder, refs: References, name: str, view: View) -> None:
    secret = view.value
    kind = EXTERNAL if secret.external else "secret"
    logs_in = any(one.password.secret == name for one in make.app.value.registries.values())
    if logs_in and not secret.external and not refs.mounts_secret(name):
        # It is sent to log in, and nobody mounts it: the swarm need not hold it.
        make.core(view)
        return
    resource = make.resource(kind, f"secret/{name}", refs.secret_name(name, secret))
    if logs_in and not secret.external:
        resource.set(("Labels", names.LOGIN), "yes")
    for source in ("provider", "key", "path", "options", "encoding"):
        make.core(view.field(source))
    if secret.external:
        resource.put("External", view.external)
    else:
        if view.external.authored:
            resource.put("External", view.external)
        resource.set("Version", resource.secret_version(name))
        resource.secret_value(name)
    if view.name is not None:
        outcome = Fidelity.NATIVE if secret.external else Fidelity.EMULATED
        resource.put("Name", view.name, outcome=outcome, reason="" if secret.external else HASHED)
    _labels(resource, view)


# -- networks, volumes, registries ---------------------------------------------------------------


def _networks(make: ManifestBuilder, app: Application) -> None:
    units = (*app.services.values(), *app.jobs.values())
    if "default" not in app.networks and any(
        not unit.networks and unit.network_mode == "app" for unit in units
    ):
        resource = make.resource("network", "network/default", "default")
        resource.set("Driver", "overlay")
    for name, view in make.app.networks.items():
        _network(make, name, view)


def _network(make: ManifestBuilder, name: str, view: View) -> None:
    network = view.value
    named = network.name or (name if network.external else "")
    kind = EXTERNAL if network.external else "network"
    resource = make.resource(kind, f"network/{name}", f"/{named}" if named else name)
    resource.rate((), view.here, Fidelity.NATIVE, "")
    resource.set("Driver", "overlay")
    if network.driver in _ONE_HOST:
        path = ("Options", "orch.driver")
        resource.put(path, view.driver, outcome=Fidelity.DEGRADED, reason=OVERLAY)
    else:
        resource.put("Driver", view.driver)
    if view.name is not None:
        resource.put("Name", view.name)
    for field, key in (
        ("external", "External"),
        ("internal", "Internal"),
        ("attachable", "Attachable"),
        ("enable_ipv6", "EnableIPv6"),
    ):
        read = view.field(field)
        if read.value or read.authored:
            resource.put(key, read)
    if network.encrypted or view.encrypted.authored:
        resource.put("Encrypted", view.encrypted)
    for key, read in view.driver_opts.items():
        resource.put(("Options", key), read)
    for index, pool in enumerate(view.ipam if isinstance(view.ipam, ListView) else ()):
        for field, key in (("subnet", "Subnet"), ("gateway", "Gateway"), ("ip_range", "IPRange")):
            if pool.field(field) is not None:
                resource.put(("IPAM", index, key), pool.field(field))
    _labels(resource, view)


def _volumes(make: ManifestBuilder) -> None:
    for name, view in make.app.volumes.items():
        volume = view.value
        named = volume.name or (name if volume.external else "")
        resource = make.resource(
            EXTERNAL if volume.external else "volume",
            f"volume/{name}",
            f"/{named}" if named else name,
            stateful=not volume.external,
        )
        tell(make, view, VOLUME)
        resource.rate((), view.here, Fidelity.NATIVE, "")
        resource.set("Driver", "local")
        resource.put("Driver", view.driver)
        for key, read in view.driver_opts.items():
            resource.put(("Options", key), read)
        if view.name is not None:
            resource.put("Name", view.name)
        if volume.external or view.external.authored:
            resource.put("External", view.external)
        _access(resource, view)
        _labels(resource, view)


def _access(resource: ResourceBuilder, view: View) -> None:
    volume = view.value
    own = volume.driver in _LOCAL and not volume.driver_opts and not volume.external
    reason, consequence = PINNED, None
    if volume.access != "exclusive":
        reason, consequence = (APART, Consequence.DATA) if own else (SHARED, None)
    resource.put(
        ("Labels", names.ACCESS),
        view.access,
        outcome=Fidelity.DEGRADED,
        reason=reason,
        mend="name a driver that shares, or constrain the service to one node" if own else "",
        consequence=consequence,
    )


def _registries(make: ManifestBuilder) -> None:
    """Kept as a config of its own: what logs in where; the password itself is only sent."""
    for host, view in make.app.registries.items():
        resource = make.resource("registry", f"registry/{host}", f"registry-{host}")
        resource.put("Username", view.username)
        resource.put("Secret", view.password.secret)
