"""What the native scheduler holds of the spec on one host, by the driver that runs the task.

A task with an image is run by the docker driver, one without by the process driver. A field that
no rule names is native; the rules say what is less, and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from orch.backend.capabilities import Capabilities, NameRule
from orch.frozen import FrozenDict
from orch.types import Consequence, Fidelity

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCKER, PROCESS = "docker", "process"


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of a field; with `values`, only of these values of it."""

    outcome: Fidelity
    reason: str
    mend: str = ""
    consequence: Consequence | None = None
    values: frozenset[object] = frozenset()

    def covers(self, value: object) -> bool:
        """Whether the rule speaks of this value."""
        return not self.values or value in self.values


Rules = dict[str, Rule]


def _emulated(reason: str) -> Rule:
    return Rule(Fidelity.EMULATED, reason)


def _degraded(reason: str, mend: str = "", *values: object) -> Rule:
    return Rule(Fidelity.DEGRADED, reason, mend, values=frozenset(values))


def _lost(reason: str, mend: str = "", consequence: Consequence | None = None) -> Rule:
    return Rule(Fidelity.LOST, reason, mend, consequence)


def _rejected(reason: str, mend: str = "", *values: object) -> Rule:
    return Rule(Fidelity.REJECTED, reason, mend, values=frozenset(values))


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
        "secrets.*": ("provider", "key", "path", "options", "external", "name", "labels"),
        "policies.*": ("to", "from"),
        "registries.*": ("username", "password"),
    }
)  # fmt: skip
WHOLE = ("apiVersion", "name", "labels", "fidelity")

# What is less than native, whatever the driver. ---------------------------------------------

_NO_BUILD = _lost(
    "a deploy builds nothing: the image that is named must exist",
    "build it first: docker build --tag IMAGE CONTEXT",
    Consequence.COSMETIC,
)
_NO_WINDOWS = _lost("group-managed service accounts exist on Windows alone", "remove it")

EVERY_CONTAINER: Rules = {
    "build": _NO_BUILD,
    "ports.*.app_protocol": _lost(
        "connections are balanced as they come, whatever is spoken on them",
        consequence=Consequence.COSMETIC,
    ),
}
EVERY_POD: Rules = {
    **EVERY_CONTAINER,
    "credential_spec": _NO_WINDOWS,
}
EVERY_SERVICE: Rules = {
    **EVERY_POD,
    "autoscale": _lost(
        "the number of replicas does not follow the load",
        "set deploy.replicas, or run: orch scale SERVICE=N",
    ),
    "deploy.on_partition": _degraded("one host is never cut off from itself"),
}
EVERY_JOB: Rules = {**EVERY_POD}


# What the drivers differ in: see the table in agent/driver.py. -------------------------------

DOCKER_CONTAINER: Rules = {}
PROCESS_CONTAINER: Rules = {}
PROCESS_POD: Rules = {}
PROCESS_SERVICE: Rules = {}

_POLICY = _lost(
    "services of one network reach each other freely",
    "put those that may talk into a network of their own",
)
RULES: Mapping[str, Rules] = FrozenDict(
    {
        f"services.*/{DOCKER}": EVERY_SERVICE | DOCKER_CONTAINER,
        f"services.*/{PROCESS}": EVERY_SERVICE | PROCESS_CONTAINER | PROCESS_POD | PROCESS_SERVICE,
        f"jobs.*/{DOCKER}": EVERY_JOB | DOCKER_CONTAINER,
        f"jobs.*/{PROCESS}": EVERY_JOB | PROCESS_CONTAINER | PROCESS_POD,
        **{
            f"{noun}s.*.{part}.*/{driver}": EVERY_CONTAINER | rules
            for noun in ("service", "job")
            for part in ("pre_start", "sidecars")
            for driver, rules in ((DOCKER, DOCKER_CONTAINER), (PROCESS, PROCESS_CONTAINER))
        },
        "policies.*": {"to": _POLICY, "from": _POLICY},
    }
)

RuleTree = dict[str, tuple[tuple[tuple[str, ...], Rule], ...]]


@cache
def rules_for(noun: str, driver: str = "") -> RuleTree:
    """The rules of a noun by their first key, each with the rest of its pattern."""
    rules = RULES.get(f"{noun}/{driver}" if driver else noun, {})
    tree: dict[str, list[tuple[tuple[str, ...], Rule]]] = {}
    for pattern, rule in rules.items():
        first, *rest = pattern.split(".")
        tree.setdefault(first, []).append((tuple(rest), rule))
    return {key: tuple(found) for key, found in tree.items()}


FEATURES = frozenset(
    {
        "adopt", "canary", "cron", "drift", "events", "exec", "global", "jobs", "logs", "metrics",
        "per-replica-volumes", "processes", "published-ports", "restart", "rollback", "routes",
        "scale", "secret-variables", "sidecars", "volumes", "why",
    }
)  # fmt: skip


@cache
def capabilities() -> Capabilities:
    """The best that each field can get, whichever driver runs the task."""
    fields = dict.fromkeys(WHOLE, Fidelity.NATIVE) | {
        f"{noun}.{key}.**": Fidelity.NATIVE for noun, keys in NOUNS.items() for key in keys
    }
    fields |= {"labels.*": Fidelity.NATIVE, "fidelity.*": Fidelity.NATIVE}
    reasons: dict[str, str] = {}
    for pattern, rules in _by_pattern().items():
        best = min((rule.outcome for rule in rules), key=lambda outcome: outcome.rank)
        fields[f"{pattern}.**"] = best
        reasons[f"{pattern}.**"] = "; ".join(dict.fromkeys(rule.reason for rule in rules))
    return Capabilities(
        fields=FrozenDict(fields),
        features=FEATURES,
        names=NameRule(max_length=63, allowed="[A-Za-z0-9._-]", lower=False),
        list_keys=LIST_KEYS,
        reasons=FrozenDict(reasons),
    )


def _by_pattern() -> dict[str, list[Rule]]:
    """Rules that hold of every value, whichever driver runs it."""
    found: dict[str, list[Rule]] = {}
    for noun, rules in RULES.items():
        for pattern, rule in rules.items():
            found.setdefault(f"{noun.split('/')[0]}.{pattern}", []).append(rule)
    return {
        pattern: rules
        for pattern, rules in found.items()
        if len(rules) == _drivers_of(pattern) and not any(rule.values for rule in rules)
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
