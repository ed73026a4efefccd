"""The manifests of several backends, part by part, with those that say the same told once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orch.compare.compare import Standing
    from orch.types import Resource


@dataclass(frozen=True, slots=True)
class Variant:
    """What one backend or several make of a part; empty `resources` are nothing at all."""

    backends: tuple[str, ...]
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What is made for the services, volumes and so on of one name."""

    name: str
    variants: tuple[Variant, ...]


def side_by_side(standings: Iterable[Standing]) -> tuple[Part, ...]:
    """Every part of the manifests that were compiled, in the order in which they come up."""
    compiled = [standing for standing in standings if not standing.faults]
    made = {standing.backend: _by_name(standing.resources) for standing in compiled}
    names = dict.fromkeys(name for parts in made.values() for name in parts)
    return tuple(Part(name, _variants(name, made)) for name in names)


def _by_name(resources: Iterable[Resource]) -> dict[str, tuple[Resource, ...]]:
    """An object's id ends in the name of what it is made for."""
    found: dict[str, list[Resource]] = {}
    for resource in resources:
        found.setdefault(resource.id.partition("/")[2], []).append(resource)
    return {name: tuple(own) for name, own in found.items()}


def _variants(name: str, made: dict[str, dict[str, tuple[Resource, ...]]]) -> tuple[Variant, ...]:
    groups: list[tuple[tuple[Resource, ...], list[str]]] = []
    for backend, parts in made.items():
        own = parts.get(name, ())
        alike = next((names for other, names in groups if _say_the_same(own, other)), None)
        if alike is None:
            groups.append((own, [backend]))
        else:
            alike.append(backend)
    return tuple(Variant(tuple(names), own) for own, names in groups)


def _say_the_same(one: Sequence[Resource], other: Sequence[Resource]) -> bool:
    return len(one) == len(other) and all(
        (a.kind, a.name, a.body) == (b.kind, b.name, b.body)
        for a, b in zip(one, other, strict=True)
    )
