"""The best that each field of the spec gets on a cluster; what is not named has no effect."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from orch.backend.capabilities import Capabilities
from orch.frozen import FrozenDict
from orch.types import Fidelity
from orch_kubernetes.flavours import GATEWAY, INGRESS, ROUTE
from orch_kubernetes.names import AUTOSCALED, RULE
from orch_kubernetes.rules import CONTAINER, JOB, NETWORK, SERVICE
from orch_kubernetes.sizes import size_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orch_kubernetes.facts import ClusterFacts

_CONTAINER = (
    "image", "pull_policy", "platform", "command", "entrypoint", "working_dir", "user",
    "group_add", "tty", "stdin_open", "environment", "configs", "secrets", "volumes", "read_only",
    "cap_add", "cap_drop", "security_opt", "privileged", "sysctls", "resources",
)  # fmt: skip
_POD = (
    *_CONTAINER, "annotations", "labels", "profiles", "networks", "network_mode", "extra_hosts",
    "dns_search", "dns_opt", "hostname", "ipc", "pid", "userns_mode", "runtime",
    "credential_spec", "stop_grace_period",
)  # fmt: skip
_PROBED = ("ports", "probes")
_SERVICE = (*_POD, *_PROBED, "deploy", "post_start", "pre_stop", "autoscale")
_JOB = (
    *_POD, "schedule", "time_zone", "concurrency", "starting_deadline", "suspend",
    "backoff_limit", "timeout", "completions", "parallelism", "history", "ttl", "placement",
    "restart_policy", "priority",
)  # fmt: skip
_UNITS = ("services.*", "jobs.*")
_INSIDE = tuple(f"{unit}.{part}.*" for unit in _UNITS for part in ("pre_start", "sidecars"))
_PROBING = ("services.*", *(f"{unit}.sidecars.*" for unit in _UNITS))
_NATIVE: Mapping[str, tuple[str, ...]] = {
    "services.*": _SERVICE,
    "jobs.*": _JOB,
    **dict.fromkeys(_INSIDE, _CONTAINER),
    **{f"{unit}.sidecars.*": (*_CONTAINER, *_PROBED) for unit in _UNITS},
    "volumes.*": ("size", "access", "per_replica", "driver", "labels", "name", "external"),
    "networks.*": ("labels",),
    "configs.*": ("file", "content", "encoding", "external", "labels"),
    "secrets.*": ("provider", "key", "path", "options", "encoding", "external", "labels"),
    "registries.*": ("username", "password"),
    "routes.*": ("host", "path", "service", "port", "tls"),
}
_WHOLE = ("apiVersion", "name", "volumes.*", "labels.**", "fidelity.**")
_ANYWHERE = (*_UNITS, *_INSIDE)
FEATURES = frozenset(
    {
        "adopt", "cron", "drift", "events", "exec", "forward", "global", "jobs", "logs",
        "per-replica-volumes", "placement", "published-ports", "restart", "rollback", "routes",
        "scale", "secret-variables", "secret-versions", "sidecars", "volumes", "why",
    }
)  # fmt: skip


def _below(nouns: Iterable[str], *keys: str) -> tuple[str, ...]:
    return tuple(f"{noun}.{key}" for noun in nouns for key in keys)


_RESOURCES = (*_below(_ANYWHERE, "resources"), "services.*.deploy.resources")
_DEVICE = ("capabilities", "count", "driver")
_ROLL = "services.*.deploy.update_config"
_EMULATED = (
    *_below(_UNITS, "depends_on.**", "networks.*.aliases"),
    *_below(("services.*.deploy", "jobs.*"), "placement.max_replicas_per_node"),
    *_below(_ANYWHERE, "shm_size", "init", "configs.*.gid", "secrets.*.gid"),
    *_below(_ANYWHERE, "devices.*.source", "devices.*.target"),
    *_below((_ROLL,), "delay", "failure_action", "max_failure_ratio", "canary", "promote"),
    *_below(("services.*.post_start.*", "services.*.pre_stop.*"), "working_dir", "environment.**"),
    "configs.*.name", "secrets.*.name", "routes.*.tls.acme",
)  # fmt: skip
_DEGRADED = (
    *_below(_UNITS, "dns"),
    *_below(_RESOURCES, "reservations.generic.*"),
    *_below(_RESOURCES, *(f"reservations.devices.*.{key}" for key in _DEVICE)),
    "services.*.autoscale.metrics.*.name",
)  # fmt: skip
_LOST = (
    *_below(_ANYWHERE, "stop_signal", "devices.*.permissions"),
    *_below(_ANYWHERE, "volumes.*.tmpfs.mode", "volumes.*.volume.nocopy"),
    *_below(_ANYWHERE, "configs.*.uid", "secrets.*.uid"),
    *_below(_RESOURCES, "limits.pids", "limits.swap"),
    *_below(_RESOURCES, "reservations.devices.*.device_ids", "reservations.devices.*.options.**"),
    *_below(_PROBING, *(f"probes.{kind}.success_threshold" for kind in ("startup", "liveness"))),
    *_below(("volumes.*",), "driver_opts.**"),
    "policies.*.from.*.port",
)  # fmt: skip
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
HOLDS = 1 << 20
"""Bytes that a ConfigMap or Secret may hold."""
_WAYS_IN = ("Ingress", "HTTPRoute", "Route")
"""Kinds that one part of the spec may become: it keeps its id, and its object is replaced."""
_OVERRIDDEN_WAYS = {GATEWAY: ("httpRoute", "gateway"), INGRESS: ("ingress",), ROUTE: ("route",)}
"""What overrides call the objects that routes become, by how routes are made."""
LIMITS: Mapping[str, object] = FrozenDict(
    {
        "immutable": (
            *(f"{kind}:kind" for kind in _WORKLOADS + _WAYS_IN),
            *(f"{kind}:spec.selector" for kind in ("Deployment", "StatefulSet", "DaemonSet")),
            "StatefulSet:spec.serviceName", "StatefulSet:spec.podManagementPolicy",
            "StatefulSet:spec.volumeClaimTemplates",
            "Job:spec.template", "Job:spec.completions", "Job:spec.completionMode",
            "Service:spec.clusterIP", "Secret:type", "PriorityClass:value",
            "PersistentVolumeClaim:spec.accessModes",
            "PersistentVolumeClaim:spec.storageClassName",
        ),
        "initial": FrozenDict(
            {
                f"{kind}:spec.replicas": f"metadata.annotations.{AUTOSCALED}"
                for kind in ("Deployment", "StatefulSet")
            }
        ),
        "exclusive": (),
        "content_named": ("ConfigMap", "Secret"),
        "stateful": ("PersistentVolumeClaim",),
        "secret_bytes": (0, HOLDS),
    }
)  # fmt: skip
_POD_LISTS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    **{
        f"{part}.*.{key}": keys
        for part in ("containers", "initContainers")
        for key, keys in (
            ("env", ("name",)),
            ("ports", ("containerPort", "protocol")),
            ("volumeMounts", ("mountPath",)),
        )
    },
}
_TEMPLATES = {
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "Job"), "spec.template.spec"),
    "CronJob": "spec.jobTemplate.spec.template.spec",
}
LIST_KEYS: Mapping[str, tuple[str, ...]] = FrozenDict(
    {
        **{
            f"{kind}:{base}.{path}": keys
            for kind, base in _TEMPLATES.items()
            for path, keys in _POD_LISTS.items()
        },
        "Service:spec.ports": ("port", "protocol"),
        "Gateway:spec.listeners": ("name",),
    }
)
"""The keys by which the API merges lists."""


@cache
def capabilities(facts: ClusterFacts) -> Capabilities:
    """What a cluster holds of which these facts are known."""
    fields = {f"{noun}.{key}.**": Fidelity.NATIVE for noun, keys in _NATIVE.items() for key in keys}
    fields |= dict.fromkeys(_WHOLE, Fidelity.NATIVE)
    for patterns, outcome in (
        (_EMULATED, Fidelity.EMULATED),
        (_DEGRADED, Fidelity.DEGRADED),
        (_LOST, Fidelity.LOST),
    ):
        fields |= dict.fromkeys(patterns, outcome)
    reasons: dict[str, str] = {}
    for noun, losses in (
        *((noun, CONTAINER) for noun in _ANYWHERE),
        ("services.*", SERVICE),
        ("jobs.*", JOB),
        ("networks.*", NETWORK),
    ):
        for key, loss in losses.items():
            fields[f"{noun}.{key}.**"] = Fidelity.LOST
            reasons[f"{noun}.{key}.**"] = loss.reason
    fields |= _by_flavour(facts) | _by_version(facts)
    for noun in _UNITS:
        fields[f"{noun}.overrides.**"] = Fidelity.LOST
        fields[f"{noun}.overrides.kubernetes.**"] = Fidelity.NATIVE
    return Capabilities(
        fields=FrozenDict(fields),
        features=FEATURES if facts.load_balancer else FEATURES - {"published-ports"},
        names=RULE,
        limits=LIMITS,
        list_keys=LIST_KEYS,
        reasons=FrozenDict(reasons),
        sizes=size_rule(facts.flavour),
    )


def _by_version(facts: ClusterFacts) -> dict[str, Fidelity]:
    fields: dict[str, Fidelity] = {}
    if not facts.has("time_zone"):
        fields["jobs.*.time_zone.**"] = Fidelity.LOST
    if not facts.has("job_ttl"):
        fields["jobs.*.ttl.**"] = Fidelity.LOST
    if not facts.has("user_namespaces"):
        fields |= dict.fromkeys(_below(_UNITS, "userns_mode.**"), Fidelity.LOST)
    if not facts.has("sidecars"):
        images = _below(_UNITS, "sidecars.*.image.**")
        fields |= dict.fromkeys(images, Fidelity.DEGRADED)
    if not facts.has("grpc_probe"):
        kinds = ("startup", "readiness", "liveness")
        probes = _below(_PROBING, *(f"probes.{kind}.grpc" for kind in kinds))
        fields |= dict.fromkeys(_below(probes, "port"), Fidelity.DEGRADED)
        fields |= dict.fromkeys(_below(probes, "service"), Fidelity.LOST)
    return fields


def _by_flavour(facts: ClusterFacts) -> dict[str, Fidelity]:
    flavour = facts.flavour
    between = Fidelity.EMULATED if facts.enforces_policies else Fidelity.DEGRADED
    fields = {
        "policies.*.to.**": between,
        "policies.*.from.*.service": between,
        "networks.*": between,
        "networks.*.name": between,
        "networks.*.internal": between,
        "routes.*.weight": Fidelity.LOST if facts.routes == INGRESS else Fidelity.NATIVE,
    }
    fields |= {f"{unit}.networks.*": between for unit in _UNITS}
    if facts.gateway:
        fields["services.*.overrides.kubernetes.gateway.**"] = Fidelity.LOST
    for routes, kinds in _OVERRIDDEN_WAYS.items():
        if routes != facts.routes:
            others = _below(("services.*.overrides.kubernetes",), *(f"{kind}.**" for kind in kinds))
            fields |= dict.fromkeys(others, Fidelity.LOST)
    if facts.routes_told:
        fields["routes.*.service.**"] = Fidelity.DEGRADED
    if not facts.tls_secrets:
        lost = _below(("routes.*.tls",), "cert.**", "key.**", "acme")
        fields |= dict.fromkeys(lost, Fidelity.LOST)
    if "user" in flavour.refused:
        fields |= dict.fromkeys(_below(_ANYWHERE, "user.**"), Fidelity.LOST)
        files = _below(_ANYWHERE, "configs.*.gid", "secrets.*.gid")
        fields |= dict.fromkeys(files, Fidelity.LOST)
    if "host_network" in flavour.refused:
        fields |= dict.fromkeys(_below(_UNITS, "network_mode.**"), between)
    if "host_port" in flavour.refused:
        opened = Fidelity.EMULATED if facts.load_balancer else Fidelity.DEGRADED
        ports = _below(("services.*", "services.*.sidecars.*"), "ports.*.published")
        fields |= dict.fromkeys(ports, opened)
    return fields
