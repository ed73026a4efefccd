"""Names and labels: what an object is called, and by which marks pods are selected."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from typing import Any

from orch.backend.capabilities import NameRule
from orch.compile.naming import platform_name

BACKEND = "kubernetes"
RULE = NameRule(max_length=52, allowed="[a-z0-9-]")
"""A CronJob's name has at most 52 characters, and a StatefulSet's gets a hash of eleven more."""
_PORT = NameRule(max_length=15, allowed="[a-z0-9-]")
_LABEL = NameRule(max_length=63, allowed="[A-Za-z0-9._-]", lower=False)

APP, SERVICE = "orch/app", "orch/service"
"""Labels by which the pods of one service are selected; selectors never change."""
ADDRESSES = ("address/", "published/")
"""How ids of Services begin that lead to one workload."""
GATEWAY_ID = "gateway/app"
"""The id of the Gateway that is made."""
NO_HOST = "any"
"""What the id of a Route says where it has no host."""
AUTOSCALED = "orch/autoscaled"
CLASS_LAID = "orch/class-laid"
"""An annotation of a way in whose class an override gave: it holds for that object alone."""
ACCOUNT = "orch/account"
CANARY, PROMOTE = "orch/canary", "orch/promote"
DEADLINE, FAILURE_ACTION = "orch/progress-deadline", "orch/failure-action"
FAILURE_RATIO, EXTERNAL = "orch/max-failure-ratio", "orch/external"
MANAGED_BY = "app.kubernetes.io/managed-by"
NAME, PART_OF = "app.kubernetes.io/name", "app.kubernetes.io/part-of"

_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_HAS_LETTER = re.compile("[a-z]")
_NODE_LABELS = {
    "zone": "topology.kubernetes.io/zone",
    "region": "topology.kubernetes.io/region",
    "node": "kubernetes.io/hostname",
    "node.hostname": "kubernetes.io/hostname",
    "node.arch": "kubernetes.io/arch",
    "node.platform.arch": "kubernetes.io/arch",
    "node.os": "kubernetes.io/os",
    "node.platform.os": "kubernetes.io/os",
}

# The same names are asked for by every object that speaks of a thing.
_once = lru_cache(maxsize=65536)


@_once
def object_name(name: str) -> str:
    """What an object is called; it begins with a letter, as a Service's name has to."""
    mapped = platform_name(name, RULE)
    return platform_name(f"s-{mapped}", RULE) if mapped[0].isdigit() else mapped


@_once
def port_name(name: str) -> str:
    """A port's name: at most 15 characters, one of them a letter."""
    mapped = platform_name(name, _PORT)
    return mapped if _HAS_LETTER.search(mapped) else platform_name(f"p-{mapped}", _PORT)


@_once
def label_value(text: str) -> str:
    """A text as the value of a label."""
    return text if _VALUE.fullmatch(text) else platform_name(text, _LABEL)


@_once
def is_label_value(text: str) -> bool:
    """Whether a text may be a label's value as it stands."""
    return _VALUE.fullmatch(text) is not None


@_once
def is_key(text: str) -> bool:
    """Whether a text may be the key of a label or annotation as it stands."""
    prefix, joint, name = text.rpartition("/")
    fits = bool(name) and _VALUE.fullmatch(name) is not None
    return fits and (not joint or is_subdomain(prefix))


def annotation_key(text: str) -> str:
    """A text as the key of an annotation."""
    return text if is_key(text) else platform_name(text, _LABEL)


def is_subdomain(text: str) -> bool:
    """Whether a text may be an object's name as it stands."""
    return len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None  # noqa: PLR2004  (RFC 1123)


def node_label(attribute: str) -> str:
    """The label of nodes that an attribute or a topology of the spec means."""
    name = attribute.removeprefix("node.labels.")
    return _NODE_LABELS.get(name, name)


def selector(app: str, service: str) -> dict[str, str]:
    """The labels that all pods of one service, and no others, have."""
    return {APP: label_value(app), SERVICE: label_value(service)}


def digest(value: Any, length: int = 10) -> str:
    """A short name for a JSON-shaped value: equal values have equal ones."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]
