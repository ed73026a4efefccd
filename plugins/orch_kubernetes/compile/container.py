"""One container of a pod: what it runs, its variables, ports, devices and hooks."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from orch.compile.losses import tell
from orch.compile.view import ListView, Read
from orch.types import Consequence, Fidelity
from orch_kubernetes import names
from orch_kubernetes.compile.files import secret_key, use_secret
from orch_kubernetes.compile.objects import count, given
from orch_kubernetes.compile.probes import ProbeCompiler
from orch_kubernetes.compile.resources import ResourceCompiler
from orch_kubernetes.compile.security import SecurityCompiler
from orch_kubernetes.compile.storage import MountCompiler
from orch_kubernetes.rules import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.compile.view import View
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope
    from orch_kubernetes.compile.pod import Pod

PULL = {"always": "Always", "missing": "IfNotPresent", "never": "Never"}
FIELDS = {
    "entrypoint": "command",
    "command": "args",
    "working_dir": "workingDir",
    "tty": "tty",
    "stdin_open": "stdin",
}
REAPED = "the pod's containers share their processes, and its first one reaps"
SHM = "a folder in memory of that size is mounted at /dev/shm"
NEEDS_SHELL = "run by sh, which the image must have"
ALL_DEVICES = "a privileged container sees the devices of its node; this one is mounted"
ONE_NAME = "a port has one name; who says this one is led to the same port"
ONE_HOST_PORT = "a port of a container is opened at one port of its node"
_OPERATORS = re.compile(r"\$+(?=\()|\${2,}")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
UNSAFE_SYSCTL = "the kubelet of the nodes must allow it: --allowed-unsafe-sysctls"


def escaped(text: str) -> str:
    """A text in which the kubelet replaces nothing: it would fill in `$(NAME)`, and halve `$$`."""
    return _OPERATORS.sub(lambda match: match[0] * 2, text)


class ContainerCompiler:
    """Writes one container, be it the main one, one before it or one beside it."""

    def __init__(
        self, scope: Scope, pod: Pod, path: FieldPath, name: str, ports: Mapping[str, int]
    ) -> None:
        self._scope, self._pod, self._path, self._name = scope, pod, path, name
        self._make, self._resource, self._ports = scope.make, pod.resource, ports
        self._mounts = MountCompiler(scope, pod, path)

    def compile(self, view: View) -> None:
        """Everything that a container of any kind has."""
        self._resource.set((*self._path, "name"), self._name)
        tell(self._make, view, CONTAINER)
        self._runs(view)
        self._environment(view)
        SecurityCompiler(self._scope, self._pod, self._path, self._name).compile(view)
        self._mounts.compile(view)
        self._pod_wide(view)
        self._stop_signal(view.stop_signal)
        self._devices(view)
        self.resources(view.resources)

    def resources(self, resources: View | None) -> None:
        """Needs and bounds; those of a service stand under `deploy`."""
        ResourceCompiler(self._scope, self._pod, self._path).compile(resources)

    def _runs(self, view: View) -> None:
        if view.image is None:
            said = next(
                (r for f in ("command", "entrypoint") if (r := view.field(f)).authored), None
            )
            self._make.reject(
                view.here if said is None else said,
                "Kubernetes runs images alone",
                "build one, and name it as `image`",
            )
        else:
            self._resource.put((*self._path, "image"), view.image, value=str(view.value.image))
        pull = view.pull_policy
        self._resource.put((*self._path, "imagePullPolicy"), pull, value=PULL[pull.value])
        for field, read in given(view, FIELDS):
            value = read.value
            if isinstance(value, tuple):
                value = [escaped(part) for part in value]
            self._resource.put((*self._path, FIELDS[field]), read, value=value)

    def _environment(self, view: View) -> None:
        for index, (key, variable) in enumerate(view.environment.items()):
            path = (*self._path, "env", index)
            self._resource.set((*path, "name"), key)
            if not _VARIABLE.fullmatch(key):
                self._make.reject(
                    variable if isinstance(variable, Read) else variable.secret,
                    f"{key!r} is no name of a variable",
                    "write letters, digits, '_', '-' and '.', no digit first",
                )
            if isinstance(variable, Read):
                self._resource.put((*path, "value"), variable, value=escaped(variable.value))
                continue
            called = use_secret(self._scope, self._resource, variable.secret)
            key_of = (*path, "valueFrom", "secretKeyRef")
            self._resource.put((*key_of, "name"), variable.secret, value=called)
            held = secret_key(self._scope.app, variable.value.secret)
            self._resource.set((*key_of, "key"), held)

    def ports(self, ports: Any, *, outside: bool = True) -> None:
        """Ports that it listens on; a host's port is opened where it runs."""
        for port in ports if isinstance(ports, ListView) else ():
            self._port(port, outside=outside)

    def _port(self, port: View, *, outside: bool) -> None:
        """A port is listed once, however many numbers lead to it from outside."""
        value, put = port.value, self._resource.put
        base, protocol = (*self._path, "ports"), value.protocol.upper()
        standing: list[dict[str, Any]] = self._pod.standing(base) or []
        listed = [(one["containerPort"], one["protocol"]) for one in standing]
        key = (value.target, protocol)
        index = listed.index(key) if key in listed else len(listed)
        there = standing[index] if key in listed else {}
        path = (*base, index)
        put((*path, "containerPort"), port.target)
        put((*path, "protocol"), port.protocol, value=protocol)
        if value.name is not None:
            self._port_name((*path, "name"), port, there.get("name"))
        if outside and value.mode == "host" and value.published is not None:
            self._scope.refuse("host_port", port.published)
            if there.get("hostPort", value.published) != value.published:
                self._make.reject(port.published, ONE_HOST_PORT, "let one of them go")
                return
            put((*path, "hostPort"), port.published, port.mode, value=value.published)
            put((*path, "hostIP"), port.host_ip)

    def _port_name(self, path: FieldPath, port: View, standing: str | None) -> None:
        said = names.port_name(port.value.name)
        if standing in (None, said):
            self._resource.put(path, port.name, value=said)
        else:
            self._resource.rate(path, port.name, Fidelity.EMULATED, ONE_NAME)

    def probes(self, probes: View | None) -> None:
        """Its own health."""
        if probes is not None:
            ProbeCompiler(self._scope, self._pod, self._path, self._ports).compile(probes)

    # -- what the pod has for all its containers ------------------------------------------------

    def _pod_wide(self, view: View) -> None:
        for _, read in given(view, ("init",)):
            if self._pod.lacks(read):
                continue
            self._resource.put(
                (*self._pod.base, "shareProcessNamespace"),
                read,
                outcome=Fidelity.EMULATED,
                reason=REAPED,
            )
        self._groups(view)
        for name, read in view.sysctls.items():
            if not self._pod.lacks(read):
                self._sysctl(name, read)
        if view.platform is not None:
            self._platform(view.platform)
        if view.shm_size is not None:
            volume = self._mounts.add("shm", "/dev/shm", {"emptyDir": {"medium": "Memory"}})  # noqa: S108
            self._resource.put(
                (*volume, "emptyDir", "sizeLimit"),
                view.shm_size,
                outcome=Fidelity.EMULATED,
                reason=SHM,
            )

    def _groups(self, view: View) -> None:
        read = view.group_add
        if (not read.value and not read.authored) or self._pod.lacks(read):
            return
        if not all(group.isdigit() for group in read.value):
            self._make.lose(read, "Kubernetes knows groups by number", "write their numbers")
            return
        path = (*self._pod.base, "securityContext", "supplementalGroups")
        size = count(self._resource, path)
        for group in dict.fromkeys(int(one) for one in read.value):
            self._resource.put((*path, size), read, value=group)
            size += 1
        if not read.value:
            self._resource.put(path, read, value=[])

    def _sysctl(self, name: str, read: Read) -> None:
        base = (*self._pod.base, "securityContext", "sysctls")
        path = (*base, count(self._resource, base))
        self._resource.set((*path, "name"), name)
        safe = name in _SAFE_SYSCTLS
        if not safe:
            self._scope.refuse("sysctl", read)
        how: dict[str, Any] = (
            {} if safe else {"outcome": Fidelity.DEGRADED, "reason": UNSAFE_SYSCTL}
        )
        self._resource.put((*path, "value"), read, **how)

    def _platform(self, read: Read) -> None:
        system, _, rest = read.value.partition("/")
        machine = rest.partition("/")[0]
        base = (*self._pod.base, "nodeSelector")
        for label, said in (("kubernetes.io/os", system), ("kubernetes.io/arch", machine)):
            standing = self._pod.standing((*base, label))
            if standing not in (None, said):
                self._make.reject(read, "all containers of a pod run on one node", "choose one")
            if said:
                self._resource.put((*base, label), read, value=said)

    def _stop_signal(self, read: Read) -> None:
        usual = read.value == "SIGTERM"
        self._make.lose(
            read,
            "the signal that the image names is sent, SIGTERM when it names none",
            "" if usual else f"build the image with STOPSIGNAL {read.value}",
            Consequence.COSMETIC if usual else None,
        )

    def _devices(self, view: View) -> None:
        for device in view.devices if isinstance(view.devices, ListView) else ():
            value = device.value
            self._scope.refuse("device", device.source)
            if not view.value.privileged:
                for read in (device.source, device.target, device.permissions):
                    self._make.reject(
                        read,
                        "a pod is handed devices by device plugins alone",
                        "install one, and ask for the device under reservations.generic",
                    )
                continue
            target = value.target or value.source
            volume = self._mounts.add("device", target, {})
            told: dict[str, Any] = {"outcome": Fidelity.EMULATED, "reason": ALL_DEVICES}
            self._resource.put((*volume, "hostPath", "path"), device.source, **told)
            mounts = (*self._path, "volumeMounts")
            last = (*mounts, count(self._resource, mounts) - 1, "mountPath")
            self._resource.put(last, device.target, **told)
            self._make.lose(
                device.permissions, "a privileged container may do all", "", Consequence.COSMETIC
            )

    # -- around its life -----------------------------------------------------------------------

    def hooks(self, view: View) -> None:
        """Commands after the start and before the stop; one of each, so several are one script."""
        for field, key in (("post_start", "postStart"), ("pre_stop", "preStop")):
            hooks = view.field(field)
            if isinstance(hooks, ListView):
                self._hook((*self._path, "lifecycle", key, "exec", "command"), hooks)

    def _hook(self, path: FieldPath, hooks: ListView) -> None:
        plain = (
            len(hooks) == 1 and not hooks[0].value.working_dir and not hooks[0].value.environment
        )
        told: dict[str, Any] = {"outcome": Fidelity.EMULATED, "reason": NEEDS_SHELL}
        script = " && ".join(_script(hook) for hook in hooks.value)
        said = list(hooks.value[0].command) if plain else ["sh", "-c", script]
        reason = "" if plain else NEEDS_SHELL
        for hook in hooks:
            self._resource.put(path, hook.command, value=said, reason=reason)
            self._resource.put(path, hook.working_dir, value=said, **told)
            for _, read in hook.environment.items():  # noqa: PERF102  (a view)
                self._resource.put(path, read, value=said, **told)


def _script(hook: Any) -> str:
    line = shlex.join(hook.command)
    if hook.environment:
        said = " ".join(f"{key}={shlex.quote(value)}" for key, value in hook.environment.items())
        line = f"{said} {line}"
    return f"(cd {shlex.quote(hook.working_dir)} && {line})" if hook.working_dir else line
