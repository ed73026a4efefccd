"""Variables of services: `env_file`, `label_file`, and names whose value comes from outside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from orch.errors import UsageFault
from orch.load.dotenv import read_variables
from orch.load.files import read_text
from orch.load.item import Way
from orch.types import Consequence, Fidelity, Place, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.load.item import Item
    from orch_compose.shape import Faults


def resolve_environment(
    model: Item, variables: Mapping[str, str], profiles: frozenset[str], faults: Faults
) -> list[str]:
    """Fill each service's variables and labels, in place; gives the files that were read."""
    files: list[str] = []
    services = model.get("services")
    for name, service in services.items() if services is not None else ():
        if isinstance(service.value, dict) and not name.startswith("x-"):
            active = _is_active(service, profiles)
            filling = _Filling(name, service, variables, faults, active=active)
            filling.fill()
            files += filling.files
    return files


def _is_active(service: Item, profiles: frozenset[str]) -> bool:
    own = service.get("profiles")
    names = {item.value for item in own} if own is not None else set()
    return not names or "*" in profiles or bool(names & profiles)


class _Filling:
    """One service on its way to have all its variables."""

    def __init__(
        self,
        name: str,
        service: Item,
        variables: Mapping[str, str],
        faults: Faults,
        *,
        active: bool,
    ) -> None:
        self._name, self._service, self._variables = name, service, variables
        self._faults, self._active = faults, active
        self.files: list[str] = []

    def fill(self) -> None:
        self._take("env_file", "environment")
        self._take("label_file", "labels")
        self._from_outside("environment")
        args = self._service.at("build", "args")
        if args is not None:
            _fill_names(args, self._variables)

    def _from_outside(self, key: str) -> None:
        own = self._service.get(key)
        if own is not None:
            _fill_names(own, self._variables)

    def _take(self, key: str, into: str) -> None:
        """Read the files that a key names; what the service says itself wins."""
        files = self._service.value.pop(key, None)
        found: dict[str, Item] = {}
        for entry in files or ():
            found.update(self._file(entry, into))
        own = self._service.get(into)
        if own is None and not found:
            return
        found.update(own.items() if own is not None else ())
        whole = own if own is not None else files
        if whole is not None:
            self._service.value[into] = whole.derive(found)

    def _file(self, entry: Item, into: str) -> dict[str, Item]:
        path = entry.get("path") or entry
        try:
            values = self._values(Path(str(path.value)), entry)
        except UsageFault as fault:
            self._missing(entry, path, fault)
            return {}
        entry.carry(Way(Fidelity.NATIVE, f"services.{self._name}.{into}"))
        found = {}
        for name, (value, line) in values.items():
            found[name] = path.derive(value)
            found[name].place = Place(str(path.value), line, 1)
        return found

    def _missing(self, entry: Item, path: Item, fault: UsageFault) -> None:
        required = entry.get("required")
        if self._active and (required is None or required.value):
            mend = f"{fault.mend}; or write required: false"
            self._faults.add(path, f"{fault.place}: {fault.fault}", mend)
            return
        reason = "there is no such file, and it is not required"
        entry.carry(Way(Fidelity.LOST, "", reason, "", Consequence.COSMETIC))

    def _values(self, path: Path, entry: Item) -> dict[str, tuple[str, int]]:
        text = read_text(path)
        self.files.append(str(path))
        form = entry.get("format")
        if form is not None and form.value == "raw":
            return _raw(text)
        if form is not None:
            mend = "write format: raw, or leave it out"
            self._faults.add(form, f"{form.value!r} is no format of variables", mend)
        read = read_variables(text, str(path), self._variables)
        self._faults.found += [d for d in read.diagnostics if d.severity is Severity.ERROR]
        return {name: (value, _line(text, name)) for name, value in read.values.items()}


def _raw(text: str) -> dict[str, tuple[str, int]]:
    """Every line as it stands, without quotes or variables being read."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        key, equals, value = line.partition("=")
        if equals and not key.lstrip().startswith("#"):
            found[key.strip()] = (value, number)
    return found


def _line(text: str, name: str) -> int:
    match = re.search(rf"^[ \t]*(?:export[ \t]+)?{re.escape(name)}\b", text, re.MULTILINE)
    return text.count("\n", 0, match.start()) + 1 if match else 1


def _fill_names(pairs: Item, variables: Mapping[str, str]) -> None:
    """Give a name without a value that of the variable so called, where there is one."""
    for name, item in pairs.items():
        if item.value is None and name in variables:
            pairs.value[name] = item.derive(variables[name])
