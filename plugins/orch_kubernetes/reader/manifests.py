"""Files of manifests as trees of items: YAML of several documents, lists and JSON."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from orch.errors import InvalidSpec
from orch.load.files import folder_of, read_text, shown
from orch.load.items import Malformed, parse
from orch.types import Diagnostic, Place
from orch_kubernetes.reader.objects import Objects, things
from orch_kubernetes.reader.reading import name_of, read_objects
from orch_kubernetes.reader.values import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orch.backend.contract import Reading
    from orch.load.item import Item

_TEMPLATE = re.compile(
    r"\{\{-?\s*(?:\.(?:Values|Release|Chart|Files|Capabilities)\b|include\b|end\b)"
)
_UNRENDERED: Mapping[str, tuple[str, str]] = {
    "Kustomization": ("kustomization", "run: kubectl kustomize {folder} | orch import -"),
    "Component": ("component of a kustomization", "run: kubectl kustomize FOLDER | orch import -"),
    "Template": ("template of OpenShift", "run: oc process -f {file} | orch import -"),
}
_GROUPS = ("kustomize.config.k8s.io", "template.openshift.io", "v1")


class Manifests:
    """Reads files, and finds what is wrong with them as files."""

    def __init__(self) -> None:
        self.faults: list[Diagnostic] = []

    def read(self, files: Sequence[Path]) -> list[Item]:
        """The objects and lists of all files. Raises InvalidSpec with every fault found."""
        found = [document for file in files for document in self._file(file)]
        if self.faults:
            raise InvalidSpec(sorted(self.faults, key=lambda fault: fault.place))
        return found

    def _file(self, file: Path) -> list[Item]:
        text, name = read_text(file), shown(file)
        template = _TEMPLATE.search(text)
        if template is not None:
            line = text.count("\n", 0, template.start()) + 1
            fault = "this is a template of Helm, which has to be rendered first"
            mend = "run: helm template CHART | orch import -"
            self.faults.append(Diagnostic(fault, (), Place(name, line, 1), mend))
            return []
        told: list[Diagnostic] = []
        try:
            documents = parse(text, name, told)
        except Malformed as malformed:
            documents, told = [], [*told, malformed.diagnostic]
        self.faults += (_joined(fault) for fault in told)
        if told:
            return []
        held = [document for document in documents if document.value is not None]
        if not held:
            mend = "give a file with objects, or leave it out"
            self.faults.append(Diagnostic("this file is empty", (), Place(name), mend))
        return [document for document in held if self._is_object(document, file)]

    def _is_object(self, document: Item, file: Path) -> bool:
        kind, version = text_of(document.get("kind")), text_of(document.get("apiVersion"))
        if kind in _UNRENDERED and version.startswith(_GROUPS):
            noun, mend = _UNRENDERED[kind]
            fault = f"this is a {noun}, which has to be rendered first"
            said = mend.format(folder=folder_of(file), file=shown(file))
            self._fault(document, fault, said)
        elif not isinstance(document.value, dict):
            self._fault(document, "this is no object of Kubernetes", "leave the file out")
        elif not kind or not version:
            missing = "kind" if version else "apiVersion"
            fault = f"this is no object of Kubernetes: it has no {missing}"
            self._fault(document, fault, f"write {missing}:, or leave the file out")
        else:
            return True
        return False

    def _fault(self, document: Item, fault: str, mend: str) -> None:
        self.faults.append(Diagnostic(fault, (), document.place, mend))


def _joined(fault: Diagnostic) -> Diagnostic:
    """Two objects without a line between them look like one whose keys stand there twice."""
    if fault.path not in (("apiVersion",), ("kind",)):
        return fault
    return replace(fault, mend="put a line of --- between two objects, or remove one of them")


def read_files(files: Sequence[Path]) -> Reading:
    """A spec of manifests. Raises InvalidSpec with every fault found."""
    documents = Manifests().read(files)
    base = str(folder_of(files[0]))
    reading = read_objects(documents, base=base, fallback=_fallback(files))
    return replace(reading, files=tuple(str(file) for file in files))


def read_name(files: Sequence[Path]) -> str:
    """The application's name alone. Raises InvalidSpec as `read_files` does for a file."""
    objects = Objects.of(things(Manifests().read(files)))
    return name_of(objects, _fallback(files))


def _fallback(files: Sequence[Path]) -> str:
    """The folder of the files, when no object tells a name."""
    return folder_of(files[0]).resolve().name or "app"
