"""Claims as volumes: who mounts them decides what kind of sharing is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orch.load.item import Item
from orch.types import Consequence, Fidelity
from orch_kubernetes.compile.storage import MODES
from orch_kubernetes.reader.part import (
    IMPLIED,
    PLACE,
    TOOL,
    is_tools,
    note_identity,
    put_labels,
)
from orch_kubernetes.reader.values import quantity, size, spec_name, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch.load.account import Writer
    from orch.types import FieldPath
    from orch_kubernetes.reader.objects import Objects, Thing
    from orch_kubernetes.reader.part import Part

_ACCESS = {mode: access for access, mode in MODES.items()} | {"ReadWriteOncePod": "exclusive"}
_STRENGTH = ("exclusive", "read-only-many", "shared")
SEVERAL = "more than one replica mounts it, which such a claim allows on one node alone"
OUTLIVES = "the spec has no scratch folder that containers share: this one outlives its replica"
UNREAD = "the claim was not read, and is taken as one that is there"


@dataclass(eq=False)
class Claim:
    """A volume of the application while its mounts are read."""

    name: str
    source: Item
    item: Item | None
    thing: Thing | None = None
    per_replica: bool = False
    scratch: bool = False
    holders: list[Part] = field(default_factory=list)
    mounts: list[FieldPath] = field(default_factory=list)


class Claims:
    """All volumes of the application."""

    def __init__(self, writer: Writer, objects: Objects) -> None:
        self._writer, self._objects = writer, objects
        self._claims: dict[tuple[str, str], Claim] = {}
        self._names: set[str] = set()

    def of_name(self, name: str, namespace: str, at: Item) -> Claim:
        """The volume of a PersistentVolumeClaim."""
        thing = self._objects.find("PersistentVolumeClaim", name, namespace)
        item = thing.item if thing is not None else None
        return self._claim((namespace, name), [name], at, item, thing)

    def of_template(self, part: Part, template: Item) -> Claim:
        """The volume of a StatefulSet's template of claims."""
        name = text_of(template.at("metadata", "name"))
        key = (part.thing.title, name)
        claim = self._claim(key, [name, f"{part.name}-{name}"], template, template, None)
        claim.per_replica = True
        return claim

    def of_scratch(self, part: Part, volume: Item) -> Claim:
        """The volume that stands for a folder which the containers of a pod share."""
        name = text_of(volume.get("name"))
        key = (part.thing.title, f"scratch {name}")
        claim = self._claim(key, [f"{part.name}-{name}"], volume, None, None)
        claim.per_replica, claim.scratch = not part.is_job, True
        return claim

    def _claim(
        self,
        key: tuple[str, str],
        wishes: Sequence[str],
        at: Item,
        item: Item | None,
        thing: Thing | None,
    ) -> Claim:
        if key not in self._claims:
            free = (name for wish in wishes if (name := spec_name(wish)) not in self._names)
            name = next(free, None) or spec_name(".".join(key))
            self._names.add(name)
            self._claims[key] = Claim(name, at, item, thing)
        return self._claims[key]

    # -- the section -----------------------------------------------------------------------------

    def write(self) -> None:
        """The volumes, once all mounts are known; what nobody mounts holds files, too."""
        for thing in self._objects.of_kind("PersistentVolumeClaim"):
            name = thing.at("metadata", "name")
            if name is not None:
                self.of_name(thing.name, thing.namespace, name)
        for claim in self._claims.values():
            self._write(claim)

    def is_exclusive(self, part: Part) -> bool:
        """Whether a part mounts a volume with one writer."""
        return any(
            part in claim.holders and not claim.per_replica and self._access(claim) == "exclusive"
            for claim in self._claims.values()
        )

    def makes_stateful(self, part: Part) -> bool:
        """Whether a part has storage of its own, so that it is compiled to a StatefulSet."""
        return any(
            part in claim.holders
            and (claim.item is not None or claim.scratch)
            and (claim.per_replica or self._access(claim) == "exclusive")
            for claim in self._claims.values()
        )

    def _write(self, claim: Claim) -> None:
        writer, path = self._writer, ("volumes", claim.name)
        writer.set(path, {}, claim.source)
        if claim.per_replica:
            writer.set((*path, "per_replica"), value=True, item=claim.source)
        if claim.item is None and not claim.scratch:
            self._outside(claim, path)
            return
        if claim.thing is not None:
            note_identity(writer, claim.thing, path)
            put_labels(writer, claim.thing, (*path, "labels"))
        if claim.item is not None:
            self._asked(claim, claim.item, path)
        self._sharing(claim, path)

    def _outside(self, claim: Claim, path: FieldPath) -> None:
        writer = self._writer
        writer.set((*path, "external"), value=True, item=claim.source)
        writer.set((*path, "name"), text_of(claim.source), claim.source)
        self._sharing(claim, path)

    def _asked(self, claim: Claim, item: Item, path: FieldPath) -> None:
        writer, spec = self._writer, item.get("spec") or Item({})
        storage = spec.at("resources", "requests", "storage")
        number = quantity(storage.value) if storage is not None else None
        if number is not None:
            writer.put((*path, "size"), storage, size(number))
        writer.put((*path, "driver"), spec.get("storageClassName"))
        for key in ("volume.beta.kubernetes.io/storage-class", "orch/driver"):
            older = item.at("metadata", "annotations", key)
            if older is not None and (spec.get("storageClassName") is None or key[:4] == "orch"):
                writer.put((*path, "driver"), older)
        if claim.thing is None:
            for key in ("apiVersion", "kind"):
                writer.note(path, item.get(key), Fidelity.NATIVE, PLACE)
            writer.note(path, item.at("metadata", "name"), Fidelity.NATIVE, PLACE)
            writer.note(path, item.value.get("status"))
            for key, label in (item.at("metadata", "labels") or Item({})).items():
                if is_tools(key):
                    writer.note(path, label, Fidelity.NATIVE, TOOL)
                else:
                    writer.put((*path, "labels", key), label)
        writer.note(path, spec.get("volumeName"), Fidelity.NATIVE, "the cluster binds it")
        mode = spec.get("volumeMode")
        if mode is not None and text_of(mode) == "Filesystem":
            writer.note(path, mode)

    def _modes(self, claim: Claim) -> list[Item]:
        spec = claim.item.get("spec") if claim.item is not None else None
        return list((spec.get("accessModes") if spec is not None else None) or ())

    def _access(self, claim: Claim) -> str:
        """What the claim asks for, and at least what its mounts need."""
        said = [_ACCESS.get(text_of(mode), "exclusive") for mode in self._modes(claim)]
        access = max(said, key=_STRENGTH.index, default="exclusive")
        if claim.per_replica or access != "exclusive":
            return access
        services = [part for part in claim.holders if not part.is_job]
        several = len(set(map(id, services))) > 1 or any(
            part.is_global or _most(part) > 1 for part in services
        )
        return "shared" if several else access

    def _sharing(self, claim: Claim, path: FieldPath) -> None:
        writer, access = self._writer, self._access(claim)
        modes = self._modes(claim)
        asked = [mode for mode in modes if _ACCESS.get(text_of(mode)) == access]
        for mode in asked[:1]:
            writer.put((*path, "access"), mode, access)
        if not asked and access != "exclusive":
            writer.set((*path, "access"), access, claim.source)
            for mode in modes or [claim.source]:
                self._degrade(path, mode)
        for mode in modes:
            if not mode.ways:
                writer.note((*path, "access"), mode, Fidelity.NATIVE, IMPLIED)
        for mount in claim.mounts if access == "read-only-many" else ():
            writer.set((*mount, "read_only"), value=True, item=claim.source)

    def _degrade(self, path: FieldPath, item: Item) -> None:
        where = (*path, "access")
        self._writer.note(where, item, Fidelity.DEGRADED, SEVERAL, Consequence.AVAILABILITY)


def _most(part: Part) -> int:
    """How many replicas of a part there may be."""
    grown = part.writer.get(part.at("autoscale", "max"))
    return max(part.replicas, int(grown or 1))
