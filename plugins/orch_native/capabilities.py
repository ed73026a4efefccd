"""What the native scheduler holds of the spec on one host, at best.

A field that is named here and that no rule of `rules` speaks of is native.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from orch.backend.capabilities import Capabilities, NameRule
from orch.frozen import FrozenDict
from orch.types import Fidelity
from orch_native.rules import RULES, several

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_native.rules import Rule

# Field names, noun by noun: what is in none of these lists is not held at all. -------------

CONTAINER = (
    "image", "build", "pull_policy", "platform", "command", "entrypoint", "working_dir", "user",
    "group_add", "init", "tty", "stdin_open", "environment", "configs", "secrets", "volumes",
    "read_only", "cap_add", "cap_drop", "security_opt", "privileged", "devices", "ulimits",
    "sysctls", "shm_size", "stop_signal", "logging", "resources",
)  # fmt: skip
SIDECAR = (*CONTAINER, "ports", "probes")
POD = (
    *CONTAINER,
    "annotations", "labels", "profiles", "networks", "network_mode", "pre_start", "sidecars",
    "extra_hosts", "dns", "dns_search", "dns_opt", "hostname", "domainname", "ipc", "pid",
    "userns_mode", "runtime", "oom_score_adj", "credential_spec", "stop_grace_period",
    "depends_on", "formerly", "overrides",
)  # fmt: skip
SERVICE = (*POD, "ports", "probes", "deploy", "post_start", "pre_stop", "autoscale")
JOB = (
    *POD,
    "schedule", "time_zone", "concurrency", "starting_deadline", "suspend", "backoff_limit",
    "timeout", "completions", "parallelism", "history", "ttl", "placement", "restart_policy",
    "priority",
)  # fmt: skip
NOUNS: Mapping[str, tuple[str, ...]] = FrozenDict(
    {
        "services.*": SERVICE,
        "services.*.pre_start.*": CONTAINER,
        "services.*.sidecars.*": SIDECAR,
        "jobs.*": JOB,
        "jobs.*.pre_start.*": CONTAINER,
        "jobs.*.sidecars.*": SIDECAR,
        "routes.*": ("host", "path", "service", "port", "tls", "weight"),
        "volumes.*": (
            "size", "access", "per_replica", "driver", "driver_opts", "labels", "name", "external",
        ),
        "networks.*": (
            "driver", "driver_opts", "internal", "encrypted", "attachable", "enable_ipv6", "ipam",
            "labels", "name", "external",
        ),
        "configs.*": ("file", "content", "encoding", "external", "name", "labels"),
        "secrets.*": (
            "provider", "key", "path", "options", "encoding", "external", "name", "labels",
        ),
        "policies.*": ("to", "from"),
        "registries.*": ("username", "password"),
    }
)  # fmt: skip
WHOLE = ("apiVersion", "name", "labels", "fidelity")

FEATURES = frozenset(
    {
        "canary", "cron", "drift", "events", "exec", "global", "jobs", "logs", "metrics",
        "per-replica-volumes",
        "placement", "processes", "published-ports", "rename", "restart", "rollback", "routes",
        "scale", "secret-variables", "secret-versions", "sidecars", "volumes", "why",
    }
)  # fmt: skip


@cache
def capabilities() -> Capabilities:
    """The best that each field can get, whichever driver runs the task."""
    fields = dict.fromkeys(WHOLE, Fidelity.NATIVE) | {
        f"{noun}.{key}.**": Fidelity.NATIVE for noun, keys in NOUNS.items() for key in keys
    }
    fields |= {"labels.*": Fidelity.NATIVE, "fidelity.*": Fidelity.NATIVE}
    for noun in ("services.*", "jobs.*"):
        fields[f"{noun}.depends_on.**"] = Fidelity.EMULATED
        fields[f"{noun}.overrides.**"] = Fidelity.LOST
        fields[f"{noun}.overrides.native.**"] = Fidelity.NATIVE
    reasons: dict[str, str] = {}
    for pattern, rules in _by_pattern().items():
        fields[f"{pattern}.**"] = min(
            (rule.outcome for rule in rules), key=lambda outcome: outcome.rank
        )
        reasons[f"{pattern}.**"] = "; ".join(dict.fromkeys(rule.reason for rule in rules))
    return Capabilities(
        fields=FrozenDict(fields),
        features=FEATURES,
        names=NameRule(max_length=63, allowed="[A-Za-z0-9._-]", lower=False),
        limits=LIMITS,
        list_keys=LIST_KEYS,
        reasons=FrozenDict(reasons),
    )


def _by_pattern() -> dict[str, list[Rule]]:
    """Rules of the fields that no driver holds wholly, whatever their value."""
    found: dict[str, list[tuple[Rule, ...]]] = {}
    for noun, rules in RULES.items():
        for pattern, rule in rules.items():
            found.setdefault(f"{noun.split('/')[0]}.{pattern}", []).append(several(rule))
    return {
        pattern: [rule for rules in by_driver for rule in rules]
        for pattern, by_driver in found.items()
        if len(by_driver) == _drivers_of(pattern)
        and all(any(rule.when is None for rule in rules) for rules in by_driver)
    }


def _drivers_of(pattern: str) -> int:
    noun = ".".join(pattern.split(".")[:2])
    return 1 if noun in RULES else 2


_UNIT_LISTS = {
    "ports": ("target", "protocol"),
    "configs": ("target",),
    "secrets": ("target",),
    "volumes": ("target",),
    "devices": ("source",),
}
LIST_KEYS: Mapping[str, tuple[str, ...]] = FrozenDict(
    {f"{kind}:{path}": keys for kind in ("service", "job") for path, keys in _UNIT_LISTS.items()}
)
FIXED: Mapping[str, tuple[str, ...]] = FrozenDict(
    {
        "volume": ("driver", "driver_opts", "name", "per_replica", "external"),
        "network": (
            "driver", "driver_opts", "name", "external", "internal", "attachable", "enable_ipv6",
            "ipam",
        ),
    }
)  # fmt: skip
"""What a volume or network is made with: changing it means to make another one."""

LIMITS: Mapping[str, Any] = FrozenDict(
    {
        "immutable": tuple(f"{kind}:{key}" for kind, keys in FIXED.items() for key in keys),
        "initial": FrozenDict({"service:deploy.replicas": "autoscale"}),
        "exclusive": ("service:ports.*.published", "service:sidecars.*.ports.*.published"),
        "content_named": (),
        "stateful": ("volume",),
    }
)
