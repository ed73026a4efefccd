"""Settings of Kubernetes alone, laid over what was compiled."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from orch.types import Consequence, Fidelity, render_path
from orch_kubernetes import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import View
    from orch.types import FieldPath
    from orch_kubernetes.objects import Scope

CHECKED_FROM = (1, 25)
"""The oldest version whose schemas are at hand; an older one is checked by these."""
PROTECTED = {("apiVersion",), ("kind",), ("metadata", "name"), ("spec", "selector")}


def put_overrides(scope: Scope, view: View, ids: Iterable[str]) -> None:
    """Lay `overrides.kubernetes` over a unit's objects: a mapping by kind, such as `deployment`."""
    for platform, part in view.overrides.items():
        if platform != names.BACKEND:
            scope.make.lose(part, f"meant for {platform} alone", "", Consequence.COSMETIC)
            continue
        begun = [scope.begun[id_] for id_ in ids if id_ in scope.begun]
        objects = {resource.kind.lower(): resource for resource in begun}
        known = ", ".join(f"`{_camel(resource.kind)}`" for resource in objects.values())
        for key, read in part.items():
            resource = objects.get(key.lower())
            if resource is not None and isinstance(read.value, dict):
                _lay(scope, resource, read)
                _check(scope, resource, read)
            else:
                said = f"settings of what it becomes stand under {known}"
                scope.make.reject(read, f"{key} is not known here", said)


def _lay(scope: Scope, resource: ResourceBuilder, read: Any) -> None:
    for path, value in _leaves(read.value, ()):
        if path in PROTECTED or path[:2] in PROTECTED:
            scope.make.reject(read, f"{'.'.join(map(str, path))} is not to be changed", "leave it")
            return
        resource.put(path, read, value=value, outcome=Fidelity.NATIVE)


def _check(scope: Scope, resource: ResourceBuilder, read: Any) -> None:
    """Refuse what the API's own schema does not take; kinds of old versions have none here."""
    if find_spec("kubernetes_validate") is None:
        return
    from kubernetes_validate import SchemaNotFoundError, ValidationError, latest_version, validate

    newest = tuple(int(part) for part in latest_version().split(".")[:2])
    major, minor = min(max(scope.facts.version, CHECKED_FROM), newest)
    try:
        validate(resource.body, f"{major}.{minor}", strict=True)
    except SchemaNotFoundError:
        return
    except ValidationError as fault:
        where = render_path(tuple(fault.absolute_path))
        told = f"the API does not take it: {where}: {fault.message[:200]}"
        scope.make.reject(read, told, "see `kubectl explain`")


def _leaves(value: Any, path: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)))
    elif path:
        yield path, value


def _camel(kind: str) -> str:
    return kind[0].lower() + kind[1:]
