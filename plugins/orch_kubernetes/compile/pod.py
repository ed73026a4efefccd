"""The pod of a service or job: its containers, and what they share."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from orch.compile.compile import OTHER_APP
from orch.compile.view import ListView
from orch.types import Condition, Consequence, Fidelity
from orch_kubernetes import names
from orch_kubernetes.compile.account import use_account
from orch_kubernetes.compile.container import ContainerCompiler
from orch_kubernetes.compile.files import config_name
from orch_kubernetes.compile.objects import count, given, put_annotations, put_labels
from orch_kubernetes.compile.stop import compile_stop

if TYPE_CHECKING:
    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import Read, View
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope

CONDITIONS = {
    "service_started": Condition.STARTED,
    "service_healthy": Condition.HEALTHY,
    "service_completed_successfully": Condition.COMPLETED,
}
ORDERED = "the deploy waits for it; pods that are restarted later wait for nothing"
BESIDE = "before 1.29 it is an ordinary container: it starts with the main one"
NEVER_ENDS = "before 1.29 it is an ordinary container: the job's pod ends when this one does"
OWN_GROUP = "the project's own group is used, and the container has it: it may read the file"
ON_WINDOWS = "a pod on Windows has nothing of it"
MOST_SERVERS = 3
THIRD = "asked after the cluster's own name server; with that one only two of them are"
AFTER_CLUSTER = "asked after the cluster's own name server"


class Pod:
    """The pod's template in the body of its workload; `base` is the path of its spec."""

    def __init__(self, scope: Scope, resource: ResourceBuilder, base: FieldPath, name: str) -> None:
        self.scope, self.resource, self.base, self.name = scope, resource, base, name
        self.metadata: FieldPath = (*base[:-1], "metadata")
        self.templates: dict[str, FieldPath] = {}
        self._shared: dict[str, FieldPath] = {}

    @property
    def windows(self) -> bool:
        """Whether its containers are said to run on Windows."""
        app = self.scope.app
        unit = app.services.get(self.name) or app.jobs[self.name]
        parts = (unit, *unit.pre_start, *unit.sidecars.values())
        return any(str(part.platform or "").startswith("windows") for part in parts)

    def lacks(self, read: Read) -> bool:
        """Tell of a field that Linux alone knows, when the pod runs on Windows; whether it does."""
        if not self.windows:
            return False
        if read.value:
            self.scope.make.lose(read, ON_WINDOWS, "leave it out")
        else:
            self.resource.rate((*self.base, "containers"), read, Fidelity.NATIVE, "")
        return True

    def standing(self, path: FieldPath) -> Any:
        """What stands at a path of the body, None when nothing does."""
        part: Any = self.resource.body
        for key in path:
            if isinstance(part, list):
                part = part[key] if isinstance(key, int) and key < len(part) else None
            elif isinstance(part, dict):
                part = part.get(key)
            if part is None:
                return None
        return part

    def volume(self, stem: str) -> FieldPath:
        """A new volume of the pod."""
        base = (*self.base, "volumes")
        index = count(self.resource, base)
        self.resource.set((*base, index, "name"), f"{stem}-{index}")
        return (*base, index)

    def volume_name(self, path: FieldPath) -> str:
        """What a volume of the pod is called."""
        return str(self.standing((*path, "name")))

    def shared_volume(self, name: str) -> tuple[FieldPath, bool]:
        """The pod's volume for a claim, and whether it is a new one."""
        fresh = name not in self._shared
        if fresh:
            path = self.volume("volume")
            self.resource.set((*path, "name"), names.object_name(name))
            self._shared[name] = path
        return self._shared[name], fresh

    def claim_template(self, name: str) -> bool:
        """Whether each replica has a claim of its own for this volume."""
        return name in self.templates

    def group_of_files(self, read: Read, reason: str) -> None:
        """Let the group that a file asks for be that of all files; a pod has one."""
        path = (*self.base, "securityContext", "fsGroup")
        if self.lacks(read):
            return
        if "user" in self.scope.facts.flavour.refused:
            self.scope.make.lose(read, OWN_GROUP, "", Consequence.COSMETIC)
            return
        standing = self.standing(path)
        if not str(read.value).isdigit() or standing not in (None, int(read.value)):
            make = self.scope.make
            make.lose(
                read,
                "a pod has one group for its files, by number",
                "use one",
                Consequence.AVAILABILITY,
            )
            return
        how: dict[str, Any] = {"outcome": Fidelity.EMULATED, "reason": reason}
        self.resource.put(path, read, value=int(read.value), **how)


class PodCompiler:
    """Writes all that services and jobs have in common."""

    def __init__(self, pod: Pod, view: View, *, ends: bool) -> None:
        self._pod, self._view, self._ends = pod, view, ends
        self._scope, self._make = pod.scope, pod.scope.make
        self._resource, self._base = pod.resource, pod.base
        self._ports = {
            port.name: port.target
            for part in (view.value, *view.value.sidecars.values())
            for port in getattr(part, "ports", ())
            if port.name is not None
        }

    def compile(self) -> ContainerCompiler:
        """The whole pod; its main container, for what only services or jobs have."""
        self._labels()
        use_account(self._pod)
        self._resource.set((*self._base, "enableServiceLinks"), value=False)
        main = self._containers()
        self._namespaces()
        self._resolver()
        self._hosts()
        self._windows()
        compile_stop(self._pod, self._view, ends=self._ends)
        self._depends()
        if self._view.value.profiles:
            self._make.core(self._view.profiles)
        return main

    def _put(self, key: str, read: Any, **how: Any) -> None:
        self._resource.put((*self._base, key), read, **how)

    def _labels(self) -> None:
        app = self._scope.app.name
        own = {**names.selector(app, self._pod.name), names.PART_OF: names.label_value(app)}
        own[names.NAME] = names.label_value(self._pod.name)
        for key, text in own.items():
            self._resource.set((*self._pod.metadata, "labels", key), text)
        put_labels(self._resource, self._pod.metadata, self._view.labels)
        put_annotations(self._resource, self._pod.metadata, self._view.annotations)

    # -- containers ----------------------------------------------------------------------------

    def _containers(self) -> ContainerCompiler:
        view = self._view
        main = self._container((*self._base, "containers", 0), names.object_name(self._pod.name))
        main.compile(view)
        inits = view.pre_start if isinstance(view.pre_start, ListView) else ()
        for index, init in enumerate(inits):
            self._container((*self._base, "initContainers", index), f"init-{index}").compile(init)
        for name, sidecar in view.sidecars.items():
            self._sidecar(names.object_name(name), sidecar)
        return main

    def _container(self, path: FieldPath, name: str) -> ContainerCompiler:
        return ContainerCompiler(self._scope, self._pod, path, name, self._ports)

    def _sidecar(self, name: str, view: View) -> None:
        native = self._scope.facts.has("sidecars")
        base = (*self._base, "initContainers" if native else "containers")
        path = (*base, count(self._resource, base))
        if name == names.object_name(self._pod.name):
            name = names.object_name(f"{name}-sidecar")
        container = self._container(path, name)
        container.compile(view)
        container.ports(view.ports, outside=not self._ends)
        container.probes(view.probes)
        if native:
            self._resource.set((*path, "restartPolicy"), "Always")
        else:
            told = NEVER_ENDS if self._ends else BESIDE
            self._resource.rate((*path, "image"), view.here, Fidelity.DEGRADED, told)
            if view.image is not None:
                self._resource.rate((*path, "image"), view.image, Fidelity.DEGRADED, told)

    # -- namespaces ----------------------------------------------------------------------------

    def _namespaces(self) -> None:
        view, scope = self._view, self._scope
        mode = view.network_mode
        if mode.value == "host":
            scope.refuse("host_network", mode)
            self._resource.set((*self._base, "dnsPolicy"), "ClusterFirstWithHostNet")
        if mode.value == "host" or mode.authored:
            self._put("hostNetwork", mode, value=mode.value == "host")
        if view.ipc is not None and not self._pod.lacks(view.ipc):
            self._ipc(view.ipc)
        if view.pid is not None and not self._pod.lacks(view.pid):
            scope.refuse("host_pid", view.pid)
            self._put("hostPID", view.pid, value=True)
        if view.userns_mode is not None and not self._pod.lacks(view.userns_mode):
            if scope.facts.has("user_namespaces"):
                self._put("hostUsers", view.userns_mode, value=True)
            else:
                told = "before 1.33 every pod has the users of its node"
                self._make.lose(view.userns_mode, told, "", Consequence.COSMETIC)
        self._put("runtimeClassName", view.runtime, value=str(view.value.runtime).lower())

    def _ipc(self, read: Read) -> None:
        if read.value in ("host", "private", "shareable"):
            if read.value == "host":
                self._scope.refuse("host_ipc", read)
            self._put("hostIPC", read, value=read.value == "host")
        else:
            self._make.reject(
                read, "containers of one pod share it, and no others do", "make it a sidecar"
            )

    def _resolver(self) -> None:
        view, config = self._view, (*self._base, "dnsConfig")
        if view.value.dns:
            read = view.dns
            reason = AFTER_CLUSTER if len(read.value) < MOST_SERVERS else THIRD
            how: dict[str, Any] = {"outcome": Fidelity.DEGRADED, "reason": reason}
            self._resource.put((*config, "nameservers"), read, **how)
            if len(read.value) > MOST_SERVERS:
                self._make.reject(read, f"a pod has {MOST_SERVERS} name servers", "name the first")
        for _, read in given(view, ("dns_search",)):
            self._resource.put((*config, "searches"), read)
        for _, read in given(view, ("dns_opt",)):
            options = [_option(option) for option in read.value]
            self._resource.put((*config, "options"), read, value=options)

    def _hosts(self) -> None:
        view = self._view
        by_address: dict[str, int] = {}
        for host, read in view.extra_hosts.items():
            if not _is_address(read.value):
                self._make.reject(read, f"{read.value!r} is no address", "write one")
                continue
            index = by_address.setdefault(read.value, len(by_address))
            path = (*self._base, "hostAliases", index)
            self._resource.set((*path, "ip"), read.value)
            listed = count(self._resource, (*path, "hostnames"))
            self._resource.set((*path, "hostnames", listed), host)
            self._resource.rate((*path, "hostnames", listed), read, Fidelity.NATIVE, "")
            self._resource.rate((*path, "ip"), read, Fidelity.NATIVE, "")
        if view.hostname is not None:
            self._hostname(view.hostname)

    def _hostname(self, read: Read) -> None:
        if self._resource.kind == "StatefulSet":
            told = "replicas of a StatefulSet are named by their index"
            self._make.lose(read, told, "use the service's name")
        elif names.object_name(read.value) != read.value:
            self._make.reject(
                read, "a pod's host name is one label of DNS", "write letters, digits and '-'"
            )
        else:
            self._put("hostname", read)

    def _windows(self) -> None:
        if self._pod.windows and self._scope.facts.has("pod_os"):
            self._resource.set((*self._base, "os", "name"), "windows")
        spec = self._view.credential_spec
        if spec is None or spec.config is None:
            return
        path = (*self._base, "securityContext", "windowsOptions")
        config = self._scope.app.configs.get(spec.config.value)
        if config is not None and not config.external:
            self._resource.put(
                (*path, "gmsaCredentialSpec"), spec.config, value=str(config.content)
            )
        else:
            said = config_name(spec.config.value, config) if config else spec.config.value
            self._resource.put((*path, "gmsaCredentialSpecName"), spec.config, value=said)

    def _depends(self) -> None:
        for name, part in self._view.depends_on.items():
            kind = "job" if name in self._scope.app.jobs else "service"
            id_ = f"{OTHER_APP}{name}" if "/" in name else f"{kind}/{name}"
            self._resource.depend(
                id_,
                CONDITIONS[part.value.condition],
                part,
                required=part.value.required,
                outcome=Fidelity.EMULATED,
                reason=ORDERED,
            )


def _option(text: str) -> dict[str, str]:
    name, _, value = text.partition(":")
    return {"name": name, "value": value} if value else {"name": name}


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
