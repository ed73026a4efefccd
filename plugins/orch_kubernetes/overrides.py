"""Settings of Kubernetes alone, laid over what was compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.types import Consequence, Fidelity
from orch_kubernetes import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import View
    from orch.types import FieldPath
    from orch_kubernetes.objects import Scope

PROTECTED = {("apiVersion",), ("kind",), ("metadata", "name"), ("spec", "selector")}


def put_overrides(scope: Scope, resource: ResourceBuilder, view: View, kind: str) -> None:
    """Lay `overrides.kubernetes` over a workload: a mapping by its kind, such as `deployment`."""
    for platform, part in view.overrides.items():
        if platform != names.BACKEND:
            scope.make.lose(part, f"meant for {platform} alone", "", Consequence.COSMETIC)
            continue
        for key, read in part.items():
            if key.lower() == kind.lower() and isinstance(read.value, dict):
                _lay(scope, resource, read)
            else:
                said = f"this one is a {kind}, whose settings stand under `{_camel(kind)}`"
                scope.make.reject(read, f"{key} is not known here", said)


def _lay(scope: Scope, resource: ResourceBuilder, read: Any) -> None:
    for path, value in _leaves(read.value, ()):
        if path in PROTECTED or path[:2] in PROTECTED:
            scope.make.reject(read, f"{'.'.join(map(str, path))} is not to be changed", "leave it")
            return
        resource.put(path, read, value=value, outcome=Fidelity.NATIVE)


def _leaves(value: Any, path: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)))
    elif path:
        yield path, value


def _camel(kind: str) -> str:
    return kind[0].lower() + kind[1:]
