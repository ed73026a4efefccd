"""ConfigMaps and Secrets: each key that is used becomes a config or a secret of its own."""

from __future__ import annotations

import base64
import binascii
import os.path
import re
from typing import TYPE_CHECKING, Any

from orch.load.item import Item
from orch.types import Consequence, Fidelity
from orch_kubernetes.names import object_name
from orch_kubernetes.reader.part import OWN, is_ours, note_identity, put_labels
from orch_kubernetes.reader.values import spec_name, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.load.account import Writer
    from orch.types import FieldPath
    from orch_kubernetes.reader.objects import Objects, Thing

STDIN = "<stdin>"
PROVIDER = "manifest"
REFERRED = "the value stays in the manifest, and is read from there when it is sent"
NOT_KEPT = "a value that came with no file is kept nowhere"
ON_CLUSTER = "the Secret of the cluster is used as it is"
LOGINS = (".dockerconfigjson", ".dockercfg")
NO_KEY = "the Secret that was read has no such key"


class _Names:
    """Names in the spec for the keys of objects; the key alone where no other object has it."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, str, str], str] = {}
        self._taken: set[str] = set()

    def known(self, key: tuple[str, str, str]) -> str | None:
        return self._by_key.get(key)

    def give(self, key: tuple[str, str, str], wishes: list[str]) -> str:
        free = (name for wish in wishes if (name := spec_name(wish)) not in self._taken)
        name = next(free, None) or spec_name(".".join(key))
        self._by_key[key] = name
        self._taken.add(name)
        return name


class Configs:
    """Files of ConfigMaps."""

    def __init__(self, writer: Writer, objects: Objects) -> None:
        self._writer, self._objects = writer, objects
        self._names = _Names()

    def find(self, name: str, namespace: str) -> Thing | None:
        """The ConfigMap, None when it was not read."""
        return self._objects.find("ConfigMap", name, namespace)

    def members(self, name: str, namespace: str) -> Iterator[tuple[str, Item]]:
        """The keys of a ConfigMap with what they hold."""
        thing = self.find(name, namespace)
        for section in ("data", "binaryData") if thing is not None else ():
            yield from (thing.at(section) or Item({})).items() if thing is not None else ()

    def text(self, name: str, key: str, namespace: str) -> Item | None:
        """What a key of a ConfigMap holds, None when it is not there."""
        thing = self.find(name, namespace)
        return thing.at("data", key) if thing is not None else None

    def use(self, name: str, key: str, namespace: str, at: Item) -> str | None:
        """The config that a key of a ConfigMap became, None when it is known not to be there."""
        known = self._names.known((namespace, name, key))
        if known is not None:
            return known
        thing = self.find(name, namespace)
        if thing is None:
            return self._external(name, key, namespace, at)
        leaf = thing.item.at("data", key) or thing.item.at("binaryData", key)
        if leaf is None:
            return None
        called = self._names.give((namespace, name, key), [key, f"{name}.{key}"])
        path: FieldPath = ("configs", called)
        note_identity(self._writer, thing, path)
        self._writer.note(path, thing.item.get("immutable"), Fidelity.NATIVE, OWN)
        if thing.item.at("data", key) is None:
            self._writer.set((*path, "encoding"), "base64", leaf)
        self._writer.put((*path, "content"), leaf)
        put_labels(self._writer, thing, (*path, "labels"))
        return called

    def keep_own(self) -> None:
        """Configs of orch's own are the application's, whether a container mounts them or not."""
        for thing in self._objects.of_kind("ConfigMap"):
            if is_ours(thing):
                for key, item in self.members(thing.name, thing.namespace):
                    self.use(thing.name, key, thing.namespace, item)

    def _external(self, name: str, key: str, namespace: str, at: Item) -> str:
        called = self._names.give((namespace, name, key), [key])
        self._writer.set(("configs", called, "external"), value=True, item=at)
        self._writer.set(("configs", called, "name"), name, at)
        return called


class Secrets:
    """Values of Secrets: they are referred to, and stand nowhere in what is written."""

    def __init__(self, writer: Writer, objects: Objects, base: str) -> None:
        self._writer, self._objects, self._base = writer, objects, base
        self._names = _Names()

    def find(self, name: str, namespace: str) -> Thing | None:
        """The Secret, None when it was not read."""
        return self._objects.find("Secret", name, namespace)

    def keys(self, name: str, namespace: str) -> list[str]:
        """The keys of a Secret that was read."""
        thing = self.find(name, namespace)
        sections = ("data", "stringData") if thing is not None else ()
        return [
            key
            for section in sections
            for key, _ in ((thing.at(section) if thing is not None else None) or Item({})).items()
        ]

    def use(self, name: str, key: str, namespace: str, at: Item) -> str:
        """The secret that a key of a Secret became."""
        known = self._names.known((namespace, name, key))
        if known is not None:
            return known
        thing = self.find(name, namespace)
        own = thing is not None and is_ours(thing) and thing.name.startswith(object_name(key))
        wishes = [key] if own else [name] if key in LOGINS else []
        called = self._names.give((namespace, name, key), [*wishes, f"{name}.{key}"])
        path: FieldPath = ("secrets", called)
        leaf = None
        if thing is not None:
            note_identity(self._writer, thing, path)
            for said in ("type", "immutable"):
                self._writer.note(path, thing.item.get(said), Fidelity.NATIVE, OWN)
            put_labels(self._writer, thing, (*path, "labels"))
            leaf = thing.at("data", key) or thing.at("stringData", key)
        if leaf is None:
            self._outside(path, name, key, at)
            if thing is not None:
                self._writer.note(path, at, Fidelity.DEGRADED, NO_KEY, Consequence.AVAILABILITY)
        else:
            self.refer(path, leaf, thing, key)
        return called

    def _outside(self, path: FieldPath, name: str, key: str, at: Item) -> None:
        self._writer.set((*path, "external"), value=True, item=at)
        self._writer.set((*path, "name"), name, at)
        self._writer.set((*path, "key"), key, at)

    def refer(
        self, path: FieldPath, leaf: Item, thing: Thing | None, key: str, **options: str
    ) -> None:
        """Say where a value is found: in the manifest's file, a variable or the cluster."""
        in_file = leaf.place.file and leaf.place.file != STDIN
        if thing is not None and in_file:
            self._writer.put((*path, "provider"), leaf, PROVIDER, reason=REFERRED)
            file = os.path.relpath(leaf.place.file, self._base or ".")
            self._writer.set((*path, "path"), file, leaf)
            parts = (thing.kind, *([thing.namespace] if thing.namespace else []), thing.name, key)
            self._writer.set((*path, "key"), "/".join(parts), leaf)
            for name, value in options.items():
                self._writer.set((*path, "options", name), value, leaf)
        elif _stays(thing) and thing is not None and not leaf.place.file:
            self._outside(path, thing.name, key, leaf)
            self._writer.note(path, leaf, Fidelity.NATIVE, ON_CLUSTER)
        else:
            self._ask(path, leaf)

    def _ask(self, path: FieldPath, leaf: Item) -> None:
        """Let whoever deploys give the value as a variable."""
        variable = re.sub(r"[^A-Z0-9]+", "_", str(path[-1]).upper()).strip("_")
        how: dict[str, Any] = {"outcome": Fidelity.DEGRADED, "reason": NOT_KEPT}
        mend = f"set the variable {variable}"
        if decoded(leaf) is None:
            self._writer.set((*path, "encoding"), "base64", leaf)
            mend += " to the value in base64"
        self._writer.put((*path, "provider"), leaf, "env", **how,
            mend=mend, consequence=Consequence.AVAILABILITY)  # fmt: skip
        self._writer.set((*path, "key"), variable, leaf)

    def name_for(self, thing: Thing, key: str, *wishes: str) -> FieldPath:
        """Where a secret that is no Secret's own key is written."""
        full = (thing.namespace, thing.title, key)
        known = self._names.known(full)
        return ("secrets", known or self._names.give(full, list(wishes)))


def _stays(thing: Thing | None) -> bool:
    """Whether a Secret outlives the spec: those that orch made go once no spec asks for them."""
    return thing is not None and thing.kind == "Secret" and not is_ours(thing)


def decoded(leaf: Item) -> str | None:
    """The text of a Secret's key, None when it is not text."""
    try:
        inside = leaf.path[1] == "data"
        return base64.b64decode(text_of(leaf), validate=False).decode() if inside else text_of(leaf)
    except (binascii.Error, ValueError, IndexError):
        return None
