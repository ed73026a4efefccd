"""What is less than native on one host, by the driver that runs the task: why, and the mend.

A task with an image is run by the docker driver, one without by the process driver.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from orch.frozen import FrozenDict
from orch.types import Consequence, Fidelity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orch.types import FieldPath

    Asked = Callable[[FieldPath, Any, Any], bool]

DOCKER, PROCESS = "docker", "process"


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of a field; with `when`, only where it says so.

    It is asked with the path below the noun, the value there, and the noun's own model.
    """

    outcome: Fidelity
    reason: str
    mend: str = ""
    consequence: Consequence | None = None
    when: Asked | None = None

    def covers(self, path: FieldPath, value: Any, noun: Any) -> bool:
        """Whether the rule speaks of this value."""
        return self.when is None or self.when(path, value, noun)


Rules = dict[str, Rule | tuple[Rule, ...]]
"""By the field's path below the noun; of several rules that cover a value the gravest counts."""
USE_IMAGE = "give it an image, so that the docker driver runs it"


def several(rule: Rule | tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules of one field."""
    return (rule,) if isinstance(rule, Rule) else rule


def _emulated(reason: str) -> Rule:
    return Rule(Fidelity.EMULATED, reason)


def _degraded(reason: str, mend: str = "", consequence: Consequence | None = None) -> Rule:
    return Rule(Fidelity.DEGRADED, reason, mend, consequence)


def _lost(reason: str, mend: str = "", consequence: Consequence | None = None) -> Rule:
    return Rule(Fidelity.LOST, reason, mend, consequence)


def _moot(reason: str) -> Rule:
    """No effect, and none that is missed."""
    return Rule(Fidelity.LOST, reason, consequence=Consequence.COSMETIC)


def _rejected(reason: str, mend: str = USE_IMAGE) -> Rule:
    return Rule(Fidelity.REJECTED, reason, mend)


# When a rule speaks. -------------------------------------------------------------------------


def _only(when: Asked, rule: Rule) -> Rule:
    return replace(rule, when=when)


def _set(_path: FieldPath, value: Any, _noun: Any) -> bool:
    """A flag that is up, or anything that is not empty."""
    return bool(value)


def _is(*values: Any) -> Asked:
    return lambda _path, value, _noun: value in values


def _is_not(*values: Any) -> Asked:
    return lambda _path, value, _noun: value not in values


def _beside(path: FieldPath, noun: Any) -> Any:
    """The model that holds the field."""
    for key in path[:-1]:
        noun = getattr(noun, str(key)) if isinstance(noun, BaseModel) else noun[key]
    return noun


def _without_memory(path: FieldPath, _value: Any, noun: Any) -> bool:
    return _beside(path, noun).memory is None


def _is_balanced_sctp(path: FieldPath, value: Any, noun: Any) -> bool:
    port = _beside(path, noun)
    return value == "sctp" and port.published is not None and port.mode == "ingress"


def _is_unreachable(_path: FieldPath, _value: Any, noun: Any) -> bool:
    return getattr(noun, "network_mode", "app") == "none"


def _is_other_log_option(path: FieldPath, _value: Any, _noun: Any) -> bool:
    return path[-1] not in ("max-size", "max-file")


def _is_more_than_no_new_privileges(_path: FieldPath, value: Any, _noun: Any) -> bool:
    plain = {option.replace("=", ":") for option in value}
    return not plain <= {"no-new-privileges", "no-new-privileges:true"}


# Whatever the driver. ------------------------------------------------------------------------

_COSMETIC, _DATA = Consequence.COSMETIC, Consequence.DATA
_AVAILABILITY, _NETWORK = Consequence.AVAILABILITY, Consequence.NETWORK
_NO_MEMORY = _only(
    _without_memory,
    _rejected("swap is bounded beside memory alone", "set limits.memory too"),
)
EVERY_CONTAINER: Rules = {
    "build": _lost(
        "a deploy builds nothing: the image that is named must exist",
        "build it first: docker build --tag IMAGE CONTEXT",
        _COSMETIC,
    ),
    "ports.*.app_protocol": (
        _only(
            _is_not("http", "http/1.1", "tcp", "udp"),
            _lost("routes speak plain HTTP/1.1 to it", "publish the port instead", _NETWORK),
        ),
        _moot("connections are balanced as they come, whatever is spoken"),
    ),
    "resources.limits.swap": _NO_MEMORY,
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
_NO_EVICTION = _lost(
    "whatever fits is started, and nothing is evicted for it",
    "set aside what it needs: reservations",
    _AVAILABILITY,
)
EVERY_SERVICE: Rules = {
    **EVERY_POD,
    "ports.*.published": _only(
        _is_unreachable,
        _lost("nothing reaches what has no network", "remove network_mode: none", _NETWORK),
    ),
    "autoscale": _lost(
        "the number of replicas does not follow the load",
        "set deploy.replicas, or run: orch scale SERVICE=N",
    ),
    "deploy.on_partition": _moot("one host is never cut off from itself"),
    "deploy.priority": _NO_EVICTION,
    "deploy.disruption": _moot("one host is never drained; updates follow update_config"),
    "deploy.resources.limits.swap": _NO_MEMORY,
    **{f"deploy.placement.{key}": rule for key, rule in _PLACEMENT.items()},
}
EVERY_JOB: Rules = {
    **EVERY_POD,
    "priority": _NO_EVICTION,
    "overrides.native.drain": _moot("a job is sent no traffic, so that it needs no drain"),
    **{f"placement.{key}": rule for key, rule in _PLACEMENT.items()},
}

# Containers: what they are given is in agent/docker_body.py. ---------------------------------

BY_DNS = (
    "inside the app a service's name leads to the addresses of all its replicas, ready or not;"
    " published ports and routes lead to ready ones alone"
)
DOCKER_CONTAINER: Rules = {
    "ports.*.protocol": _only(
        _is_balanced_sctp, _rejected("sctp is not balanced", "publish it with mode: host")
    ),
}
DOCKER_POD: Rules = {
    "annotations": _emulated("kept as labels of the container"),
    "ipc": _only(
        lambda _path, value, _noun: str(value).startswith("service:"),
        _rejected("a container shares memory with no other service", "write private or host"),
    ),
}
DOCKER_SERVICE: Rules = {
    "deploy.endpoint_mode": _degraded(BY_DNS, "reach it by a published port", _NETWORK),
}
_MADE_ONCE = _degraded("the engine writes labels as it makes it; later changes stay in the record")

# Processes: what they are given is in agent/process_settings.py. -----------------------------

_HOSTS_OWN = _only(_set, _rejected("a process shares the host's own"))
_RESOURCES: Rules = {
    "limits.ephemeral_storage": _rejected("a process writes to the host's disk"),
    "reservations.devices": _rejected("devices are not set aside for processes"),
}
PROCESS_CONTAINER: Rules = {
    **dict.fromkeys(("read_only", "privileged", "devices", "sysctls", "shm_size"), _HOSTS_OWN),
    "pull_policy": _moot("a process has no image to fetch"),
    "init": _only(_set, _emulated("its supervisor reaps what it leaves behind")),
    "security_opt": _only(_is_more_than_no_new_privileges, _rejected("it needs a container")),
    "volumes.*.volume.nocopy": _moot("there is no image whose files could fill a volume"),
    "ports.*.protocol": _only(_is("sctp"), _rejected("the proxy carries tcp and udp")),
    "logging.driver": _only(
        _is_not("json-file", "local", "none"),
        _rejected("a process's output is kept as json-file or local keeps it"),
    ),
    "logging.options.*": _only(
        _is_other_log_option, _moot("a process's output knows max-size and max-file")
    ),
    **{f"resources.{key}": rule for key, rule in _RESOURCES.items()},
}
PROCESS_PART: Rules = {
    "image": _rejected(
        "one unit is either all containers or all processes of the host",
        "give the main one an image too",
    ),
}
_RECORD = _emulated("kept in the scheduler's record of it: what runs carries none")
_NO_FIXED_ADDRESS = _rejected("a process has a loopback address")
PROCESS_POD: Rules = {
    "annotations": _RECORD,
    "labels": _RECORD,
    "runtime": _rejected("a process has no container runtime"),
    "ipc": _only(_is_not("host", "private"), _rejected("it needs a container")),
    "network_mode": _only(
        lambda _path, value, noun: value == "none" and bool(noun.sidecars),
        _degraded("what runs beside it has a network of its own, and none of them meet"),
    ),
    "networks": _degraded(
        "a process is reached at loopback addresses: networks keep none of this host out",
        USE_IMAGE,
    ),
    "networks.*.ipv4_address": _NO_FIXED_ADDRESS,
    "networks.*.ipv6_address": _NO_FIXED_ADDRESS,
    "networks.*.priority": _moot("a process is on every network at once"),
    "networks.*.driver_opts": _moot("a process's network has no driver"),
}
PROCESS_SERVICE: Rules = {
    "deploy.endpoint_mode": _only(
        _is("dnsrr"),
        _degraded("its name leads to one address, balanced over the ready replicas", "write vip"),
    ),
    **{f"deploy.resources.{key}": rule for key, rule in _RESOURCES.items()},
}
NOT_FOUND_BY_CONTAINERS = _degraded(
    "it listens on a loopback address: containers of this app do not reach it by its name",
    USE_IMAGE,
)

# What is shared: a volume or network is rated by the drivers of those that use it. ------------

_SIZE = _lost(
    "nothing bounds it: a volume may fill the disk",
    "give it a driver that bounds it, by driver_opts",
    _AVAILABILITY,
)
_NO_DRIVER = _lost(
    "processes mount folders of this host: the data would lie there instead", USE_IMAGE, _DATA
)
_FOLDER = _degraded("kept in the scheduler's record: there is nothing that could carry them")
_ENCRYPTED = _moot("one host: nothing of it leaves the host")
_NO_NETWORK = _moot("processes have loopback addresses, and no network to set up")
TWO_STORES = "containers and processes have volumes of their own, so each would see other files"
SHARED: Mapping[str, Rules] = FrozenDict(
    {
        f"volumes.*/{DOCKER}": {"size": _SIZE, "labels": _MADE_ONCE},
        f"volumes.*/{PROCESS}": {
            "size": _SIZE,
            "labels": _FOLDER,
            "driver": (
                _only(_is("local"), _moot("a volume of processes is always local")),
                _only(_is_not("local"), _NO_DRIVER),
            ),
            "driver_opts": _NO_DRIVER,
        },
        f"networks.*/{DOCKER}": {"encrypted": _ENCRYPTED, "labels": _MADE_ONCE},
        f"networks.*/{PROCESS}": {
            "encrypted": _ENCRYPTED,
            "labels": _FOLDER,
            "internal": _only(_set, _rejected("processes share the host's way out")),
            "external": _only(
                _set, _lost("a process joins no network of others", USE_IMAGE, _NETWORK)
            ),
            **dict.fromkeys(
                ("driver", "driver_opts", "attachable", "enable_ipv6", "ipam", "name"),
                _NO_NETWORK,
            ),
        },
    }
)
_POLICY = _lost(
    "services of one network reach each other freely",
    "put those that may talk into a network of their own",
)
_USE_SECRETS = "give the certificate as secrets: tls: {cert: {secret: …}, key: {secret: …}}"
_NO_ACME = _lost(
    "the built-in proxy asks no authority for certificates, so that the route has none",
    _USE_SECRETS,
    Consequence.SECURITY,
)
_NO_STORE = _lost(
    "a bare host keeps no certificates by identifier, so that the route has none",
    _USE_SECRETS,
    Consequence.SECURITY,
)
_ALL_DOCKER = DOCKER_CONTAINER | DOCKER_POD
_ALL_PROCESS = PROCESS_CONTAINER | PROCESS_POD
RULES: Mapping[str, Rules] = FrozenDict(
    {
        f"services.*/{DOCKER}": EVERY_SERVICE | _ALL_DOCKER | DOCKER_SERVICE,
        f"services.*/{PROCESS}": EVERY_SERVICE | _ALL_PROCESS | PROCESS_SERVICE,
        f"jobs.*/{DOCKER}": EVERY_JOB | _ALL_DOCKER,
        f"jobs.*/{PROCESS}": EVERY_JOB | _ALL_PROCESS,
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


@dataclass(frozen=True, slots=True)
class RuleTree:
    """The rules of a noun by the keys that lead to what they speak of; `*` is each of them."""

    here: list[Rule] = field(default_factory=list)
    below: dict[str, RuleTree] = field(default_factory=dict)


@cache
def rules_for(noun: str, driver: str = "") -> RuleTree:
    """The rules of a noun."""
    tree = RuleTree()
    for pattern, given in RULES.get(f"{noun}/{driver}" if driver else noun, {}).items():
        node = tree
        for key in pattern.split("."):
            node = node.below.setdefault(key, RuleTree())
        node.here.extend(several(given))
    return tree
