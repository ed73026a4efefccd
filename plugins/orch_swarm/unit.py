"""One service or job of the spec as a service of Swarm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orch.compile.compile import OTHER_APP
from orch.types import Consequence, Fidelity
from orch_swarm import names, wire
from orch_swarm.health import NANO
from orch_swarm.losses import SERVICE, tell
from orch_swarm.mounts import MountCompiler

if TYPE_CHECKING:
    from orch.compile.builder import ManifestBuilder, ResourceBuilder
    from orch.compile.view import View
    from orch.spec.application import Application
    from orch_swarm.references import References

ORDERED = "the deploy waits for it; tasks that are restarted later wait for nothing"
SHM = "a tmpfs of that size is mounted at /dev/shm"
ONCE = "those of a job change when it runs again: any change of a job makes Swarm run it"
GENERIC = "nodes must advertise it as a generic resource"
FIELDS: dict[str, str] = {
    "image": "Image",
    "entrypoint": "Command",
    "command": "Args",
    "working_dir": "Dir",
    "user": "User",
    "group_add": "Groups",
    "init": "Init",
    "tty": "TTY",
    "stdin_open": "OpenStdin",
    "read_only": "ReadOnly",
    "cap_add": "CapabilityAdd",
    "cap_drop": "CapabilityDrop",
    "stop_signal": "StopSignal",
    "hostname": "Hostname",
    "oom_score_adj": "OomScoreAdj",
    "extra_hosts": "Hosts",
    "sysctls": "Sysctls",
}
_DNS = {"dns": "Nameservers", "dns_search": "Search", "dns_opt": "Options"}


class UnitCompiler:
    """What services and jobs have in common."""

    losses = SERVICE
    kind = "service"

    def __init__(
        self, make: ManifestBuilder, app: Application, refs: References, name: str, view: View
    ) -> None:
        self.make, self.app, self.refs, self.view = make, app, refs, view
        self.name = name
        self.resource: ResourceBuilder = make.resource(
            self.kind, f"{self.kind}/{name}", name, rollout=True
        )

    def compile(self) -> ResourceBuilder:
        """Write everything; what the table of losses names is told on the way."""
        tell(self.make, self.view, self.losses)
        self._needs_an_image()
        self._container()
        self._environment()
        self._security()
        MountCompiler(self.make, self.resource, self.app, self.refs).compile(self.view)
        self._networks()
        self._labels()
        self._resources(self.view.resources)
        self._mode()
        self._depends()
        self._overrides()
        if self.view.value.profiles:
            self.make.core(self.view.profiles)
        return self.resource

    def put(self, path: tuple[Any, ...], read: Any, value: Any, **more: Any) -> None:
        """Write a read with a value of its own."""
        self.resource.put(path, read, value=value, **more)

    # -- the container ---------------------------------------------------------------------

    def _needs_an_image(self) -> None:
        unit = self.view.value
        if unit.image is None:
            self.make.reject(
                self.view.here, "Swarm runs images alone", "build one, and name it as `image`"
            )

    def _container(self) -> None:
        for field, key in FIELDS.items():
            part = self.view.field(field)
            if part is not None and (field in self.view.value.model_fields_set or part.value):
                self.resource.put(("Container", key), part)
        grace = self.view.stop_grace_period
        self.put(("Container", "StopGracePeriod"), grace, int(grace.value) * NANO)
        for field, key in _DNS.items():
            if field in self.view.value.model_fields_set:
                self.resource.put(("Container", "DNSConfig", key), self.view.field(field))
        for name, bound in self.view.ulimits.items():
            self.resource.put(("Container", "Ulimits", name, "Soft"), bound.soft)
            self.resource.put(("Container", "Ulimits", name, "Hard"), bound.hard)
        if self.view.logging is not None:
            self.resource.put(("LogDriver", "Name"), self.view.logging.driver)
            for key, read in self.view.logging.options.items():
                self.resource.put(("LogDriver", "Options", key), read)
        if self.view.shm_size is not None:
            path = ("Container", "Mounts", "/dev/shm", "TmpfsOptions", "SizeBytes")  # noqa: S108
            self.resource.set(("Container", "Mounts", "/dev/shm", "Type"), "tmpfs")  # noqa: S108
            size = self.view.shm_size
            self.put(path, size, int(size.value), outcome=Fidelity.EMULATED, reason=SHM)
        if self.view.platform is not None:
            self._platform()

    def _platform(self) -> None:
        system, _, machine = self.view.platform.value.partition("/")
        wanted = {"OS": system, "Architecture": wire.machine(machine.partition("/")[0])}
        self.put(("Placement", "Platforms"), self.view.platform, [wanted])

    def _environment(self) -> None:
        for key, variable in self.view.environment.items():
            if isinstance(variable.value, str):
                self.resource.put(("Container", "Env", key), variable)
            else:
                self.make.reject(
                    variable,
                    "Swarm hands secrets out as files; a variable could be read by all who may "
                    "inspect the service",
                    "list it under `secrets`, and read /run/secrets/NAME",
                )

    def _security(self) -> None:
        if self.view.value.credential_spec is not None:
            self._credential_spec()
        options = self.view.security_opt
        if not options.value:
            if options.authored:
                self.put(("Container", "Privileges"), options, {})
            return
        privileges: dict[str, Any] = {}
        for option in options.value:
            said = _privilege(option)
            if said is None:
                self.make.reject(
                    options, f"Swarm has no words for {option!r}", "set it on the engines"
                )
                return
            privileges |= said
        self.put(("Container", "Privileges"), options, privileges)

    def _credential_spec(self) -> None:
        spec = self.view.credential_spec
        path = ("Container", "Privileges", "CredentialSpec")
        if spec.config is not None:
            self.put((*path, "Config"), spec.config, self.refs.config(self.resource, spec.config))
        for field, key in (("file", "File"), ("registry", "Registry")):
            self.resource.put((*path, key), spec.field(field))

    # -- networks and labels -----------------------------------------------------------------

    def _networks(self) -> None:
        unit = self.view.value
        if unit.network_mode == "none":
            self.make.reject(
                self.view.network_mode,
                "Swarm starts no task without a network",
                "give it an internal network of its own",
            )
            return
        if unit.network_mode == "host":
            self.put(("Networks", "/host"), self.view.network_mode, {})
            return
        chosen: dict[str, Any] = dict(self.view.networks.items())
        if self.view.network_mode.authored:
            self.put(("Labels", "orch.network-mode"), self.view.network_mode, "app")
        for network, attachment in (chosen or {"default": None}).items():
            target = self.refs.network(self.resource, network)
            self.resource.set(("Networks", target, "Aliases"), [self.name])
            if attachment is not None:
                self._attach(target, attachment)

    def _attach(self, target: str, attachment: View) -> None:
        self.resource.rate(("Networks", target), attachment.here, Fidelity.NATIVE, "")
        if attachment.value.aliases or attachment.aliases.authored:
            aliases = list(dict.fromkeys([self.name, *attachment.value.aliases]))
            self.put(("Networks", target, "Aliases"), attachment.aliases, aliases)
        for key, read in attachment.driver_opts.items():
            self.resource.put(("Networks", target, "DriverOpts", key), read)

    def _labels(self) -> None:
        how = self._labelled()
        for key, read in self.make.app.labels.items():
            self.put(("Labels", key), read, read.value, **how)
        for key, read in self.view.annotations.items():
            self.put(("Labels", f"annotation.{key}"), read, read.value, **how)
        for key, read in self.view.labels.items():
            self.resource.put(("Container", "Labels", key), read)
        image = self.view.value.image
        login = self.app.registries.get(image.registry) if image is not None else None
        if login is not None:
            self._login(login.username, login.password.secret)

    def _login(self, username: str, secret: str) -> None:
        said = {"username": username, "secret": secret}
        if not self.app.secrets[secret].external:
            self.resource.secret_value(secret)
            if self.kind == "service":
                # A new password goes to the nodes; a job would run again for it.
                said["version"] = self.resource.secret_version(secret)
        self.resource.set(("Labels", names.REGISTRY), json.dumps(said, sort_keys=True))

    # -- resources -----------------------------------------------------------------------------

    def _resources(self, resources: View | None) -> None:
        if resources is None:
            return
        for bound, key in ((resources.limits, "Limits"), (resources.reservations, "Reservations")):
            if bound is None:
                continue
            if bound.cpus is not None:
                cpus = bound.cpus
                self.put(("Resources", key, "NanoCPUs"), cpus, int(cpus.value) * NANO)
            if bound.memory is not None:
                self.put(("Resources", key, "MemoryBytes"), bound.memory, int(bound.memory.value))
        if resources.limits is not None:
            self.resource.put(("Resources", "Limits", "Pids"), resources.limits.pids)
        if resources.reservations is not None:
            self._generic(resources.reservations)

    def _generic(self, reservations: View) -> None:
        for kind, read in reservations.generic.items():
            self.resource.put(("Resources", "Reservations", "Generic", kind), read)
        for device in reservations.devices if reservations.value.devices else ():
            self._device(device)

    def _device(self, device: View) -> None:
        value = device.value
        kind = value.capabilities[0] if value.capabilities else "gpu"
        told: dict[str, Any] = {"outcome": Fidelity.DEGRADED, "reason": GENERIC}
        base = ("Resources", "Reservations")
        count, ids = device.field("count"), device.device_ids
        if value.device_ids:
            self.put((*base, "Named", kind), ids, list(value.device_ids), **told)
            self.make.lose(count, "the devices are named", "", Consequence.COSMETIC)
        elif value.count == "all":
            self.make.reject(count, "Swarm counts what it sets aside", "say a number")
            return
        else:
            self.put((*base, "Generic", kind), count, value.count, **told)
            if ids.authored:
                self.put((*base, "Named", kind), ids, [], **told)
        if len(value.capabilities) > 1:
            self.make.reject(device.field("capabilities"), "Swarm counts one kind", "name one")
            return
        kinds = (*base, "Named" if value.device_ids else "Generic")
        self.resource.rate(kinds, device.field("capabilities"), Fidelity.DEGRADED, GENERIC)

    # -- order and platform --------------------------------------------------------------------

    def _depends(self) -> None:
        for name, part in self.view.depends_on.items():
            kind = "job" if name in self.app.jobs else "service"
            id_ = f"{OTHER_APP}{name}" if "/" in name else f"{kind}/{name}"
            self.resource.depend(
                id_,
                part.value.awaited,
                part,
                required=part.value.required,
                outcome=Fidelity.EMULATED,
                reason=ORDERED,
            )
            self.make.lose(
                part.restart,
                "a service is not restarted for another one",
                "let it connect again by itself",
            )

    def _overrides(self) -> None:
        for platform, part in self.view.overrides.items():
            if platform != names.BACKEND:
                self.make.lose(part, f"meant for {platform} alone", "", Consequence.COSMETIC)
                continue
            for key, read in part.items():
                if key == "isolation" and read.value in ("default", "process", "hyperv"):
                    self.resource.put(("Container", "Isolation"), read)
                else:
                    known = "isolation: default, process or hyperv"
                    self.make.reject(read, f"{key} is not known for swarm", f"swarm knows {known}")

    def _labelled(self) -> dict[str, Any]:
        """How well labels are held that may change."""
        if self.kind != "job" or self.app.jobs[self.name].schedule is not None:
            return {}
        self.resource.set("RunsOnce", "")
        return {"reason": ONCE}

    def _mode(self) -> None:
        raise NotImplementedError

    def _restart(self, policy: View | None) -> None:
        if policy is None:
            return
        self.resource.put(("RestartPolicy", "Condition"), policy.condition)
        self.put(("RestartPolicy", "Delay"), policy.delay, int(policy.delay.value) * NANO)
        self.resource.put(("RestartPolicy", "MaxAttempts"), policy.max_attempts)
        if policy.window is not None:
            self.put(("RestartPolicy", "Window"), policy.window, int(policy.window.value) * NANO)


def _privilege(option: str) -> dict[str, Any] | None:
    """A security option as the engine's API says it, None when it can't."""
    key, _, value = option.replace("=", ":").partition(":")
    if key == "no-new-privileges":
        return {"NoNewPrivileges": value in ("", "true")}
    if key == "seccomp" and value == "unconfined":
        return {"Seccomp": {"Mode": "unconfined"}}
    if key == "apparmor" and value == "unconfined":
        return {"AppArmor": {"Mode": "disabled"}}
    if key == "label":
        return {"SELinuxContext": _selinux(value)}
    return None


def _selinux(value: str) -> dict[str, Any]:
    if value == "disable":
        return {"Disable": True}
    key, _, said = value.partition(":")
    return {key.capitalize(): said}
