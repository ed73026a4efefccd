"""What a service takes over from another one that it extends."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from orch.load.item import Item, Way
from orch.types import Fidelity
from orch_compose.merge import merge, remove, unify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.types import FieldPath, Place
    from orch_compose.canonical import Context
    from orch_compose.shape import Faults

    Resets = list[tuple[FieldPath, Place]]
    Chain = tuple[str, ...]

REMOTE = re.compile(r"(?:https?|git|ssh|oci)://|git@|github\.com/")
"""Files on other machines, which Compose would download."""


class Project(Protocol):
    """Where the services of other files come from."""

    faults: Faults

    def base_service(
        self, file: str, at: Item, link: Item, variables: Mapping[str, str]
    ) -> tuple[Item, Item, Resets] | None:
        """A service of a file in long form, with its file and its resets; None after a fault."""
        ...


class Scope:
    """The services of one file while `extends` is worked out."""

    def __init__(
        self,
        project: Project,
        file: str,
        model: Item,
        earlier: Item,
        context: Context,
        variables: Mapping[str, str],
        resets: Resets,
    ) -> None:
        self._project, self._file, self._model = project, file, model
        self._earlier, self._context, self._variables = earlier, context, variables
        self._resets = resets
        self._done: set[str] = set()

    def extend_all(self) -> None:
        """Fill every service of the file with what it extends."""
        services = self._model.get("services")
        for name in list(services.value) if services is not None else ():
            if not name.startswith("x-"):
                self.extend(name, (), services)

    def extend(self, name: str, chain: Chain, services: Item | None) -> Item | None:
        """A service with all that it extends; `chain` are those that extend it."""
        if services is None or name not in services.value:
            return None
        service: Item = services.value[name]
        if name in self._done or not isinstance(service.value, dict):
            return service
        link = service.get("extends")
        if link is not None and f"{self._file}#{name}" in chain:
            path = " → ".join(part.rpartition("#")[2] for part in (*chain, f"#{name}"))
            self._project.faults.add(link, f"services extend each other: {path}", "remove one")
            return None
        if link is not None:
            base = self._base(link, (*chain, f"{self._file}#{name}"))
            services.value[name] = service = self._joined(name, service, base)
        self._done.add(name)
        return service

    def _joined(self, name: str, service: Item, base: Item | None) -> Item:
        link = service.value.pop("extends")
        link.carry(Way(Fidelity.NATIVE, f"services.{name}"))
        if base is None:
            return service
        whole = Item({"services": Item({name: base.copy()})})
        for path, place in self._resets:
            if path[:2] == ("services", name):
                remove(whole, path, place)
        return unify(merge(whole.value["services"].value[name], service))

    def _base(self, link: Item, chain: Chain) -> Item | None:
        """What a service extends, itself extended."""
        service, file = link.get("service"), link.get("file")
        if service is None:
            return None
        if file is None or file.value == self._file:
            return self._local(service, chain)
        if REMOTE.match(file.value):
            fault = f"{file.value!r} is on another machine, and files are read from here only"
            self._project.faults.add(file, fault, "download it and extend the copy")
            return None
        return self._foreign(service, file, chain)

    def _local(self, service: Item, chain: Chain) -> Item | None:
        name = service.value
        found = self.extend(name, chain, self._model.get("services"))
        if found is None:
            earlier = self._earlier.at("services", name)
            if earlier is None and not any(part.endswith(f"#{name}") for part in chain):
                fault = f"there is no service {name!r} to extend"
                self._project.faults.add(service, fault, "name one of this file, or add file:")
            return earlier
        return found

    def _foreign(self, service: Item, file: Item, chain: Chain) -> Item | None:
        name = service.value
        if f"{file.value}#{name}" in chain:
            path = " → ".join((*chain, f"{file.value}#{name}"))
            self._project.faults.add(file, f"services extend each other: {path}", "remove one")
            return None
        found = self._project.base_service(file.value, service, file, self._variables)
        if found is None:
            return None
        model, document, resets = found
        scope = _ForeignScope(
            self._project, file.value, model, document, self._context, self._variables, resets
        )
        return scope.extend(name, chain, model.get("services"))


class _ForeignScope(Scope):
    """A file of which only the extended services are read."""

    def _local(self, service: Item, chain: Chain) -> Item | None:
        return self._foreign(service, service.derive(self._file), chain)
