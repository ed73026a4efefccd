"""A service as a Deployment, a StatefulSet or a DaemonSet."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from orch.compile.losses import tell
from orch.spec.deploy import UpdateConfig
from orch.types import Consequence, Fidelity
from orch_kubernetes import names
from orch_kubernetes.compile.network import is_published, ports_of
from orch_kubernetes.compile.objects import count, put_labels
from orch_kubernetes.compile.placement import PlacementCompiler
from orch_kubernetes.compile.pod import Pod, PodCompiler
from orch_kubernetes.compile.scaling import use_priority
from orch_kubernetes.compile.storage import write_claim
from orch_kubernetes.rules import SERVICE

if TYPE_CHECKING:
    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import Read, View
    from orch.spec.application import Application, Service
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope

DEPLOYMENT, STATEFUL, DAEMON = "Deployment", "StatefulSet", "DaemonSet"
TEMPLATE = ("spec", "template", "spec")
WATCHED = "this side watches the pods"
PAUSED = "a new replica has to stay ready for that long before the next one follows"
CANARY = "this side holds the rollout once that many are new, until they are healthy"
ONE_BY_ONE = "a StatefulSet changes its pods one by one"
NEVER_BESIDE = "a pod that starts first can never have the host port of the one it replaces"
NEEDS_A_NODE = "a new replica needs a node where its host port is free: one more than replicas"
STOP_FIRST = "use order: stop-first, or mode: ingress"
STAYS = "a pod of a silent node is kept until the node is back or removed"
UNREACHABLE = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
EVICTED_AFTER = 300


def kind_of(app: Application, service: Service) -> str:
    """Which workload a service becomes: what has its own storage or order is a StatefulSet."""
    if service.deploy.mode == "global":
        return DAEMON
    if service.deploy.ordered or _claims(app, service, exclusive=True):
        return STATEFUL
    return DEPLOYMENT


def _claims(app: Application, service: Service, *, exclusive: bool = False) -> list[str]:
    """The volumes that each replica has for itself; with `exclusive` those of one writer too."""
    mounts = [
        mount.source
        for part in (service, *service.pre_start, *service.sidecars.values())
        for mount in part.volumes
        if mount.type == "volume" and mount.source in app.volumes
    ]
    return [
        name
        for name in dict.fromkeys(str(source) for source in mounts)
        if not app.volumes[name].external
        and (
            app.volumes[name].per_replica or (exclusive and app.volumes[name].access == "exclusive")
        )
    ]


class WorkloadCompiler:
    """Writes the workload of one service."""

    def __init__(self, scope: Scope, name: str, view: View) -> None:
        self._scope, self._make, self._name, self._view = scope, scope.make, name, view
        self._kind = kind_of(scope.app, view.value)
        self._resource: ResourceBuilder = scope.begin(
            "apps/v1", self._kind, f"service/{name}", names.object_name(name), rollout=True
        )
        self._pod = Pod(scope, self._resource, TEMPLATE, name)

    def compile(self) -> None:
        """The workload with its pods."""
        tell(self._make, self._view, SERVICE)
        deploy = self._view.deploy
        selector = names.selector(self._scope.app.name, self._name)
        self._resource.set("spec.selector.matchLabels", selector)
        self._resource.set(("metadata", "labels", names.SERVICE), selector[names.SERVICE])
        self._replicas(deploy)
        self._stateful(deploy)
        main = PodCompiler(self._pod, self._view, ends=False).compile()
        main.ports(self._view.ports)
        main.probes(self._view.probes)
        main.hooks(self._view)
        main.resources(deploy.resources)
        if deploy.placement is not None:
            PlacementCompiler(self._scope, self._pod, self._name).compile(deploy.placement)
        if deploy.restart_policy is not None:
            self._restart(deploy.restart_policy.condition)
        self._update(deploy)
        self._partition(deploy.on_partition)
        self._reached()
        use_priority(self._scope, self._pod, deploy.priority)
        put_labels(self._resource, ("metadata",), deploy.labels)
        self._resource.hold_empty(self._view, ("kind",))

    def _reached(self) -> None:
        """Its addresses are there before it is, and its rollout ends once they lead to it."""
        self._resource.depend(f"address/{self._name}")
        if is_published(self._view.value):
            self._resource.depend(f"published/{self._name}")

    def _replicas(self, deploy: View) -> None:
        kind = DAEMON if deploy.value.mode == "global" else DEPLOYMENT
        self._resource.rate(("kind",), deploy.mode, Fidelity.NATIVE, "")
        if kind == DAEMON:
            self._scope.refuse("daemonset", deploy.mode)
            self._make.lose(deploy.replicas, "every node has one", "", Consequence.COSMETIC)
            return
        self._resource.put("spec.replicas", deploy.replicas)
        if self._view.value.autoscale is not None:
            said = f"{self._view.value.autoscale.min} to {self._view.value.autoscale.max}"
            self._resource.set(("metadata", "annotations", names.AUTOSCALED), said)

    def _stateful(self, deploy: View) -> None:
        ordered = deploy.ordered
        if self._kind != STATEFUL:
            if ordered.authored and ordered.value:
                self._make.lose(ordered, "one runs on every node, in no order")
            elif ordered.authored:
                self._resource.rate(("kind",), ordered, Fidelity.NATIVE, "")
            return
        self._resource.set("spec.serviceName", names.object_name(self._name))
        said = "OrderedReady" if ordered.value else "Parallel"
        self._resource.put("spec.podManagementPolicy", ordered, value=said)
        if self._scope.facts.has("claim_retention"):
            kept = {"whenDeleted": "Retain", "whenScaled": "Retain"}
            self._resource.set("spec.persistentVolumeClaimRetentionPolicy", kept)
        for volume in _claims(self._scope.app, self._view.value):
            self._template(volume)

    def _template(self, volume: str) -> None:
        base: FieldPath = ("spec", "volumeClaimTemplates")
        path = (*base, count(self._resource, base))
        view = self._make.app.volumes[volume]
        self._resource.set((*path, "metadata", "name"), names.object_name(volume))
        self._resource.rate((*path, "metadata", "name"), view.per_replica, Fidelity.NATIVE, "")
        self._make.lose(view.name, "claims are named by their replica", "", Consequence.COSMETIC)
        if view.external.authored:
            self._resource.rate((*path, "metadata", "name"), view.external, Fidelity.NATIVE, "")
        write_claim(self._scope, self._resource, path, view)
        self._pod.templates[volume] = path

    # -- restarts and updates --------------------------------------------------------------------

    def _restart(self, read: Read) -> None:
        if read.value == "any":
            self._resource.put((*TEMPLATE, "restartPolicy"), read, value="Always")
        else:
            told = "containers of a service are restarted however they end"
            self._make.lose(read, told, "make it a job")

    def _update(self, deploy: View) -> None:
        view = deploy.update_config
        config = view.value if view is not None else UpdateConfig()
        read = view.field if view is not None else lambda _name: None
        if self._kind == DEPLOYMENT:
            self._rolling(config, read)
            deadline = ceil(config.progress_deadline.seconds)
            least = ceil((config.monitor + config.delay) / 1000) + 1
            self._resource.set("spec.progressDeadlineSeconds", max(deadline, least))
            self._put(
                "spec.progressDeadlineSeconds", read("progress_deadline"), max(deadline, least)
            )
        elif self._kind == STATEFUL:
            self._one_by_one(config, read)
        else:
            self._node_by_node(config, read)
        self._pace(config, read)

    def _put(self, path: Any, read: Any, value: Any, **how: Any) -> None:
        if read is not None:
            self._resource.put(path, read, value=value, **how)

    def _rolling(self, config: UpdateConfig, read: Any) -> None:
        base = ("spec", "strategy")
        step: Any = config.parallelism or "100%"
        surge, away = (step, 0) if config.order == "start-first" else (0, step)
        self._resource.set((*base, "type"), "RollingUpdate")
        for key, value in (("maxSurge", surge), ("maxUnavailable", away)):
            self._resource.set((*base, "rollingUpdate", key), value)
            self._put((*base, "rollingUpdate", key), read("order"), value)
        used = "maxSurge" if surge else "maxUnavailable"
        self._put((*base, "rollingUpdate", used), read("parallelism"), step)
        if surge and self._has_host_port() and read("order") is not None:
            self._resource.rate(
                (*base, "rollingUpdate", used),
                read("order"),
                Fidelity.DEGRADED,
                NEEDS_A_NODE,
                mend=STOP_FIRST,
                consequence=Consequence.AVAILABILITY,
            )

    def _has_host_port(self) -> bool:
        service = self._view.value
        whole = service.network_mode == "host"
        return any(
            whole or (port.mode == "host" and port.published is not None)
            for port in ports_of(service)
        )

    def _one_by_one(self, config: UpdateConfig, read: Any) -> None:
        self._resource.set("spec.updateStrategy.type", "RollingUpdate")
        if read("order") is not None:
            self._order_of(config, read("order"), ("spec", "updateStrategy", "type"))
        told: dict[str, Any] = {"outcome": Fidelity.DEGRADED, "reason": ONE_BY_ONE}
        told = told if config.parallelism != 1 else {}
        self._annotated("orch/parallelism", read("parallelism"), config.parallelism, **told)
        self._deadline(config, read)

    def _node_by_node(self, config: UpdateConfig, read: Any) -> None:
        base = ("spec", "updateStrategy")
        self._resource.set((*base, "type"), "RollingUpdate")
        step: Any = config.parallelism or "100%"
        beside = self._scope.facts.has("daemonset_surge") and not self._has_host_port()
        first = config.order == "start-first" and beside
        for key, value in (
            ("maxSurge", step if first else 0),
            ("maxUnavailable", 0 if first else step),
        ):
            if key == "maxUnavailable" or first:
                self._resource.set((*base, "rollingUpdate", key), value)
        used = "maxSurge" if first else "maxUnavailable"
        self._put((*base, "rollingUpdate", used), read("parallelism"), step)
        if first or config.order == "stop-first":
            self._put((*base, "rollingUpdate", used), read("order"), step)
        elif self._has_host_port():
            self._make.reject(read("order"), NEVER_BESIDE, STOP_FIRST)
        else:
            self._make.lose(read("order"), "before 1.22 a node's old pod goes first")
        self._deadline(config, read)

    def _order_of(self, config: UpdateConfig, read: Read, path: FieldPath) -> None:
        if config.order == "start-first":
            self._make.reject(
                read,
                "a replica that has its own name or storage must end before the next one starts",
                "use order: stop-first",
            )
        else:
            self._resource.rate(path, read, Fidelity.NATIVE, "")

    def _deadline(self, config: UpdateConfig, read: Any) -> None:
        told: dict[str, Any] = {"outcome": Fidelity.EMULATED, "reason": WATCHED}
        self._annotated(names.DEADLINE, read("progress_deadline"), config.progress_deadline, **told)

    def _annotated(self, key: str, read: Any, value: Any, **how: Any) -> None:
        self._put(("metadata", "annotations", key), read, str(value), **how)

    def _pace(self, config: UpdateConfig, read: Any) -> None:
        ready = ceil((config.monitor + config.delay) / 1000)
        if self._kind == DEPLOYMENT or self._scope.facts.has("ready_seconds"):
            self._resource.set("spec.minReadySeconds", ready)
            self._put("spec.minReadySeconds", read("monitor"), ready)
            paused: dict[str, Any] = {"outcome": Fidelity.EMULATED, "reason": PAUSED}
            self._put("spec.minReadySeconds", read("delay"), ready, **paused)
        else:
            for key in ("monitor", "delay"):
                self._make.lose(read(key), "before 1.23 the next pod follows at once")
        told: dict[str, Any] = {"outcome": Fidelity.EMULATED, "reason": WATCHED}
        self._annotated(names.FAILURE_ACTION, read("failure_action"), config.failure_action, **told)
        self._annotated(
            names.FAILURE_RATIO, read("max_failure_ratio"), config.max_failure_ratio, **told
        )
        self._canary(config, read)

    def _canary(self, config: UpdateConfig, read: Any) -> None:
        if self._kind != DEPLOYMENT:
            for key in ("canary", "promote"):
                moot = key == "promote" or not config.canary
                reason = "only a Deployment holds its rollout"
                self._make.lose(read(key), reason, "", Consequence.COSMETIC if moot else None)
            return
        told: dict[str, Any] = {"outcome": Fidelity.EMULATED, "reason": CANARY}
        self._annotated(names.CANARY, read("canary"), config.canary, **told)
        self._annotated(names.PROMOTE, read("promote"), config.promote, **told)

    def _partition(self, read: Read) -> None:
        if not read.authored:
            return
        if read.value == "stop":
            told = "replicas of a silent node go on there, and others are started elsewhere"
            self._make.lose(read, told, "use wait")
        elif self._kind == DAEMON or (self._kind == STATEFUL and read.value == "replace"):
            stays = Consequence.COSMETIC if self._kind == DAEMON else None
            self._make.lose(read, STAYS, "", stays)
        else:
            self._tolerate(read)

    def _tolerate(self, read: Read) -> None:
        base = (*TEMPLATE, "tolerations")
        for taint in UNREACHABLE:
            entry: dict[str, Any] = {"key": taint, "operator": "Exists", "effect": "NoExecute"}
            if read.value == "replace":
                entry["tolerationSeconds"] = EVICTED_AFTER
            self._resource.put((*base, count(self._resource, base)), read, value=entry)
