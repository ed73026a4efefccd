"""One service or job while it is written, and what is around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orch.frozen import FrozenDict
from orch.load.item import Item
from orch.types import Consequence, Fidelity
from orch_kubernetes import names
from orch_kubernetes.api import marks
from orch_kubernetes.flavours import FLAVOURS
from orch_kubernetes.reader.objects import Pods, texts
from orch_kubernetes.reader.values import is_true, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.load.account import Writer
    from orch.types import FieldPath
    from orch_kubernetes.reader.claims import Claims
    from orch_kubernetes.reader.contents import Configs, Secrets
    from orch_kubernetes.reader.objects import Objects, Thing

KEPT = "kept as an override, which Kubernetes alone heeds"
OWN = "orch writes it by itself"
DEFAULT = "this is the default"
PLACE = "it is known here by its place"
IMPLIED = "what stands here says the same"


_DEFAULTS: Mapping[str, Any] = FrozenDict(
    {
        "manualSelector": False,
        "podReplacementPolicy": "TerminatingOrFailed",
        "revisionHistoryLimit": 10,
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
)
"""What a cluster writes into objects that don't say it, and that changes nothing."""


def is_default(item: Item) -> bool:
    """Whether a value is what a cluster would fill in."""
    key = item.path[-1] if item.path else ""
    return key in _DEFAULTS and _DEFAULTS[str(key)] == item.value


@dataclass(frozen=True, eq=False)
class Around:
    """What the parts of an application share while it is read."""

    writer: Writer
    objects: Objects
    configs: Configs
    secrets: Secrets
    claims: Claims
    parts: list[Part] = field(default_factory=list)
    published: dict[tuple[int, str], str] = field(default_factory=dict)

    def part_of(self, thing: Thing) -> Part | None:
        """The part that an object became."""
        return self._by_thing.get(id(thing))

    @cached_property
    def _by_thing(self) -> dict[int, Part]:
        return {id(part.thing): part for part in self.parts}

    @cached_property
    def pods(self) -> Pods[Part]:
        """The parts by the labels of their pods, once there are all."""
        return Pods((part, part.thing.namespace, part.labels) for part in self.parts)


@dataclass(eq=False)
class Part:
    """A service or a job, with the object that it is read from."""

    around: Around
    thing: Thing
    name: str
    section: str
    template: Item
    template_path: FieldPath
    overrides: list[tuple[FieldPath, Item]] = field(default_factory=list)
    mounts_scratch: bool = False

    @property
    def writer(self) -> Writer:
        """The document in the making."""
        return self.around.writer

    @property
    def path(self) -> FieldPath:
        """Where it stands in the document."""
        return (self.section, self.name)

    @property
    def is_job(self) -> bool:
        """Whether it ends."""
        return self.section == "jobs"

    @property
    def pod(self) -> Item:
        """The spec of its pods."""
        return self.template.get("spec") or Item({})

    @cached_property
    def labels(self) -> dict[str, str]:
        """The labels of its pods."""
        return texts(self.template.at("metadata", "labels"))

    def at(self, *keys: str | int) -> FieldPath:
        """A path below it."""
        return (*self.path, *keys)

    @property
    def placement(self) -> FieldPath:
        """Where its placement stands."""
        return self.at("placement") if self.is_job else self.at("deploy", "placement")

    @property
    def replicas(self) -> int:
        """How many replicas are asked for."""
        said = number_of(self.thing.at("spec", "replicas"))
        return 1 if said is None else said

    @property
    def is_global(self) -> bool:
        """Whether one runs on every node."""
        return self.thing.kind == "DaemonSet"

    def put(self, keys: FieldPath, item: Item | None, *value: Any, **how: Any) -> None:
        """Write an item below it."""
        self.writer.put((*self.path, *keys), item, *value, **how)

    def note(self, item: Item | None, reason: str = "", *keys: str) -> None:
        """Account for an item by what is written already."""
        self.writer.note(self.at(*keys), item, Fidelity.NATIVE, reason)

    def override(self, keys: FieldPath, item: Item | None) -> None:
        """Keep a setting of the pods for Kubernetes alone."""
        self.override_own((*self.template_path, *keys), item)

    def override_own(self, keys: FieldPath, item: Item | None) -> None:
        """Keep a setting of the workload for Kubernetes alone, unless it is the default."""
        if item is not None and is_default(item):
            self.note(item, DEFAULT)
        elif item is not None and item.value is not None:
            self.overrides.append((keys, item))


def write_overrides(part: Part, kind: str) -> None:
    """Write what was kept for Kubernetes, under the kind that the part is compiled to."""
    key = f"{kind[0].lower()}{kind[1:]}"
    for path, item in part.overrides:
        how: dict[str, Any] = {"outcome": Fidelity.DEGRADED, "reason": KEPT}
        where = ("overrides", "kubernetes", key, *path)
        part.put(where, item, consequence=Consequence.COSMETIC, **how)


# -- metadata ----------------------------------------------------------------------------------

_SERVER = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)
_TOOLS = (
    "deployment.kubernetes.io/",
    "kubectl.kubernetes.io/",
    "kompose.",
    "orch/",
    "meta.helm.sh/",
    "batch.kubernetes.io/",
    "pv.kubernetes.io/",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/",
    "control-plane.alpha.kubernetes.io/",
    "deprecated.daemonset.template.generation",
)
_FLAVOURED = frozenset(
    pair
    for flavour in FLAVOURS.values()
    for said in (flavour.load_balancer_annotations, flavour.ingress_annotations)
    for pair in said.items()
)
"""What a flavour's load balancers and proxies are told by orch, too."""
OWN_LABELS = frozenset((names.APP, names.SERVICE, names.PART_OF, names.MANAGED_BY, names.NAME))
_HASHES = frozenset(
    (
        "pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "controller-uid",
        "job-name",
    )
)
SEEN = "the cluster writes it"
TOOL = "a tool's own note"


def is_ours(thing: Thing) -> bool:
    """Whether orch made the object."""
    return thing.texts("metadata", "labels").get(names.MANAGED_BY) == "orch"


def note_identity(writer: Writer, thing: Thing, path: FieldPath) -> None:
    """Account for an object's type, name and state, which the part of the spec stands for."""
    for key in ("apiVersion", "kind"):
        writer.note(path, thing.item.get(key), Fidelity.NATIVE, PLACE)
    writer.note(path, thing.item.value.get("status"), Fidelity.NATIVE, SEEN)
    metadata = thing.item.value.get("metadata")
    if metadata is None:
        return
    writer.note(path, metadata if not metadata.value else None)
    for key in ("name", "namespace", "generateName"):
        writer.note(path, metadata.get(key), Fidelity.NATIVE, PLACE)
    for key in _SERVER:
        writer.note(path, metadata.value.get(key), Fidelity.NATIVE, SEEN)
    for key, item in (metadata.get("annotations") or Item({})).items():
        if is_note(key) or (key, item.value) in _FLAVOURED:
            writer.note(path, item, Fidelity.NATIVE, TOOL)
    for key, item in (metadata.get("labels") or Item({})).items():
        if is_tools(key) or (is_ours(thing) and key in OWN_LABELS):
            writer.note(path, item, Fidelity.NATIVE, TOOL)


def put_labels(writer: Writer, thing: Thing, path: FieldPath) -> None:
    """Carry the labels of an object that has a place for them."""
    for key, item in (thing.at("metadata", "labels") or Item({})).items():
        if not item.ways:
            writer.put((*path, key), item, "" if item.value is None else item.value)


def is_tools(key: str) -> bool:
    """Whether a label is a tool's or the cluster's own, and none of the application."""
    told = key.startswith(("helm.sh/", "batch.kubernetes.io/"))
    return told or key in _HASHES or key in (names.MANAGED_BY, marks.INSTANCE, marks.NAMESPACE)


def is_note(key: str) -> bool:
    """Whether an annotation is a tool's or the cluster's own note."""
    return key.startswith(_TOOLS)


def is_owned(thing: Thing) -> bool:
    """Whether a controller made the object from another one."""
    owners = thing.at("metadata", "ownerReferences") or ()
    return any(is_true(owner.get("controller")) for owner in owners)
