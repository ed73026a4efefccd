"""From files to one Compose model: reading, variables, `extends`, `include` and overriding."""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import TYPE_CHECKING

from orch.errors import UsageFault
from orch.load.dotenv import read_variables
from orch.load.files import folder_of as start_of
from orch.load.files import read_text, shown
from orch.load.interpolate import expand
from orch.load.item import Item, Way
from orch.load.items import Malformed, parse
from orch.types import Consequence, Diagnostic, Fidelity, Place, Severity
from orch_compose.canonical import Context, canonical
from orch_compose.environment import resolve_environment
from orch_compose.extends import REMOTE, Scope
from orch_compose.merge import TAGS, merge, remove, tagged, unify, without_resets
from orch_compose.schema import COMPOSE
from orch_compose.shape import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orch.types import FieldPath
    from orch_compose.extends import Chain, Resets

SECTIONS = ("services", "networks", "volumes", "configs", "secrets", "models")
_LONE_DOLLAR = re.compile(r"\$\$|\$(?![A-Za-z_{])")
"""Compose leaves a dollar alone that begins no variable, as in `$(date)`."""
_FIRST_FORMAT = frozenset(("image", "build"))


class Project:
    """Reads files into one model and keeps the account of every leaf that was read."""

    def __init__(self, variables: Mapping[str, str], profiles: Sequence[str]) -> None:
        self.faults = Faults()
        self.leaves: list[Item] = []
        self.files: list[str] = []
        self._variables = variables
        chosen = variables.get("COMPOSE_PROFILES", "").split(",")
        self.environment_profiles = frozenset(name.strip() for name in chosen if name.strip())
        self._profiles = frozenset(profiles) | self.environment_profiles
        self._home = variables.get("HOME", "") or os.path.expanduser("~")  # noqa: PTH111
        self._bases: dict[str, Item | None] = {}
        self._registered: set[FieldPath] = set()

    def read(self, files: Sequence[Path]) -> tuple[Item, str]:
        """The model of the files, later ones overriding, and the application's name."""
        folder = folder_of(files)
        documents = [(str(file), d) for file in files for d in self._documents(file)]
        name, named = self._name([document for _, document in documents], folder)
        variables = {**self._variables, "COMPOSE_PROJECT_NAME": name}
        model = self._merged(documents, folder, variables, tuple(str(f) for f in files))
        if named is not None:
            model = model.derive({**dict(model.items()), "name": named})
        return model, name

    def read_name(self, files: Sequence[Path]) -> str:
        """The application's name alone."""
        documents = [document for file in files for document in self._documents(file)]
        return self._name(documents, folder_of(files))[0]

    # -- one file ------------------------------------------------------------------------

    def _documents(self, file: Path) -> list[Item]:
        """The documents of a file that hold something."""
        self.files.append(str(file))
        name = shown(file)
        try:
            documents = parse(read_text(file), name, self.faults.found, TAGS)
        except Malformed as malformed:
            self.faults.found.append(malformed.diagnostic)
            return []
        held = [document for document in documents if document.value is not None]
        if not held:
            fault, mend = "this file is empty", "add services: with at least one service"
            self.faults.found.append(Diagnostic(fault, (), Place(name), mend))
        return held

    def _name(self, documents: Sequence[Item], folder: str) -> tuple[str, Item | None]:
        """The name of the application, and the item that says so."""
        item = next((n for d in reversed(documents) if (n := d.get("name")) is not None), None)
        given = self._variables.get("COMPOSE_PROJECT_NAME", "")
        if given:
            return given, item and item.derive(given)
        if item is None or not isinstance(item.value, str):
            return _normal_name(Path(folder).name) or "app", None
        text, _ = expand(item.value, self._variables)
        if text != _normal_name(text):
            fault = f"{text!r} is not a name for a project"
            self.faults.add(item, fault, f"write {_normal_name(text) or 'app'}")
        return text or "app", item.derive(text)

    def _prepared(self, document: Item, variables: Mapping[str, str]) -> tuple[Item | None, Resets]:
        """A document with its variables replaced, checked; and the paths that it resets."""
        if self._is_first_format(document):
            return None, []
        self._interpolate(document, variables)
        resets = list(tagged(document))
        document = without_resets(document)
        self.leaves += document.leaves()
        return COMPOSE.read(document, self.faults), resets

    def _is_first_format(self, document: Item) -> bool:
        old = [
            key
            for key, item in document.items()
            if isinstance(item.value, dict) and _FIRST_FORMAT & set(item.value)
        ]
        if not old or set(SECTIONS) & set(document.value):
            return False
        fault = f"{old[0]!r} is a service, and no services: stands above it (format of 2014)"
        self.faults.add(document, fault, "put the services under services:")
        return True

    def _interpolate(self, document: Item, variables: Mapping[str, str]) -> None:
        for leaf in document.leaves():
            if isinstance(leaf.value, str) and "$" in leaf.value:
                text = _LONE_DOLLAR.sub("$$", leaf.value)
                leaf.value, diagnostics = expand(text, variables)
                for diagnostic in diagnostics:
                    self._told(leaf, diagnostic)

    def _told(self, leaf: Item, diagnostic: Diagnostic) -> None:
        if diagnostic.severity is Severity.ERROR:
            self.faults.add(leaf, diagnostic.fault, diagnostic.mend)
        else:
            way = Way(Fidelity.DEGRADED, "", diagnostic.fault, diagnostic.mend)
            leaf.ways.append(way)

    # -- several files -------------------------------------------------------------------

    def _merged(
        self,
        documents: Sequence[tuple[str, Item]],
        folder: str,
        variables: Mapping[str, str],
        chain: Chain,
    ) -> Item:
        context = Context(folder, self._home, self.faults)
        model = Item({})
        for file, document in documents:
            checked, resets = self._prepared(document, variables)
            if checked is None:
                continue
            file_model = canonical(checked, context)
            scope = Scope(self, file, file_model, model, context, variables, resets)
            scope.extend_all()
            included = self._included(file_model, context, variables, chain)
            for path, place in resets:
                remove(model, path, place)
            model = unify(merge(model, _imported(included, file_model, self.faults)))
        self.files += resolve_environment(model, variables, self._profiles, self.faults)
        return model

    def _included(
        self, model: Item, context: Context, variables: Mapping[str, str], chain: Chain
    ) -> list[Item]:
        include = model.value.pop("include", None)
        found = []
        for entry in include or ():
            paths = list(entry.get("path") or ())
            if paths and self._may_include(paths, context, chain):
                found.append(self._include(entry, paths, context, variables, chain))
        return found

    def _may_include(self, paths: Sequence[Item], context: Context, chain: Chain) -> bool:
        for path in paths:
            if REMOTE.match(path.value):
                self.faults.add(
                    path,
                    f"{path.value!r} is on another machine, and files are read from here only",
                    "download it and include the copy",
                )
                return False
            if context.path(path.value) in chain:
                shown_chain = " → ".join((*chain, context.path(path.value)))
                self.faults.add(path, f"files include each other: {shown_chain}", "remove one")
                return False
        return True

    def _include(
        self,
        entry: Item,
        paths: Sequence[Item],
        context: Context,
        variables: Mapping[str, str],
        chain: Chain,
    ) -> Item:
        files = [context.path(path.value) for path in paths]
        given = entry.get("project_directory")
        folder = context.path(given.value) if given is not None else str(Path(files[0]).parent)
        inner = self._include_variables(entry, folder, context, variables)
        documents: list[tuple[str, Item]] = []
        for path, file in zip(paths, files, strict=True):
            try:
                documents += [(file, document) for document in self._documents(Path(file))]
            except UsageFault as fault:
                self.faults.add(path, f"{fault.place}: {fault.fault}", fault.mend)
        model = self._merged(documents, folder, inner, (*chain, *files))
        _account_include(entry, model)
        return model

    def _include_variables(
        self, entry: Item, folder: str, context: Context, variables: Mapping[str, str]
    ) -> Mapping[str, str]:
        """The including file's variables, which win, and those of the included part's files."""
        listed = entry.get("env_file")
        files = [(item, Path(context.path(item.value))) for item in listed or ()]
        if listed is None and (default := Path(folder) / ".env").is_file():
            files = [(entry, default)]
        found: dict[str, str] = {}
        for item, file in files:
            try:
                read = read_variables(read_text(file), str(file), variables)
            except UsageFault as fault:
                self.faults.add(item, f"{fault.place}: {fault.fault}", fault.mend)
                continue
            self.files.append(str(file))
            found.update(read.values)
        return {**found, **variables}

    # -- files that others extend --------------------------------------------------------

    def base_service(
        self, file: str, at: Item, link: Item, variables: Mapping[str, str]
    ) -> tuple[Item, Item, Resets] | None:
        """A service of another file, checked and in long form, with its file and its resets."""
        name = at.value
        document = self._base_document(file, link, variables)
        services = document.get("services") if document is not None else None
        service = services.value.get(name) if services is not None else None
        if document is None or service is None:
            if document is not None:
                self.faults.add(at, f"{file} has no service {name!r}", "name one that it has")
            return None
        resets = list(tagged(service))
        key: FieldPath = (file, name)
        if key not in self._registered:
            self._registered.add(key)
            self.leaves += without_resets(service).leaves()
        wrapped = document.derive({"services": document.derive({name: without_resets(service)})})
        checked = COMPOSE.read(wrapped, self.faults)
        if checked is None:
            return None
        context = Context(str(Path(file).parent), self._home, self.faults)
        return canonical(checked, context), document, resets

    def _base_document(self, file: str, at: Item, variables: Mapping[str, str]) -> Item | None:
        if file not in self._bases:
            try:
                found = self._documents(Path(file))
            except UsageFault as fault:
                self.faults.add(at, f"{fault.place}: {fault.fault}", fault.mend)
                found = []
            document = found[0] if found else None
            if document is not None:
                self._interpolate(document, variables)
            self._bases[file] = document
        return self._bases[file]


def folder_of(files: Sequence[Path]) -> str:
    """The folder from which relative paths of these files start."""
    return str(Path.cwd() / start_of(files[0]))


def _normal_name(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "", text.lower()).lstrip("_-")


def _account_include(entry: Item, model: Item) -> None:
    """What an include brought is what its keys became."""
    names = [f"{section}.{name}" for section in SECTIONS for name in _names(model, section)]
    for output in names:
        entry.carry(Way(Fidelity.NATIVE, output))
    if not names:
        entry.carry(Way(Fidelity.LOST, "", "what it includes is empty", "remove it"))
    for key in ("name", "version"):
        given = model.value.get(key)
        if given is not None:
            reason = f"the {key} of the including file counts"
            given.carry(Way(Fidelity.LOST, "", reason, "", Consequence.COSMETIC))


def _names(model: Item, section: str) -> Iterator[str]:
    found = model.get(section)
    for name, _ in found.items() if found is not None else ():
        if not name.startswith("x-"):
            yield name


def _imported(included: Sequence[Item], model: Item, faults: Faults) -> Item:
    """A file with what it includes. The same name twice is a fault unless both are alike."""
    for part in included:
        for section in SECTIONS:
            brought = part.get(section)
            for name, item in brought.items() if brought is not None else ():
                own = model.value.setdefault(section, Item({}))
                if own.value is None:
                    own = model.value[section] = Item({})
                present = own.value.get(name)
                if present is None:
                    own.value[name] = item
                elif present.plain() == item.plain():
                    item.replace(present.place)
                else:
                    fault = f"{section}.{name} is also in {item.place.file}, and differs"
                    faults.add(present, fault, "rename one, or include it with an override file")
    return model
