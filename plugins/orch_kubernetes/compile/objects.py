"""Objects of the API in the making: what all have in common, their labels and annotations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch.types import Fidelity
from orch_kubernetes import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orch.compile.builder import ManifestBuilder, ResourceBuilder
    from orch.compile.view import MapView, Read, View
    from orch.spec.application import Application
    from orch.types import FieldPath
    from orch_kubernetes.facts import ClusterFacts

NO_LABEL = "it is no legal label, and kept as an annotation"
RENAMED_KEY = "its key is no legal one, and was changed"
ONLY_LOOKED_FOR = "external"
"""The kind of what is only looked for: it is never made, changed or removed."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What every part of compile works with.

    `begun` has all objects so far by their ids, and `leading` the ways in that lead to each
    service, by its name and their ids.
    """

    make: ManifestBuilder
    app: Application
    facts: ClusterFacts
    begun: dict[str, ResourceBuilder] = field(default_factory=dict)
    leading: dict[str, dict[str, ResourceBuilder]] = field(default_factory=dict)

    def begin(
        self,
        api: str,
        kind: str,
        id_: str,
        name: str,
        *,
        rollout: bool = False,
        stateful: bool = False,
        external: bool = False,
    ) -> ResourceBuilder:
        """An object with its type, its name and the application's labels."""
        known_as = ONLY_LOOKED_FOR if external else kind
        resource = self.make.resource(known_as, id_, name, rollout=rollout, stateful=stateful)
        metadata: dict[str, Any] = {"name": name}
        resource.body.update(apiVersion=api, kind=kind, metadata=metadata)
        self.begun[id_] = resource
        if external:
            return resource
        app = names.label_value(self.app.name)
        metadata["labels"] = {names.PART_OF: app, names.MANAGED_BY: "orch", names.APP: app}
        put_labels(resource, ("metadata",), self.make.app.labels)
        return resource

    def lead(self, service: str, *ways: ResourceBuilder) -> None:
        """Remember ways in that lead to a service."""
        self.leading.setdefault(service, {}).update({way.id: way for way in ways})

    def refuse(self, feature: str, read: Any) -> bool:
        """Reject a field when the flavour's policy refuses what it asks for."""
        flavour = self.facts.flavour
        reason = flavour.refused.get(feature)
        if reason is None or read is None:
            return False
        self.make.reject(read, f"{flavour.title} refuses it: {reason}", flavour.mend)
        return True


def put_labels(resource: ResourceBuilder, base: FieldPath, labels: MapView) -> None:
    """Write labels into an object's metadata; what is no legal one becomes an annotation."""
    for key, read in labels.items():
        if names.is_key(key) and names.is_label_value(read.value):
            resource.put((*base, "labels", key), read)
        else:
            _annotate(resource, base, key, read, Fidelity.EMULATED, NO_LABEL)


def put_annotations(resource: ResourceBuilder, base: FieldPath, annotations: MapView) -> None:
    """Write annotations into an object's metadata."""
    for key, read in annotations.items():
        if names.is_key(key):
            resource.put((*base, "annotations", key), read)
        else:
            _annotate(resource, base, key, read, Fidelity.EMULATED, RENAMED_KEY)


def _annotate(
    resource: ResourceBuilder, base: FieldPath, key: str, read: Read, outcome: Fidelity, reason: str
) -> None:
    path = (*base, "annotations", names.annotation_key(key))
    resource.put(path, read, outcome=outcome, reason=reason)


def count(resource: ResourceBuilder, path: FieldPath) -> int:
    """How many items the list at a path has; 0 when it is not there."""
    part: Any = resource.body
    for key in path:
        if isinstance(part, dict) and key not in part:
            return 0
        part = part[key]
    return len(part)


def given(view: View, fields: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Those of a view's fields that have a value or were written."""
    for name in fields:
        read = view.field(name)
        if read is not None and (read.value or name in view.value.model_fields_set):
            yield name, read
