"""Settings of Kubernetes alone, laid over what was compiled."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from orch.compile.view import Read
from orch.types import Consequence, Fidelity, render_path
from orch_kubernetes import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import View
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope

CHECKED_FROM = (1, 25)
"""The oldest version whose schemas are at hand; an older one is checked by these."""
PROTECTED = {("apiVersion",), ("kind",), ("metadata", "name"), ("spec", "selector")}
FRAME = frozenset({"metadata", "labels", "annotations", "spec", "template", "jobTemplate"})
"""What holds the rest of an object, and has to stay; of other mappings nothing may be left."""
CLASSES = {("spec", "ingressClassName"), ("spec", "gatewayClassName")}
"""Where a way in names its controller."""
WAYS_IN = ("ingress", "httpRoute", "gateway", "route")
"""What routes may become; which of them depends on the cluster."""
SERVICE = ("account/{app}/{name}", "service/{name}", "address/{name}", "published/{name}",
           "autoscale/{name}", "disruption/{name}")  # fmt: skip
"""What one service becomes; of its two Services the one that is open to the outside is meant."""
JOB = ("account/{app}/{name}", "job/{name}")
ACCOUNT = "ServiceAccount"
_HEAD = re.compile("[A-Z]+(?=[A-Z][a-z])|[A-Z]")


def compile_overrides(scope: Scope) -> None:
    """Lay `overrides.kubernetes` of every service and job over all that it became."""
    overrides = _Overrides(scope)
    app = scope.app.name
    for units, ids in ((scope.make.app.services, SERVICE), (scope.make.app.jobs, JOB)):
        for name, view in units.items():
            if view.value.overrides:
                overrides.lay(view, name, [id_.format(app=app, name=name) for id_ in ids])


class _Overrides:
    """Lays them: a mapping by kind, such as `deployment`."""

    def __init__(self, scope: Scope) -> None:
        self._scope, self._make = scope, scope.make
        self._laid: dict[str, dict[FieldPath, Any]] = {}
        self._faulty: set[str] = set()

    def lay(self, view: View, name: str, ids: Iterable[str]) -> None:
        """Those of one service or job, over the objects with these ids and its ways in."""
        for platform, part in view.overrides.items():
            if platform == names.BACKEND:
                self._own(part, name, ids)
            else:
                self._make.lose(part, f"meant for {platform} alone", "", Consequence.COSMETIC)

    def _own(self, part: Any, name: str, ids: Iterable[str]) -> None:
        begun = self._scope.begun
        objects = {begun[id_].kind.lower(): [begun[id_]] for id_ in ids if id_ in begun}
        for way in self._scope.leading.get(name, {}).values():
            objects.setdefault(way.kind.lower(), []).append(way)
        for key, said in part.items():
            read = Read(part, key, None) if said is None else said
            found = objects.get(key.lower(), ())
            if found and not isinstance(read.value, dict):
                self._make.reject(read, "it is no mapping", "write settings below it")
                continue
            if not found:
                self._unknown(key, read, name, [same[0].kind for same in objects.values()])
            for resource in found:
                if self._is_laid(resource, read):
                    self._check(resource, read)

    def _unknown(self, key: str, read: Read, name: str, kinds: list[str]) -> None:
        spelt = {way.lower(): way for way in WAYS_IN}.get(key.lower())
        routed = any(route.service == name for route in self._scope.app.routes)
        if spelt is not None and routed and isinstance(read.value, dict):
            become = sorted({_camel(kind) for kind in kinds}.intersection(WAYS_IN))
            told = f"its routes become no {spelt} here"
            mend = f"write it for {' and '.join(become)} too" if become else ""
            self._make.lose(read, told, mend, Consequence.NETWORK)
            return
        known = ", ".join(f"`{_camel(kind)}`" for kind in dict.fromkeys((*kinds, ACCOUNT)))
        said = f"settings of what it becomes stand under {known}"
        self._make.reject(read, f"{key} is not known here", said)

    def _is_laid(self, resource: ResourceBuilder, read: Read) -> bool:
        """Lay one mapping over an object; what may not be so is rejected, and ends it."""
        laid = self._laid.setdefault(resource.id, {})
        for path, value in _leaves(read.value, ()):
            if fault := _misplaced(resource.body, path, value):
                self._make.reject(read, fault, "see `kubectl explain`")
                return False
            if path in PROTECTED or path[:2] in PROTECTED:
                said = ".".join(map(str, path))
                self._make.reject(read, f"{said} is not to be changed", "leave it")
                return False
            if any(_disagree(path, value, *other) for other in laid.items()):
                told = f"{resource.kind} {resource.name} is shared with another service, which "
                told += f"says something else of {render_path(path)}"
                self._make.reject(read, told, "let both say the same")
                return False
            laid[path] = value
            resource.put(path, read, value=value, outcome=Fidelity.NATIVE)
            if path in CLASSES:
                resource.set(("metadata", "annotations", names.CLASS_LAID), "yes")
        return True

    def _check(self, resource: ResourceBuilder, read: Read) -> None:
        """Refuse what the API's own schema does not take.

        Kinds of old versions, and those that are no part of Kubernetes itself, have none here.
        """
        if resource.id in self._faulty or find_spec("kubernetes_validate") is None:
            return
        from kubernetes_validate import (
            SchemaNotFoundError,
            ValidationError,
            latest_version,
            validate,
        )

        newest = tuple(int(part) for part in latest_version().split(".")[:2])
        major, minor = min(max(self._scope.facts.version, CHECKED_FROM), newest)
        try:
            validate(resource.body, f"{major}.{minor}", strict=True)
        except SchemaNotFoundError:
            return
        except ValidationError as fault:
            self._faulty.add(resource.id)
            where = render_path(tuple(fault.absolute_path))
            told = f"the API does not take it: {where}: {fault.message[:200]}"
            self._make.reject(read, told, "see `kubectl explain`")


def _misplaced(body: Mapping[str, Any], path: FieldPath, value: Any) -> str:
    """Why something can't be laid where it is to go, empty when it can."""
    there: Any = body
    for length, key in enumerate(path):
        if not isinstance(there, dict):
            return f"{render_path(path[:length])} is no mapping"
        there = there.get(key, {})
    must = path[-1] in FRAME or (isinstance(there, dict) and there and value is not None)
    return f"{render_path(path)} is a mapping" if must and not isinstance(value, dict) else ""


def _disagree(path: FieldPath, value: Any, other: FieldPath, there: Any) -> bool:
    """Whether two say something else of one place, or one of what is below the other's."""
    if path == other:
        return bool(value != there)
    shorter = min(len(path), len(other))
    return path[:shorter] == other[:shorter]


def _leaves(value: Any, path: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)))
    elif path:
        yield path, value


def _camel(kind: str) -> str:
    return _HEAD.sub(lambda found: found[0].lower(), kind, count=1)
