"""Volumes of a pod and where its containers mount them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orch.types import Consequence, Fidelity
from orch_kubernetes.compile.storage import PROPAGATION
from orch_kubernetes.reader.claims import OUTLIVES
from orch_kubernetes.reader.part import DEFAULT, PLACE, SEEN
from orch_kubernetes.reader.values import is_true, number_of, quantity, size, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.load.item import Item
    from orch.types import FieldPath
    from orch_kubernetes.reader.claims import Claim
    from orch_kubernetes.reader.part import Part

IN_MEMORY = "a scratch folder of one container is kept in memory"
FILE_BY_FILE = "each file is mounted by itself, and a change of it is a deploy"
NO_KEYS = "its object was not read, so its files are not known"
NAME_THEM = "read its file too, or list the keys as items"
OPTIONAL = "it is optional, and was not read"
NO_VOLUME = "the pod has no volume of that name"
TWICE = "another mount of the container is there"
_PROPAGATION = {theirs: ours for ours, theirs in PROPAGATION.items()}
_CHECKED = ("", "Directory", "File", "Socket", "CharDevice", "BlockDevice")
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
SHM = "/dev/shm"  # noqa: S108  (a path in a container)
_RUN = "/run/secrets/"
_MODE = 0o644
_FILES = ("configMap", "secret", "projected", "downwardAPI")


class _File(NamedTuple):
    """A file of a volume: the object and key that hold it, and its path in the folder."""

    kind: str
    name: str
    key: str
    inside: str
    item: Item
    mode: Item | None


class MountReader:
    """Writes the mounts of all containers of a pod."""

    def __init__(self, part: Part) -> None:
        self._part, self._writer = part, part.writer
        self._space = part.thing.namespace
        self._volumes = {text_of(v.get("name")): v for v in part.pod.get("volumes") or ()}
        self._templates = {
            text_of(template.at("metadata", "name")): template
            for template in part.thing.at("spec", "volumeClaimTemplates") or ()
        }
        self._users: dict[str, int] = {}
        for kind in ("containers", "initContainers"):
            for container in part.pod.get(kind) or ():
                for mount in container.get("volumeMounts") or ():
                    name = text_of(mount.get("name"))
                    parts = 1 if mount.get("subPath") is None else 2
                    self._users[name] = self._users.get(name, 0) + parts
        self._taken: dict[FieldPath, set[str]] = {}

    def write(self, path: FieldPath, container: Item) -> None:
        """The mounts of one container."""
        for mount in container.get("volumeMounts") or ():
            name = text_of(mount.get("name"))
            target = text_of(mount.get("mountPath"))
            volume, template = self._volumes.get(name), self._templates.get(name)
            if target == ACCOUNT:
                for item in (mount, volume):
                    self._writer.note(path, item, Fidelity.NATIVE, SEEN)
                continue
            if template is not None:
                self._claimed(path, mount, self._part.around.claims.of_template(
                    self._part, template))  # fmt: skip
            elif volume is not None and target:
                self._volume(path, mount, volume)
            else:
                self._writer.lose(mount, NO_VOLUME, "add it to volumes", Consequence.DATA)

    def account(self) -> None:
        """What nobody mounts has no effect; a volume's name is that of its mounts."""
        for name, volume in self._volumes.items():
            if name not in self._users:
                reason = "no container mounts it"
                self._writer.lose(volume, reason, "remove it", Consequence.COSMETIC)
            elif not any(leaf.ways for leaf in volume.leaves()):
                self._writer.lose(volume, TWICE, "remove one", Consequence.COSMETIC)
            else:
                self._writer.note(self._part.path, volume.get("name"), Fidelity.NATIVE, PLACE)

    def _volume(self, path: FieldPath, mount: Item, volume: Item) -> None:
        claim, host = volume.get("persistentVolumeClaim"), volume.get("hostPath")
        empty = volume.value.get("emptyDir")
        if claim is not None:
            name = claim.get("claimName")
            if name is not None:
                found = self._part.around.claims.of_name(text_of(name), self._space, name)
                self._claimed(path, mount, found)
                self._writer.note(("volumes", found.name), name)
                if is_true(claim.get("readOnly")):
                    self._read_only(found.mounts[-1], claim)
                else:
                    path_ = ("volumes", found.name)
                    self._writer.note(path_, claim.get("readOnly"), Fidelity.NATIVE, DEFAULT)
        elif host is not None:
            self._host(path, mount, host)
        elif empty is not None:
            self._scratch(path, mount, volume, empty)
        elif any(volume.get(kind) is not None for kind in _FILES):
            self._files(path, mount, volume)
        if not any(leaf.ways for leaf in mount.leaves()):
            kind = next((item for key, item in volume.items() if key != "name"), volume)
            for item in (mount, volume.get("name")):
                self._writer.lose_as(item, *(str(key) for key in kind.path))

    # -- folders ---------------------------------------------------------------------------------

    def _place(self, path: FieldPath, mount: Item, kind: str) -> FieldPath | None:
        """A new mount of a container; None when another one is there."""
        target = text_of(mount.get("mountPath"))
        target = target if target.startswith("/") else f"/{target}"
        taken = self._taken.setdefault(path, set())
        if target.rstrip("/") in taken:
            self._writer.lose(mount, TWICE, "remove one", Consequence.DATA)
            return None
        taken.add(target.rstrip("/"))
        here = (*path, "volumes", self._writer.size((*path, "volumes")))
        self._writer.set((*here, "type"), kind, mount)
        self._writer.put((*here, "target"), mount.get("mountPath"), target)
        if is_true(mount.get("readOnly")):
            self._read_only(here, mount)
        self._writer.note(here, mount.get("name"), Fidelity.NATIVE, PLACE)
        if not is_true(mount.get("readOnly")):
            self._writer.note(here, mount.get("readOnly"), Fidelity.NATIVE, DEFAULT)
        propagation = mount.get("mountPropagation")
        if kind != "bind" and propagation is not None and text_of(propagation) == "None":
            self._writer.note(here, propagation, Fidelity.NATIVE, DEFAULT)
        return here

    def _read_only(self, here: FieldPath, item: Item) -> None:
        said = item.get("readOnly")
        self._writer.put((*here, "read_only"), said)

    def _claimed(self, path: FieldPath, mount: Item, claim: Claim) -> None:
        claim.holders.append(self._part)
        here = self._place(path, mount, "volume")
        if here is None:
            claim.mounts.append(path)
            return
        claim.mounts.append(here)
        self._writer.set((*here, "source"), claim.name, mount)
        self._writer.put((*here, "volume", "subpath"), mount.get("subPath"))

    def _host(self, path: FieldPath, mount: Item, host: Item) -> None:
        here = self._place(path, mount, "bind")
        if here is None:
            return
        source, sub = host.get("path"), mount.get("subPath")
        said = text_of(source)
        if sub is not None:
            said = f"{said.rstrip('/')}/{text_of(sub)}"
            self._writer.note((*here, "source"), sub)
        self._writer.put((*here, "source"), source, said)
        kind = host.get("type")
        if kind is not None and text_of(kind) == "DirectoryOrCreate":
            self._writer.put((*here, "bind", "create_host_path"), kind, value=True)
        elif kind is not None and text_of(kind) in _CHECKED:
            self._writer.note(here, kind, Fidelity.NATIVE, "the folder must be there")
        propagation = mount.get("mountPropagation")
        if propagation is not None and text_of(propagation) in _PROPAGATION:
            said = _PROPAGATION[text_of(propagation)]
            self._writer.put((*here, "bind", "propagation"), propagation, said)

    def _scratch(self, path: FieldPath, mount: Item, volume: Item, empty: Item) -> None:
        medium, bound = empty.get("medium"), empty.get("sizeLimit")
        name = text_of(volume.get("name"))
        if self._users.get(name, 0) > 1:
            claim = self._part.around.claims.of_scratch(self._part, volume)
            self._claimed(path, mount, claim)
            number = quantity(bound.value) if bound is not None else None
            if number is not None:
                self._writer.put(("volumes", claim.name, "size"), bound, size(number))
            where = ("volumes", claim.name)
            for item in (empty if not empty.value else medium, volume.get("name")):
                self._writer.note(
                    where, item, Fidelity.DEGRADED, OUTLIVES, Consequence.AVAILABILITY
                )
            return
        whole = quantity(bound.value) if bound is not None else None
        in_memory = text_of(medium) == "Memory"
        if whole and in_memory and text_of(mount.get("mountPath")) == SHM:
            self._writer.put((*path, "shm_size"), bound, size(whole))
            for item in (mount, medium, volume.get("name")):
                self._writer.note((*path, "shm_size"), item)
            return
        here = self._place(path, mount, "tmpfs")
        if here is None:
            return
        if whole is not None:
            self._writer.put((*here, "tmpfs", "size"), bound, size(whole))
        if in_memory:
            self._writer.note(here, medium)
            return
        for item in (volume.get("name"), empty if not empty.value else medium):
            self._writer.note(here, item, Fidelity.DEGRADED, IN_MEMORY, Consequence.AVAILABILITY)

    # -- files -----------------------------------------------------------------------------------

    def _files(self, path: FieldPath, mount: Item, volume: Item) -> None:
        sub, target = mount.get("subPath"), text_of(mount.get("mountPath"))
        target = target if target.startswith("/") else f"/{target}"
        found = False
        for file in self._sources(volume):
            if sub is not None and file.inside != text_of(sub).strip("/"):
                continue
            where = target if sub is not None else f"{target.rstrip('/')}/{file.inside}"
            found |= self._file(path, file, where, mount)
        if found:
            reason = "" if sub is not None else FILE_BY_FILE
            outcome = Fidelity.NATIVE if sub is not None else Fidelity.EMULATED
            self._writer.note(path, mount, outcome, reason, Consequence.COSMETIC)

    def _sources(self, volume: Item) -> Iterator[_File]:
        """The files of a volume."""
        projected = volume.get("projected")
        if projected is None:
            yield from self._keys(volume, None)
            return
        for source in projected.get("sources") or ():
            yield from self._keys(source, projected.get("defaultMode"))

    def _keys(self, source: Item, mode: Item | None) -> Iterator[_File]:
        kind = next((kind for kind in ("configMap", "secret") if source.get(kind)), "")
        inner = source.get(kind)
        if inner is None:
            return
        named = inner.get("name") or inner.get("secretName")
        mode = inner.get("defaultMode") or mode
        name, items = text_of(named), inner.get("items")
        for item in items or ():
            key, inside = text_of(item.get("key")), text_of(item.get("path"))
            yield _File(kind, name, key, inside, item, item.get("mode") or mode)
            self._writer.note(self._part.path, named)
            self._writer.note(self._part.path, mode)
        if items is not None:
            return
        known = self._known(kind, name)
        for key in known:
            yield _File(kind, name, key, key, inner, mode)
            self._writer.note(self._part.path, mode)
        if not known and not any(leaf.ways for leaf in inner.leaves()):
            told = NO_KEYS if not is_true(inner.get("optional")) else OPTIONAL
            self._writer.lose(inner, told, NAME_THEM, Consequence.AVAILABILITY)

    def _known(self, kind: str, name: str) -> list[str]:
        around = self._part.around
        if kind == "secret":
            return around.secrets.keys(name, self._space)
        return [key for key, _ in around.configs.members(name, self._space)]

    def _file(self, path: FieldPath, file: _File, target: str, mount: Item) -> bool:
        around, taken = self._part.around, self._taken.setdefault(path, set())
        section, item = "configs", file.item
        if file.kind == "secret":
            section, target = "secrets", target.removeprefix(_RUN)
            called: str | None = around.secrets.use(file.name, file.key, self._space, item)
        else:
            called = around.configs.use(file.name, file.key, self._space, item)
        if called is None or target in taken:
            reason = TWICE if called else f"{file.name} has no key {file.key}"
            self._writer.lose(item, reason, "name another one", Consequence.AVAILABILITY)
            return False
        taken.add(target)
        here = (*path, section, self._writer.size((*path, section)))
        self._writer.set((*here, "source"), called, item)
        self._writer.set((*here, "target"), target, mount)
        mode = number_of(file.mode)
        self._writer.set((*here, "mode"), f"{_MODE if mode is None else mode:04o}", item)
        self._writer.note(here, item)
        return True
