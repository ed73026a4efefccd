"""Marks of ownership: which labels and annotations say whose an object is, and what we made it."""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

from orch.types import Instance
from orch_kubernetes import names

if TYPE_CHECKING:
    from collections.abc import Mapping

Row = dict[str, Any]
DEFAULT_NAMESPACE = "default"
INSTANCE, NAMESPACE = "orch/instance", "orch/namespace"
"""Labels, by which what is ours is listed."""
OWNER, ID, REVISION, APPLIED = "orch/owner", "orch/id", "orch/revision", "orch/applied"
HOLDS = "orch/holds"
"""Annotation of a Secret: the versions of the secrets whose values it holds."""
STORE = "orch/store"
"""Label of records: they belong to an instance, and are none of its objects."""
RESTARTED = "orch/restarted"
_LABELS = frozenset({INSTANCE, NAMESPACE})
_ANNOTATIONS = frozenset({OWNER, ID, REVISION, APPLIED, HOLDS})
_NOISE = ("kubectl.kubernetes.io/last-applied-configuration",)
_LONGEST = 128 * 1024
"""Annotations of an object have 256 KiB in all."""


def space_of(instance: Instance) -> str:
    """The cluster's namespace of an instance: one of its own unless another is named."""
    if instance.namespace == DEFAULT_NAMESPACE:
        return names.object_name(instance.name)
    return instance.namespace


def selector_of(instance: Instance) -> str:
    """By which labels everything of an instance is listed."""
    return ",".join(f"{key}={text}" for key, text in labels_of(instance).items())


def labels_of(instance: Instance) -> dict[str, str]:
    """The labels of whatever belongs to an instance."""
    return {
        INSTANCE: names.label_value(instance.name),
        NAMESPACE: names.label_value(instance.namespace),
    }


def annotations_of(
    instance: Instance, id_: str, revision: int, body: Mapping[str, Any]
) -> dict[str, str]:
    """What tells more about an object of an instance than labels can."""
    packed = "" if _is_content(body) else pack(body)
    return {
        OWNER: f"{instance.namespace}/{instance.name}",
        ID: id_,
        REVISION: str(revision),
        **({APPLIED: packed} if packed and len(packed) < _LONGEST else {}),
    }


def _is_content(body: Mapping[str, Any]) -> bool:
    """A ConfigMap shows its content itself, and it may be long."""
    return body.get("kind") == "ConfigMap"


def owner_of(row: Row, target: str) -> Instance | None:
    """The instance that an object's marks name; a copy in another namespace is nobody's."""
    said = annotation(row, OWNER)
    namespace, slash, name = said.partition("/")
    if not slash:
        return None
    owner = Instance(target, namespace, name)
    there = row["metadata"].get("namespace")
    return owner if there in (None, space_of(owner)) else None


def annotation(row: Row, key: str) -> str:
    """An annotation of an object, empty when it has none."""
    return str((row["metadata"].get("annotations") or {}).get(key, ""))


def label(row: Row, key: str) -> str:
    """A label of an object, empty when it has none."""
    return str((row["metadata"].get("labels") or {}).get(key, ""))


def name_of(row: Row) -> str:
    """What an object is called."""
    return str(row["metadata"]["name"])


def revision_of(row: Row) -> int:
    """The release that wrote an object last."""
    said = annotation(row, REVISION)
    return int(said) if said.isdigit() else 0


def age_of(row: Row) -> tuple[int, str]:
    """What tells which version of a config or secret counts: the greatest was asked for last."""
    return revision_of(row), str(row["metadata"].get("creationTimestamp", ""))


def own_labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    """Labels without our marks."""
    return {key: text for key, text in (labels or {}).items() if key not in _LABELS}


def own_annotations(annotations: Mapping[str, str] | None) -> dict[str, str]:
    """Annotations without our marks."""
    noise = (*_ANNOTATIONS, *_NOISE)
    return {key: text for key, text in (annotations or {}).items() if key not in noise}


def pack(value: Mapping[str, Any]) -> str:
    """A body as a short annotation."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpack(text: str) -> Mapping[str, Any] | None:
    """What `pack` wrote; None for nothing, or when somebody spoilt it."""
    if not text:
        return None
    try:
        found = json.loads(zlib.decompress(base64.b64decode(text)))
    except (ValueError, zlib.error):
        return None
    return found if isinstance(found, dict) else None


def is_derived(row: Row) -> bool:
    """Whether a controller made an object of another, as that of OpenShift does of Ingresses."""
    owners = row["metadata"].get("ownerReferences") or ()
    return any(owner.get("controller") for owner in owners)
