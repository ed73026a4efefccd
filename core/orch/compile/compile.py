"""Compiling an application for one backend, with the checks that the contract promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from orch.compile.levels import Judgement, Level, judge
from orch.errors import InvalidSpec, OrchError
from orch.types import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.backend.contract import Backend
    from orch.spec.application import Application, Job, Service
    from orch.types import Manifest, Resource

__all__ = ["OTHER_APP", "Judgement", "Level", "compile_app", "judge"]

OTHER_APP = "app:"
"""How the id of a dependency on another application begins: `app:NAME/SERVICE`."""


def compile_app(backend: Backend, app: Application) -> Manifest:
    """Say an application in the platform's words and check what came out.

    Raises InvalidSpec when two names of the spec become one on the platform, and OrchError when
    the plugin broke the contract: an id twice, a dependency on nothing, or a circle.
    """
    manifest = backend.compile(app)
    collisions = tuple(_collisions(manifest))
    if collisions:
        raise InvalidSpec(collisions)
    for fault in _broken_promises(manifest):
        raise OrchError(
            f"the backend {backend.name!r} compiled {app.name!r} wrongly: {fault}",
            mend="this is a fault of the plugin: report it to its authors",
        )
    return _with_former_names(_with_note(manifest, app), app)


def _with_note(manifest: Manifest, app: Application) -> Manifest:
    """Count the settings that the author wrote for this platform alone."""
    units: list[Service | Job] = [*app.services.values(), *app.jobs.values()]
    count = sum(_leaves(unit.overrides.get(manifest.backend)) for unit in units)
    if not count:
        return manifest
    noun = "setting is" if count == 1 else "settings are"
    told = f"{count} {noun} for {manifest.backend} alone, and not portable (overrides)"
    return replace(manifest, notes=(*manifest.notes, told))


def _leaves(part: object) -> int:
    if isinstance(part, Mapping):
        return sum(_leaves(item) for item in part.values()) or int(not part)
    return int(part is not None)


def _with_former_names(manifest: Manifest, app: Application) -> Manifest:
    """Tell of each service and job that is `formerly` another one which that was."""
    units = {**app.services, **app.jobs}
    former = {name: unit.formerly for name, unit in units.items() if unit.formerly}
    if not former:
        return manifest
    return replace(manifest, resources=tuple(_renamed(r, former) for r in manifest.resources))


def _renamed(resource: Resource, former: Mapping[str, str]) -> Resource:
    prefix, _, name = resource.id.partition("/")
    if not resource.rollout or name not in former:
        return resource
    return replace(resource, formerly=f"{prefix}/{former[name]}")


def _collisions(manifest: Manifest) -> Iterator[Diagnostic]:
    taken: dict[tuple[str, str], Resource] = {}
    for resource in manifest.resources:
        first = taken.setdefault((resource.kind, resource.name), resource)
        if first is not resource and first.id != resource.id:
            yield Diagnostic(
                f"{first.id} and {resource.id} are both called {resource.name!r} on "
                f"{manifest.backend}",
                mend="rename one of them",
            )


def _broken_promises(manifest: Manifest) -> Iterator[str]:
    ids = Counter(resource.id for resource in manifest.resources)
    yield from (f"the id {id_!r} occurs {n} times" for id_, n in ids.items() if n > 1)
    for resource in manifest.resources:
        for dependency in resource.depends_on:
            if dependency.id not in ids and not dependency.id.startswith(OTHER_APP):
                yield f"{resource.id} depends on {dependency.id}, which is not there"
    yield from _circles(manifest)


def _circles(manifest: Manifest) -> Iterator[str]:
    edges = {r.id: [d.id for d in r.depends_on] for r in manifest.resources if r.depends_on}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as fault:
        yield f"{' → '.join(fault.args[1])} is a circle"
