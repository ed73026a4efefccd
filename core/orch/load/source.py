"""From files to an application: read, lay over, interpolate, validate, resolve."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from orch.backend.contract import SupportsName
from orch.errors import InvalidSpec, UsageFault
from orch.frozen import EMPTY
from orch.load.defaults import default_files, spread
from orch.load.detect import ORCH, format_of, is_ours
from orch.load.document import (
    Invalid,
    app_from_document,
    collector_paused,
    document_of,
    validated,
)
from orch.load.dotenv import Variables, read_variables
from orch.load.files import folder_of, parse, read_text, shown
from orch.load.fill import fill_files
from orch.load.hints import nearest
from orch.load.interpolate import escape, expand, interpolate
from orch.load.merge import merge
from orch.load.partial import unrelated
from orch.load.places import Layer, Origins
from orch.load.resolve import resolve
from orch.load.scalars import scalar_of
from orch.spec.base import NAME_PATTERN
from orch.spec.shape import shape_at
from orch.types import Diagnostic, FieldPath, Place, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orch.backend.contract import Reader
    from orch.load.faults import Fault
    from orch.spec.application import Application
    from orch.types import Ledger

    Part = tuple[Layer, dict[str, Any]]

__all__ = (
    "Loaded",
    "Source",
    "app_from_document",
    "document_of",
    "load",
    "load_name",
    "variables_of",
)


@dataclass(frozen=True)
class Source:
    """What is to be loaded.

    `variables` is the process environment, handed in; `settings` (from `--set`) win over it, and
    it wins over the `.env` beside the first file.
    """

    files: tuple[Path, ...] = ()
    format: str | None = None
    environment: str | None = None
    profiles: tuple[str, ...] = ()
    variables: Mapping[str, str] = EMPTY
    settings: Mapping[str, str] = EMPTY


@dataclass(frozen=True)
class Loaded:
    """An application as resolved, and where it came from.

    `base` is the folder of the first file; `ledger` tells what a reader could not carry over;
    `locate` gives the place of a path, reading the files a second time when it is first asked.
    """

    app: Application
    base: Path
    ledger: Ledger | None
    locate: Callable[[FieldPath], Place]
    warnings: tuple[Diagnostic, ...] = ()
    environments: tuple[str, ...] = ()


def load(source: Source, readers: Mapping[str, Reader]) -> Loaded:
    """Read an application. Raises InvalidSpec with all its faults, or UsageFault for a file."""
    with collector_paused():
        try:
            return _Loading(source, readers).whole()
        except RecursionError:
            fault = "this file is nested too deeply"
            place = shown(source.files[0]) if source.files else ""
            raise UsageFault(fault, place=place, mend="nest it less deeply") from None


def variables_of(source: Source) -> Variables:
    """All that fills the variables of a source's files: what was given, then the `.env` there."""
    own = {**source.variables, **source.settings}
    files = spread(source.files) or default_files(Path())
    file = folder_of(files[0]) / ".env"
    if not file.is_file():
        return Variables(own, ())
    read = read_variables(read_text(file), str(file), own)
    return Variables({**read.values, **own}, read.diagnostics)


def load_name(source: Source, readers: Mapping[str, Reader]) -> str:
    """The application's name. The rest of its files may be wrong, or lack variables.

    Raises InvalidSpec and UsageFault as `load` does, when the name can't be told.
    """
    with collector_paused():
        name = _Naming(source, readers).name()
    return load(source, readers).app.name if name is None else name


class _Loading:
    """One run through the stages. Diagnostics gather; errors are raised once no more can follow."""

    def __init__(self, source: Source, readers: Mapping[str, Reader]) -> None:
        self._source, self._readers = source, readers
        self._files = spread(source.files) or default_files(Path())
        self._base = folder_of(self._files[0])
        self._found: list[Diagnostic] = []
        self._ledger: Ledger | None = None
        self._foreign = False
        self._environments: tuple[str, ...] = ()

    def whole(self) -> Loaded:
        variables = self._variables()
        app = self._valid(*self._interpolated(self._merged(variables), variables))
        app, unfilled = fill_files(app, self._origins.folder)
        app, unresolved = resolve(app, self._source.profiles)
        self._settle([*unfilled, *unresolved])
        return Loaded(
            app,
            self._base,
            self._ledger,
            self._origins.place,
            tuple(self._found),
            self._environments,
        )

    def _variables(self) -> dict[str, str]:
        read = variables_of(self._source)
        self._found += read.diagnostics
        return read.values

    def _merged(self, variables: Mapping[str, str]) -> dict[str, Any]:
        parts = self._parts(variables)
        self._origins = Origins([layer for layer, _ in parts])
        return self._in_environment(self._overlaid([tree for _, tree in parts]))

    def _parts(self, variables: Mapping[str, str]) -> list[Part]:
        """Files of another format come first and make one layer; ours are laid over it."""
        first = self._files[0]
        name = format_of(first, self._source.format, self._readers)
        ours = [file for file in self._files if name == ORCH or is_ours(file)]
        if name == ORCH:
            return [_part(file) for file in ours]
        foreign = [file for file in self._files if file not in ours]
        layer, tree = self._read(self._readers[name], foreign, variables)
        self._foreign = not ours
        return [(layer, escape(tree) if ours else tree), *map(_part, ours)]

    def _read(self, reader: Reader, files: Sequence[Path], variables: Mapping[str, str]) -> Part:
        reading = reader.read(files, variables, self._source.profiles)
        self._ledger = reading.ledger
        return Layer(files[0], places=reading.places), dict(reading.document)

    def _overlaid(self, trees: Sequence[dict[str, Any]]) -> dict[str, Any]:
        tree = trees[0]
        for overlay in trees[1:]:
            merged = merge(tree, overlay)
            self._origins.laid(merged)
            tree = merged.tree
        return tree

    def _in_environment(self, tree: dict[str, Any]) -> dict[str, Any]:
        wanted = self._source.environment
        if wanted is None and "environments" not in tree:
            return tree
        sections = tree.pop("environments", None) or {}
        faults = environment_faults(sections, wanted)
        if faults:
            self._settle(faults)
        self._environments = tuple(sections)
        overlay = sections.get(wanted)
        if not overlay:
            return tree
        merged = merge(tree, overlay)
        self._origins.chosen(merged, ("environments", str(wanted)))
        return merged.tree

    def _interpolated(
        self, tree: dict[str, Any], variables: Mapping[str, str]
    ) -> tuple[dict[str, Any], tuple[FieldPath, ...]]:
        if self._foreign or not self._origins.mentions("$"):
            return tree, ()
        done = interpolate(tree, variables)
        self._found += (self._placed(d, value=True) for d in done.diagnostics)
        give_types(done.tree, done.touched)
        return done.tree, done.touched

    def _valid(self, tree: dict[str, Any], touched: tuple[FieldPath, ...]) -> Application:
        try:
            return validated(tree, frozenset(touched))
        except Invalid as invalid:
            self._refuse(tree, invalid.faults)

    def _refuse(self, tree: dict[str, Any], faults: Sequence[Fault]) -> NoReturn:
        told = {diagnostic.path for diagnostic in self._found}
        self._found += (
            self._placed(fault.diagnostic, value=not fault.at_key)
            for fault in faults
            if fault.diagnostic.path not in told
        )
        found = unrelated(tree, faults, self._source.profiles)
        self._settle(d for d in found if d.severity is Severity.ERROR)
        raise InvalidSpec(self._found)  # pragma: no cover  (a refusal has an error of its own)

    def _settle(self, more: Iterable[Diagnostic]) -> None:
        """Take these in; raise when there is an error among all that was found."""
        self._found += (self._placed(diagnostic) for diagnostic in more)
        self._found.sort(key=lambda diagnostic: diagnostic.place)
        errors = [d for d in self._found if d.severity is Severity.ERROR]
        if errors:
            raise InvalidSpec(errors)

    def _placed(self, diagnostic: Diagnostic, *, value: bool = False) -> Diagnostic:
        if diagnostic.place.file:
            return diagnostic
        return replace(diagnostic, place=self._origins.place(diagnostic.path, value=value))


class _Naming(_Loading):
    """A run that asks the files for nothing but the name."""

    def name(self) -> str | None:
        """The name as it is written; None when all of the files is needed to know, or to refuse."""
        variables = self._variables()
        name = self._merged(variables).get("name")
        if not isinstance(name, str):
            return None
        text, faults = (name, ()) if self._foreign else expand(name, variables)
        return None if faults or not re.match(NAME_PATTERN, text) else text

    def _read(self, reader: Reader, files: Sequence[Path], variables: Mapping[str, str]) -> Part:
        if not isinstance(reader, SupportsName):
            return super()._read(reader, files, variables)
        return Layer(files[0]), {"name": reader.name_of(files, variables)}


def _part(file: Path) -> Part:
    text = read_text(file)
    return Layer(file, text), parse(text, shown(file))


def environment_faults(sections: Any, wanted: str | None) -> list[Diagnostic]:
    """What is wrong with the section `environments`, or with the one that was asked for."""
    path: FieldPath = ("environments",)
    if not isinstance(sections, dict):
        return [Diagnostic("this is not a mapping", path, mend="write {prod: {services: …}}")]
    faults = [
        Diagnostic("this is not a mapping", (*path, name), mend="write what differs there")
        for name, section in sections.items()
        if section is not None and not isinstance(section, dict)
    ]
    if wanted is not None and wanted not in sections:
        near = nearest(wanted, map(str, sections))
        known = f"choose one of {', '.join(map(str, sections))}" if sections else "leave it out"
        mend = f"did you mean {near}?" if near else known
        faults.append(Diagnostic(f"there is no environment {wanted!r}", path, mend=mend))
    return faults


def give_types(tree: Any, touched: Iterable[FieldPath]) -> None:
    """Read values that came out of variables as YAML would, where a number or flag is wanted."""
    for path in touched:
        shape = shape_at(path)
        if shape is None or shape.free_text:
            continue
        owner = tree
        for key in path[:-1]:
            owner = owner[key]
        value = scalar_of(owner[path[-1]])
        if type(value) in shape.types or (shape.anything and value is not None):
            owner[path[-1]] = value
