"""The parts of a service or job, and where the rules of a driver touch them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.compile.view import View, children, node_kind, spelt
from orch.frozen import FrozenDict
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
    for field in owner.model_fields_set:
        # Views are made of what a rule speaks of alone: most fields are of no rule.
        for rest, rule in rules.get(str(spelt(owner, field)), ()):
            for path, value in _below(getattr(owner, field), rest, (field,)):
                told = _spelt_path(owner, path)
                if rule.covers(told, value, owner):
                    yield _at(view, path), told, rule


def _below(value: Any, keys: Sequence[str], path: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    """What stands at these keys below a value, `*` for each; paths are of attributes."""
    if value is None:
        return
    if not keys:
        yield path, value
        return
    wanted, rest = keys[0], keys[1:]
    if isinstance(value, tuple | FrozenDict):
        if node_kind(value) is not None:
            for key, item in children(value):
                if wanted in ("*", key):
                    yield from _below(item, rest, (*path, key))
    elif node_kind(value) is not None:
        for field in (wanted, f"{wanted}_"):
            if field in value.model_fields_set:
                yield from _below(getattr(value, field), rest, (*path, field))


def _spelt_path(owner: Any, path: FieldPath) -> FieldPath:
    told: list[Key] = []
    for key in path:
        told.append(spelt(owner, key))
        owner = owner[key] if isinstance(owner, tuple | FrozenDict) else getattr(owner, str(key))
    return tuple(told)


def _at(view: Any, path: FieldPath) -> Any:
    for key in path:
        view = view.field(key) if isinstance(view, View) else view[key]
    return view
