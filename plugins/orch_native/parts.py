"""The parts of a service or job, and where the rules of a driver touch them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from orch.compile.view import View, children, node_kind, spelt
from orch.spec.container import SecretRef
from orch_native.rules import DOCKER, PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orch.compile.view import Node, Read
    from orch.spec.container import Container, PodFields
    from orch.types import FieldPath, Key
    from orch_native.rules import Rule, RuleTree


def driver_of(unit: Container) -> str:
    """An image, or the wish to build one, asks for containers; all else is a plain process."""
    return PROCESS if unit.image is None and unit.build is None else DOCKER


def containers(unit: PodFields) -> Iterator[Container]:
    """The main container, those before it and those beside it."""
    yield unit
    yield from unit.pre_start
    yield from unit.sidecars.values()


def part_views(view: View) -> Iterator[tuple[FieldPath, View]]:
    """The containers before and beside the main one, with their paths in the body."""
    if view.value.pre_start:
        for index, part in enumerate(view.pre_start):
            yield ("pre_start", index), part
    if view.value.sidecars:
        for name, part in view.sidecars.items():
            yield ("sidecars", name), part


def used_secrets(part: Container) -> Iterator[str]:
    """Secrets that it gets as files or as variables."""
    for mount in part.secrets:
        yield mount.source
    for variable in part.environment.values():
        if type(variable) is SecretRef:
            yield variable.secret


def matches(view: View, rules: RuleTree) -> Iterator[tuple[Read | Node, FieldPath, Rule]]:
    """What the author wrote that a rule speaks of, with its path below the view."""
    owner = view.value
    # Views are made of what a rule speaks of alone: most fields are of no rule.
    for path, value, found in _touched(owner, rules, ()):
        told = _spelt_path(owner, path)
        for rule in found:
            if rule.covers(told, value, owner):
                yield _at(view, path), told, rule


def _touched(
    value: Any, rules: RuleTree, path: FieldPath
) -> Iterator[tuple[FieldPath, Any, Sequence[Rule]]]:
    """Path, by attributes, and value of whatever has rules."""
    if rules.here:
        yield path, value, rules.here
    kind = node_kind(value) if rules.below else None
    if kind is View:
        written = value.model_fields_set
        for name, below in rules.below.items():
            attribute = name if name in written else f"{name}_"
            if attribute in written and (part := getattr(value, attribute)) is not None:
                yield from _touched(part, below, (*path, attribute))
    elif kind is not None:
        each = rules.below.get("*")
        for key, part in children(value):
            for found in (rules.below.get(str(key)), each):
                if found is not None:
                    yield from _touched(part, found, (*path, key))


def _spelt_path(owner: Any, path: FieldPath) -> FieldPath:
    told: list[Key] = []
    for key in path:
        told.append(spelt(owner, key))
        owner = getattr(owner, str(key)) if isinstance(owner, BaseModel) else owner[key]
    return tuple(told)


def _at(view: Any, path: FieldPath) -> Any:
    for key in path:
        view = view.field(str(key)) if isinstance(view, View) else view[key]
    return view
