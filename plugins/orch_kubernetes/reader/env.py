"""Variables of a container: texts, keys of ConfigMaps and Secrets, and references between them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orch.types import Consequence, Fidelity
from orch_kubernetes.reader.values import is_true, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.load.item import Item
    from orch.types import FieldPath
    from orch_kubernetes.reader.part import Part

FILLED = "references to other variables are filled in"
UNKNOWN_REFERENCE = "the spec's texts hold no references to values that are not known here"
WRITTEN_OUT = "its keys are written out"
OPTIONAL = "it is optional, and was not read"
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_REFERENCE = re.compile(r"\$(\$|\(([^()]*)\))")


def filled(text: str, known: Mapping[str, str]) -> tuple[str, bool]:
    """A text as the kubelet makes it, and whether a reference in it could not be followed."""
    missing = False

    def one(match: re.Match[str]) -> str:
        nonlocal missing
        if match[1] == "$":
            return "$"
        if match[2] in known:
            return known[match[2]]
        missing = True
        return match[0]

    return _REFERENCE.sub(one, text), missing


class Environment:
    """Writes the variables of one container; `known` holds those whose text is known."""

    def __init__(self, part: Part, path: FieldPath) -> None:
        self._part, self._path = part, (*path, "environment")
        self._space = part.thing.namespace
        self.known: dict[str, str] = {}

    def write(self, container: Item) -> None:
        """All of a container's variables; later ones win."""
        for source in container.get("envFrom") or ():
            self._all_of(source)
        for variable in container.get("env") or ():
            self._one(variable)

    def fill(self, item: Item) -> tuple[str, Fidelity, str]:
        """A text of the container as it will be, and what became of references in it."""
        text, missing = filled(str(item.value), self.known)
        if missing:
            return text, Fidelity.DEGRADED, UNKNOWN_REFERENCE
        return text, Fidelity.NATIVE, FILLED if text != item.value else ""

    def _one(self, variable: Item) -> None:
        name = text_of(variable.get("name"))
        path = (*self._path, name)
        value, source = variable.get("value"), variable.get("valueFrom")
        if source is not None and source.value:
            self._from(path, name, source)
        elif value is None:
            self._part.writer.put(path, variable, "")
            self.known[name] = ""
        else:
            text, outcome, reason = self.fill(value)
            self._part.writer.put(path, value, text, outcome=outcome, reason=reason)
            self.known[name] = text
        if self._part.writer.has(path):
            self._part.writer.note(path, variable.get("name"))
        elif source is not None:
            self._lose_name(variable, source.leaves()[0])

    def _lose_name(self, variable: Item, leaf: Item) -> None:
        """A variable is lost for the reason that its source is."""
        name, writer = variable.get("name"), self._part.writer
        if leaf.ways:
            way = leaf.ways[-1]
            writer.lose(name, way.reason, way.mend, way.consequence)
        else:
            writer.lose_as(name, *(str(key) for key in leaf.path))

    def _from(self, path: FieldPath, name: str, source: Item) -> None:
        writer, around = self._part.writer, self._part.around
        secret, config = source.get("secretKeyRef"), source.get("configMapKeyRef")
        if secret is not None:
            title, key = text_of(secret.get("name")), text_of(secret.get("key"))
            if is_true(secret.get("optional")) and not self._has_secret(title, key):
                writer.lose(secret, OPTIONAL, "read its file too", Consequence.AVAILABILITY)
                return
            called = around.secrets.use(title, key, self._space, secret)
            writer.put(path, secret, {"secret": called})
            self.known.pop(name, None)
        elif config is not None:
            title, key = text_of(config.get("name")), text_of(config.get("key"))
            held = around.configs.text(title, key, self._space)
            if held is None and is_true(config.get("optional")):
                writer.lose(config, OPTIONAL, "read its file too", Consequence.AVAILABILITY)
            elif held is not None:
                self._text(path, name, held)
                writer.note(path, config)

    def _has_secret(self, name: str, key: str) -> bool:
        return key in self._part.around.secrets.keys(name, self._space)

    def _text(self, path: FieldPath, name: str, held: Item) -> None:
        self._part.writer.put(path, held, str(held.value))
        self._identify(held, path)
        self.known[name] = str(held.value)

    def _identify(self, held: Item, path: FieldPath) -> None:
        from orch_kubernetes.reader.part import note_identity

        title = str(held.path[0]).rpartition("/")[2]
        thing = self._part.around.configs.find(title, self._space)
        if thing is not None:
            note_identity(self._part.writer, thing, path)
            self._part.writer.note(path, thing.item.get("immutable"))

    def _all_of(self, source: Item) -> None:
        prefix = text_of(source.get("prefix"))
        config, secret = source.get("configMapRef"), source.get("secretRef")
        around, writer = self._part.around, self._part.writer
        found = False
        if config is not None:
            for key, held in around.configs.members(text_of(config.get("name")), self._space):
                found = True
                if held.path[1] == "data" and _VARIABLE.fullmatch(f"{prefix}{key}"):
                    self._text((*self._path, f"{prefix}{key}"), f"{prefix}{key}", held)
        if secret is not None:
            name = text_of(secret.get("name"))
            for key in around.secrets.keys(name, self._space):
                found = True
                if not _VARIABLE.fullmatch(f"{prefix}{key}"):
                    continue
                called = around.secrets.use(name, key, self._space, secret)
                writer.set((*self._path, f"{prefix}{key}"), {"secret": called}, secret)
        if found:
            writer.note(self._path, source, Fidelity.NATIVE, WRITTEN_OUT)
        elif is_true((config or secret or source).get("optional")):
            writer.lose(source, OPTIONAL, "read its file too", Consequence.AVAILABILITY)
