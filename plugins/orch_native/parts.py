"""The parts of a service or job, and where the rules of a driver touch them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.compile.view import ListView, MapView, Node, View, spelt
from orch.spec.container import SecretRef
from orch_native.rules import DOCKER, PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orch.compile.view import Read
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
    for field in view.value.model_fields_set:
        key = str(spelt(view.value, field))
        for rest, rule in rules.get(key, ()):
            part = view.field(field)
            if part is not None:
                for read, path in _below(part, rest, (key,)):
                    if rule.covers(path, read.value, view.value):
                        yield read, path, rule


def _below(
    part: Read | Node, keys: Sequence[str], path: FieldPath
) -> Iterator[tuple[Read | Node, FieldPath]]:
    if not keys:
        yield part, path
    elif isinstance(part, Node):
        for key, child in _children(part, keys[0]):
            yield from _below(child, keys[1:], (*path, key))


def _children(part: Node, key: str) -> Iterable[tuple[Key, Any]]:
    if isinstance(part, MapView):
        return part.items() if key == "*" else ((k, v) for k, v in part.items() if k == key)
    if key == "*":
        return enumerate(part) if isinstance(part, ListView) else ()
    if not isinstance(part, View) or key not in part.value.model_fields_set:
        return ()
    child = part.field(key)
    return () if child is None else ((key, child),)
