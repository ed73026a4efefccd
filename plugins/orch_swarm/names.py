"""Names and markers: what an object of an instance is called, and how it is known again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from orch.backend.capabilities import NameRule
from orch.compile.naming import platform_name
from orch.types import Instance

if TYPE_CHECKING:
    from collections.abc import Mapping

BACKEND = "swarm"
DEFAULT_NAMESPACE = "default"
RULE = NameRule(max_length=63, allowed="[A-Za-z0-9-]", lower=False)
_LONGEST = 63
_DIGEST = 8

NAMESPACE, APP, ID, NAME = "orch.namespace", "orch.app", "orch.id", "orch.name"
REVISION, APPLIED, HASH = "orch.revision", "orch.applied", "orch.hash"
IMAGE, PIN = "orch.image", "orch.pin"
STACK, STACK_IMAGE = "com.docker.stack.namespace", "com.docker.stack.image"
META = frozenset(
    {NAMESPACE, APP, ID, NAME, REVISION, APPLIED, HASH, IMAGE, PIN, STACK, STACK_IMAGE}
)
"""Labels that mark an object as ours, or as a stack's; they are no part of its body."""

PORTS, SCHEDULE, DEADLINE, TIMEOUT = (
    "orch.ports",
    "orch.schedule",
    "orch.progress-deadline",
    "orch.timeout",
)
REGISTRY, LOGIN, ACCESS = "orch.registry", "orch.login", "orch.access"


def real_name(instance: Instance, name: str) -> str:
    """What an object is called on the swarm; `/shop-db` is a name that the spec itself gives.

    The parts are joined by `_`, which no mapped part holds: two instances never meet. In the
    default namespace the name is the one that `docker stack` gives.
    """
    if name.startswith("/"):
        return name[1:]
    space = [] if instance.namespace == DEFAULT_NAMESPACE else [instance.namespace]
    parts = [*space, instance.name, name]
    full = "_".join(platform_name(part, RULE) for part in parts)
    if len(full) <= _LONGEST:
        return full
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_DIGEST]
    return f"{full[: _LONGEST - _DIGEST - 1].rstrip('-_')}-{digest}"


def short_name(instance: Instance, real: str, known: Mapping[str, str]) -> str:
    """The name that a body uses for what is called `real`; `known` maps real names to these."""
    if real in known:
        return known[real]
    prefix = real_name(instance, "x")[:-1]
    rest = real.removeprefix(prefix)
    return rest if rest != real and real_name(instance, rest) == real else f"/{real}"


def marker(instance: Instance, id_: str, name: str) -> dict[str, str]:
    """Labels that say whose an object is."""
    return {NAMESPACE: instance.namespace, APP: instance.name, ID: id_, NAME: name}


def owner_of(labels: Mapping[str, str] | None, target: str = BACKEND) -> Instance | None:
    """The instance that an object's labels name."""
    if not labels or APP not in labels or NAMESPACE not in labels:
        return None
    return Instance(target, labels[NAMESPACE], labels[APP])


def own_labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    """An object's labels without our markers."""
    return {key: value for key, value in (labels or {}).items() if key not in META}


def digest(value: Any, length: int = 12) -> str:
    """A short name for a JSON-shaped value: equal values have equal ones."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]
