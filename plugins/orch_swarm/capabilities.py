"""The best that each field of the spec gets on Swarm; what is not named has no effect there."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from orch.backend.capabilities import Capabilities
from orch.frozen import FrozenDict
from orch.types import Fidelity
from orch_swarm.losses import JOB, POLICY, ROUTE, SERVICE, VOLUME
from orch_swarm.names import RULE

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNIT = (
    "image", "platform", "command", "entrypoint", "working_dir", "user", "group_add", "init",
    "tty", "stdin_open", "environment", "configs", "secrets", "volumes", "read_only", "cap_add",
    "cap_drop", "security_opt", "ulimits", "sysctls", "stop_signal", "logging", "resources",
    "annotations", "labels", "profiles", "networks", "network_mode", "extra_hosts", "dns",
    "dns_search", "dns_opt", "hostname", "oom_score_adj", "credential_spec", "stop_grace_period",
)  # fmt: skip
_SERVICE = (*_UNIT, "ports", "probes", "deploy")
_JOB = (*_UNIT, "completions", "parallelism", "placement", "restart_policy")
_NATIVE: Mapping[str, tuple[str, ...]] = {
    "services.*": _SERVICE,
    "jobs.*": _JOB,
    "volumes.*": ("driver", "driver_opts", "labels", "name", "external"),
    "networks.*": (
        "driver", "driver_opts", "internal", "encrypted", "attachable", "enable_ipv6", "ipam",
        "labels", "name", "external",
    ),
    "configs.*": ("file", "content", "encoding", "external", "labels"),
    "secrets.*": ("provider", "key", "path", "options", "encoding", "external", "labels"),
    "registries.*": ("username", "password"),
}  # fmt: skip
_WHOLE = ("apiVersion", "name", "labels.**", "fidelity.**")
_EMULATED = (
    "services.*.depends_on.**", "jobs.*.depends_on.**", "services.*.shm_size", "jobs.*.shm_size",
    "services.*.deploy.update_config.progress_deadline", "configs.*.name", "secrets.*.name",
    "jobs.*.schedule", "jobs.*.time_zone", "jobs.*.concurrency", "jobs.*.starting_deadline",
    "jobs.*.suspend", "jobs.*.timeout", "jobs.*.history.**",
    *(f"routes.*.{key}" for key in ("host", "path", "service", "port", "weight")),
    "routes.*.tls.cert.**", "routes.*.tls.key.**", "routes.*.tls.acme",
)  # fmt: skip
_DEGRADED = (
    "jobs.*.backoff_limit", "jobs.*.ttl", "volumes.*.access",
    *(
        f"{unit}.reservations.devices.*.{key}"
        for unit in ("services.*.resources", "services.*.deploy.resources", "jobs.*.resources")
        for key in ("capabilities", "count", "device_ids")
    ),
    *(f"services.*.probes.readiness.{part}.**" for part in ("exec", "http", "tcp")),
    *(f"services.*.probes.startup.{part}.**" for part in ("exec", "http", "tcp")),
    *(
        f"services.*.probes.{kind}.{key}"
        for kind in ("readiness", "startup")
        for key in ("interval", "timeout", "failure_threshold")
    ),
    *(f"services.*.probes.{kind}.initial_delay" for kind in ("liveness", "readiness", "startup")),
)  # fmt: skip
_LOST = (
    *(f"services.*.probes.{kind}.grpc.**" for kind in ("liveness", "readiness", "startup")),
    *(f"services.*.probes.{k}.success_threshold" for k in ("liveness", "readiness", "startup")),
    "services.*.depends_on.*.restart",
    "jobs.*.depends_on.*.restart",
    "services.*.ports.*.host_ip",
    "services.*.deploy.on_partition",
    *(f"{unit}.volumes.*.bind.create_host_path" for unit in ("services.*", "jobs.*")),
    *(f"{unit}.volumes.*.volume.subpath" for unit in ("services.*", "jobs.*")),
    *(f"{unit}.environment.*.secret" for unit in ("services.*", "jobs.*")),
)
_OWN_CHECKS = tuple(f"services.*.probes.liveness.{part}.**" for part in ("http", "tcp"))
FEATURES = frozenset(
    {
        "adopt", "cron", "drift", "exec", "global", "jobs", "logs", "published-ports",
        "restart", "rollback", "routes", "scale", "secret-versions", "volumes", "why",
    }
)  # fmt: skip
LIMITS: Mapping[str, object] = FrozenDict(
    {
        "immutable": (
            "service:Mode", "job:Mode", "config:Content", "config:Encoding", "secret:Version",
            "registry:Username", "registry:Secret",
            "network:Driver", "network:Options", "network:IPAM", "network:Internal",
            "network:Attachable", "network:EnableIPv6", "network:Encrypted", "network:Labels",
            "volume:Driver", "volume:Options",
        ),
        # Any change makes a job run again: its labels are those of its last run.
        "initial": FrozenDict({"volume:Labels": "", "job:Labels": "RunsOnce"}),
        "exclusive": ("service:EndpointSpec.Ports.*.PublishedPort",),
        "content_named": ("config", "secret"),
        "secret_bytes": (1, 500 * 1024 - 1),
    }
)  # fmt: skip


@cache
def capabilities(features: frozenset[str] = FEATURES) -> Capabilities:
    """What Swarm holds; `features` may be fewer on a target that is set up so."""
    fields = {f"{noun}.{key}.**": Fidelity.NATIVE for noun, keys in _NATIVE.items() for key in keys}
    fields |= dict.fromkeys(_WHOLE, Fidelity.NATIVE)
    for patterns, outcome in (
        (_EMULATED, Fidelity.EMULATED),
        (_OWN_CHECKS, Fidelity.EMULATED),
        (_DEGRADED, Fidelity.DEGRADED),
        (_LOST, Fidelity.LOST),
    ):
        fields |= dict.fromkeys(patterns, outcome)
    reasons: dict[str, str] = {}
    for noun, losses in (
        ("services.*", SERVICE),
        ("jobs.*", JOB),
        ("volumes.*", VOLUME),
        ("routes.*", ROUTE),
        ("policies.*", POLICY),
    ):
        for key, loss in losses.items():
            pattern = f"{noun}.{key.rstrip('_')}.**"
            fields[pattern] = Fidelity.LOST
            reasons[pattern] = loss.reason
    for noun in ("services.*", "jobs.*"):
        fields[f"{noun}.overrides.**"] = Fidelity.LOST
        fields[f"{noun}.overrides.swarm.isolation"] = Fidelity.NATIVE
    return Capabilities(
        fields=FrozenDict(fields),
        features=features,
        names=RULE,
        limits=LIMITS,
        reasons=FrozenDict(reasons),
    )
