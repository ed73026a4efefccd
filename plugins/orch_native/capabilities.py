"""What the native scheduler holds of the spec on one host, by the driver that runs the task.

A task with an image is run by the docker driver, one without by the process driver. A field that
no rule names is native; the rules say what is less, and why.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from orch.backend.capabilities import Capabilities, NameRule
from orch.frozen import FrozenDict
from orch.types import Consequence, Fidelity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orch.types import FieldPath

DOCKER, PROCESS = "docker", "process"


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of a field; with `when`, only where it says so of the path and the value."""

    outcome: Fidelity
    reason: str
    mend: str = ""
    consequence: Consequence | None = None
    when: Callable[[FieldPath, Any], bool] | None = None

    def covers(self, path: FieldPath, value: Any) -> bool:
        """Whether the rule speaks of this value."""
        return self.when is None or self.when(path, value)


Rules = dict[str, Rule]
USE_IMAGE = "give it an image, so that the docker driver runs it"


def _emulated(reason: str) -> Rule:
    return Rule(Fidelity.EMULATED, reason)


def _degraded(reason: str, mend: str = "", consequence: Consequence | None = None) -> Rule:
    return Rule(Fidelity.DEGRADED, reason, mend, consequence)


def _lost(reason: str, mend: str = "", consequence: Consequence | None = None) -> Rule:
    return Rule(Fidelity.LOST, reason, mend, consequence)


def _moot(reason: str) -> Rule:
    """No effect, and none that is missed."""
    return Rule(Fidelity.LOST, reason, consequence=Consequence.COSMETIC)


_NO_ACME = Rule(
    Fidelity.LOST,
    "the built-in proxy asks no authority for certificates, so that the route has none",
    "give the certificate as secrets: tls: {cert: {secret: …}, key: {secret: …}}",
    Consequence.SECURITY,
)
_NO_STORE = Rule(
    Fidelity.LOST,
    "a bare host keeps no certificates by identifier, so that the route has none",
    "give the certificate as secrets: tls: {cert: {secret: …}, key: {secret: …}}",
    Consequence.SECURITY,
)


def _rejected(reason: str, mend: str = USE_IMAGE) -> Rule:
    return Rule(Fidelity.REJECTED, reason, mend)


def _set(_path: FieldPath, value: Any) -> bool:
    """A flag that is up, or anything that is not empty."""
    return bool(value)


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

_COSMETIC = Consequence.COSMETIC
_AVAILABILITY = Consequence.AVAILABILITY
EVERY_CONTAINER: Rules = {
    "build": _lost(
        "a deploy builds nothing: the image that is named must exist",
        "build it first: docker build --tag IMAGE CONTEXT",
        _COSMETIC,
    ),
    "ports.*.app_protocol": _moot("connections are balanced as they come, whatever is spoken"),
}
_PLACEMENT: Rules = {
    "preferences": _moot("one host: there is nothing to spread over"),
    "affinity": _moot("one host: everything is near to everything"),
    "anti_affinity": _lost("one host: replicas run side by side", "remove it", _AVAILABILITY),
    "tolerations": _moot("this host has no taints"),
}
EVERY_POD: Rules = {
    **EVERY_CONTAINER,
    "credential_spec": _lost("group-managed service accounts exist on Windows alone", "remove it"),
}
_NO_EVICTION = _lost("whatever fits is started, and nothing is evicted for it", "", _AVAILABILITY)
EVERY_SERVICE: Rules = {
    **EVERY_POD,
    "autoscale": _lost(
        "the number of replicas does not follow the load",
        "set deploy.replicas, or run: orch scale SERVICE=N",
    ),
    "deploy.on_partition": _moot("one host is never cut off from itself"),
    "deploy.priority": _NO_EVICTION,
    "deploy.disruption": _moot("one host is never drained; updates follow update_config"),
    **{f"deploy.placement.{key}": rule for key, rule in _PLACEMENT.items()},
}
EVERY_JOB: Rules = {
    **EVERY_POD,
    "priority": _NO_EVICTION,
    **{f"placement.{key}": rule for key, rule in _PLACEMENT.items()},
}

# What the drivers differ in: see the table in agent/driver.py. -------------------------------

_HOSTS_OWN = replace(_rejected("a process shares the host's own"), when=_set)
_LOG_OPTIONS = ("max-size", "max-file")


def _other_log_option(path: FieldPath, _value: Any) -> bool:
    return path[-1] not in _LOG_OPTIONS


def _other_log_driver(_path: FieldPath, value: Any) -> bool:
    return value not in ("json-file", "local", "none")


def _more_than_no_new_privileges(_path: FieldPath, value: Any) -> bool:
    plain = {option.replace("=", ":") for option in value}
    return not plain <= {"no-new-privileges", "no-new-privileges:true"}


def _shares_ipc(_path: FieldPath, value: Any) -> bool:
    return value not in ("host", "private")


_RESOURCES: Rules = {
    "limits.ephemeral_storage": _rejected("a process writes to the host's disk"),
    "reservations.devices": _rejected("devices are not set aside for processes"),
}
DOCKER_CONTAINER: Rules = {}
PROCESS_CONTAINER: Rules = {
    **dict.fromkeys(
        ("read_only", "privileged", "devices", "sysctls", "shm_size", "platform"), _HOSTS_OWN
    ),
    "pull_policy": _moot("a process has no image to fetch"),
    "security_opt": replace(_rejected("it needs a container"), when=_more_than_no_new_privileges),
    "logging.driver": replace(
        _rejected("a process's output is kept as json-file or local keeps it"),
        when=_other_log_driver,
    ),
    "logging.options.*": replace(
        _moot("a process's output knows max-size and max-file"), when=_other_log_option
    ),
    **{f"resources.{key}": rule for key, rule in _RESOURCES.items()},
}
PROCESS_PART: Rules = {
    "image": _rejected(
        "one unit is either all containers or all processes of the host",
        "give the main one an image too",
    ),
}
_RECORD = _emulated("kept in the task's record: a process carries none")
PROCESS_POD: Rules = {
    "annotations": _RECORD,
    "labels": _RECORD,
    "runtime": _rejected("a process has no container runtime"),
    "ipc": replace(_rejected("it needs a container"), when=_shares_ipc),
    "networks": _degraded(
        "a process is reached at loopback addresses: networks keep none of this host out",
        USE_IMAGE,
    ),
    "networks.*.ipv4_address": _rejected("a process has a loopback address"),
    "networks.*.ipv6_address": _rejected("a process has a loopback address"),
    "networks.*.priority": _moot("a process is on every network at once"),
    "networks.*.driver_opts": _moot("a process's network has no driver"),
}
PROCESS_SERVICE: Rules = {
    **{f"deploy.resources.{key}": rule for key, rule in _RESOURCES.items()},
    "ports.*.protocol": replace(
        _rejected("the proxy carries tcp and udp"), when=lambda _path, value: value == "sctp"
    ),
}

# What is shared: a volume or network is rated by the drivers of those that use it. ------------

_SIZE = _lost("nothing bounds it: a volume may fill the disk", "", _AVAILABILITY)
_NO_DRIVER = _lost("processes mount folders of this host", USE_IMAGE, _AVAILABILITY)
_ENCRYPTED = _moot("one host: nothing of it leaves the host")
_NO_NETWORK = _moot("processes have loopback addresses, and no network to set up")
SHARED: Mapping[str, Rules] = FrozenDict(
    {
        f"volumes.*/{DOCKER}": {"size": _SIZE},
        f"volumes.*/{PROCESS}": {"size": _SIZE, "driver": _NO_DRIVER, "driver_opts": _NO_DRIVER},
        f"networks.*/{DOCKER}": {"encrypted": _ENCRYPTED},
        f"networks.*/{PROCESS}": {
            "encrypted": _ENCRYPTED,
            "internal": replace(_rejected("processes share the host's way out"), when=_set),
            **dict.fromkeys(
                ("driver", "driver_opts", "attachable", "enable_ipv6", "ipam", "name"),
                _NO_NETWORK,
            ),
        },
        **{
            f"{noun}.*": {
                "external": replace(
                    _rejected("this scheduler keeps none beside an application's own", mend),
                    when=_set,
                ),
                "name": _moot("it is known by its place in the application"),
            }
            for noun, mend in (("configs", "write file or content"), ("secrets", "name a provider"))
        },
    }
)
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
            for driver, rules in (
                (DOCKER, DOCKER_CONTAINER),
                (PROCESS, PROCESS_CONTAINER | PROCESS_PART),
            )
        },
        **SHARED,
        "policies.*": {"to": _POLICY, "from": _POLICY},
        "routes.*": {"tls.acme": _NO_ACME, "tls.certificate": _NO_STORE},
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
        best = min((rule.outcome for rule in rules), key=lambda outcome: outcome.rank)
        fields[f"{pattern}.**"] = best
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
    """Rules that hold of every value, whichever driver runs it."""
    found: dict[str, list[Rule]] = {}
    for noun, rules in RULES.items():
        for pattern, rule in rules.items():
            found.setdefault(f"{noun.split('/')[0]}.{pattern}", []).append(rule)
    return {
        pattern: rules
        for pattern, rules in found.items()
        if len(rules) == _drivers_of(pattern) and not any(rule.when for rule in rules)
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
        "exclusive": ("service:ports.*.published",),
        "content_named": (),
        "stateful": ("volume",),
    }
)
