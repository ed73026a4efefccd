"""Between bodies as compile writes them and objects as the API keeps them."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from orch.compile.tokens import with_values
from orch.frozen import thawed
from orch.plan.diff import keyed
from orch_kubernetes import names
from orch_kubernetes.api import marks
from orch_kubernetes.api.kinds import TEMPLATES, part
from orch_kubernetes.api.quantities import same_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch.plan.diff import ListKeys
    from orch.types import FieldPath, Instance

Row = dict[str, Any]
_KEPT = ("name", "labels", "annotations")
_EMPTY: tuple[Any, ...] = (0, "", False, [], {})
_SELECTING = ("Deployment", "StatefulSet", "DaemonSet")
_CLAIMS = ("spec", "volumeClaimTemplates")
_DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    "protocol": ("TCP",),
    "group": ("", "gateway.networking.k8s.io"),
    "kind": ("Service", "Secret", "Gateway", "PersistentVolumeClaim"),
    "apiVersion": ("v1",),
    "weight": (1,),
    "volumeMode": ("Filesystem",),
    "status": ({"phase": "Pending"}, {}),
    "creationTimestamp": (None,),
    "allowedRoutes": ({"namespaces": {"from": "Same"}},),
    "mode": ("Terminate",),
    "scope": ("",),
}
"""What the API fills in where an item of a list that is taken whole does not say it."""
_AMOUNTS = frozenset({"limits", "requests", "sizeLimit", "averageValue", "divisor"})
_CLASS = re.compile(r"(?P<app>.+)-\d+")


# -- names of what belongs to no namespace ---------------------------------------------------------


def real_name(kind: str, name: str, space: str) -> str:
    """What an object is really called: names of the whole cluster hold the namespace."""
    return f"{space}.{name}" if kind == "PriorityClass" else name


def short_name(kind: str, real: str, space: str) -> str:
    """The name that bodies use for what is really called so."""
    return real.removeprefix(f"{space}.") if kind == "PriorityClass" else real


def _is_our_class(body: Mapping[str, Any], name: str) -> bool:
    app = part(body, ("metadata", "labels")).get(names.APP, "")
    found = _CLASS.fullmatch(name)
    return found is not None and found["app"] == names.object_name(app)


# -- to the API ------------------------------------------------------------------------------------


def sent(
    body: Mapping[str, Any],
    instance: Instance,
    id_: str,
    revision: int,
    *,
    replicas: int | None = None,
) -> Row:
    """A body as it is applied: with its namespace, its marks and the names that are real.

    `replicas` is the size that stands where an autoscaler decides on it: a size that nobody
    sets any more would fall to 1.
    """
    space, kind = marks.space_of(instance), str(body["kind"])
    made: Row = thawed(body)
    metadata = made["metadata"]
    metadata["name"] = real_name(kind, metadata["name"], space)
    if kind != "PriorityClass":
        metadata["namespace"] = space
    metadata["labels"] = {**metadata.get("labels", {}), **marks.labels_of(instance)}
    metadata["annotations"] = {
        **metadata.get("annotations", {}),
        **marks.annotations_of(instance, id_, revision, body),
    }
    if replicas is not None and names.AUTOSCALED in metadata["annotations"]:
        made["spec"]["replicas"] = replicas
    pod = part(made, (*TEMPLATES.get(kind, ("spec", "none")), "spec"))
    if _is_our_class(body, str(pod.get("priorityClassName", ""))):
        pod["priorityClassName"] = f"{space}.{pod['priorityClassName']}"
    for claim in part(made, _CLAIMS) or ():
        own = claim["metadata"].setdefault("labels", {})
        own |= marks.labels_of(instance)
    return made


def filled(made: Row, values: Mapping[str, bytes]) -> Row:
    """A Secret with its values, as the API keeps them; it may hold them from now on."""
    if made["kind"] != "Secret":
        return made
    data = dict(with_values(made.get("data", {}), values))
    for key, text in made.pop("stringData", {}).items():
        data[key] = base64.b64encode(_value(text, values).encode()).decode()
    return {**made, "data": data}


def _value(text: str, values: Mapping[str, bytes]) -> str:
    """A token alone is its value; one inside of JSON is written as JSON writes texts."""
    if not text.startswith('{"'):
        return str(with_values(text, values))
    quoted = {name: json.dumps(value.decode())[1:-1] for name, value in values.items()}
    return str(with_values(text, {name: text.encode() for name, text in quoted.items()}))


# -- how pods are found ----------------------------------------------------------------------------


def kept_selector(body: Mapping[str, Any], live: Mapping[str, Any] | None) -> Row | None:
    """The selector of a workload that is there, when the pods of a body answer to it as well.

    It never changes. What others made is taken over with theirs; None where ours counts.
    """
    there = part(live, ("spec", "selector"))
    labels = part(body, ("spec", "template", "metadata")).get("labels") or {}
    wanted = there.get("matchLabels") or {}
    is_theirs = there and there != part(body, ("spec", "selector"))
    fits = set(there) == {"matchLabels"} and wanted and wanted.items() <= labels.items()
    return there if body.get("kind") in _SELECTING and is_theirs and fits else None


# -- from the API ----------------------------------------------------------------------------------


def body_of(
    row: Row, space: str, asked: Mapping[str, Any] | None, keys: ListKeys
) -> Mapping[str, Any]:
    """An object as a body: without its marks, state and what the API notes in it.

    What means the same as in `asked` is spelled as there.
    """
    body: Row = {key: value for key, value in row.items() if key not in ("status", "metadata")}
    metadata = {key: value for key, value in row["metadata"].items() if key in _KEPT}
    kind = str(body.get("kind", ""))
    metadata["name"] = short_name(kind, metadata["name"], space)
    metadata["labels"] = marks.own_labels(metadata.get("labels"))
    metadata["annotations"] = marks.own_annotations(metadata.get("annotations"))
    body["metadata"] = {key: value for key, value in metadata.items() if value}
    body = _with_short_names(body, kind, space)
    if kind == "Secret":
        body = _without_values(body, asked)
    if asked and asked.get("kind") == kind and kept_selector(asked, body):
        body = {**body, "spec": {**body["spec"], "selector": asked["spec"]["selector"]}}
    return spelled(body, asked, (), keys) if asked else body


def _with_short_names(body: Row, kind: str, space: str) -> Row:
    path = (*TEMPLATES.get(kind, ("spec", "none")), "spec")
    said = str(part(body, path).get("priorityClassName", ""))
    claims = part(body, _CLAIMS)
    if not (said.startswith(f"{space}.") or claims):
        return body
    body = thawed(body)
    if said.startswith(f"{space}."):
        part(body, path)["priorityClassName"] = said.removeprefix(f"{space}.")
    for claim in part(body, _CLAIMS) or ():
        claim["metadata"]["labels"] = marks.own_labels(claim["metadata"].get("labels"))
        if not claim["metadata"]["labels"]:
            del claim["metadata"]["labels"]
    return body


def _without_values(body: Row, asked: Mapping[str, Any] | None) -> Row:
    """A Secret never shows what it holds: of the same name, it holds what was asked for."""
    data = body.pop("data", None) or {}
    if asked is not None and asked["metadata"]["name"] == body["metadata"]["name"]:
        said = {key: asked[key] for key in ("data", "stringData") if asked.get(key)}
        if said:
            return {**body, **said}
    return {**body, "data": dict.fromkeys(data, "…")}


def spelled(live: Any, asked: Any, path: FieldPath, keys: ListKeys) -> Any:
    """A live value in the words of the asked one, where both mean the same."""
    if live == asked:
        return asked
    if isinstance(live, dict) and isinstance(asked, dict):
        return _mapping(live, asked, path, keys)
    if isinstance(live, list) and isinstance(asked, list | tuple):
        return _items(live, asked, path, keys)
    is_amount = not _AMOUNTS.isdisjoint(str(key) for key in path)
    return asked if is_amount and same_quantity(live, asked) else live


def _mapping(
    live: Mapping[str, Any], asked: Mapping[str, Any], path: FieldPath, keys: ListKeys
) -> Row:
    """The API leaves out what is empty, where that means the same."""
    made = {
        key: spelled(value, asked[key], (*path, key), keys) if key in asked else value
        for key, value in live.items()
    }
    empty = {k: v for k, v in asked.items() if k not in live and v in _EMPTY}
    return {**made, **empty}


def _items(live: list[Any], asked: Sequence[Any], path: FieldPath, keys: ListKeys) -> list[Any]:
    natural = keys.of(path)
    there, wanted = keyed(live, natural), keyed(asked, natural)
    if there is not None and wanted is not None:
        return [
            spelled(item, wanted[key], (*path, key), keys) if key in wanted else item
            for key, item in there.items()
        ]
    if len(live) != len(asked):
        return live
    return [
        spelled(_stripped(item, want), want, (*path, index), keys)
        for index, (item, want) in enumerate(zip(live, asked, strict=True))
    ]


def _stripped(item: Any, asked: Any) -> Any:
    """An item of a list that is ours as a whole, without what the API filled in."""
    if isinstance(item, dict) and isinstance(asked, dict):
        return {
            key: _stripped(value, asked[key]) if key in asked else value
            for key, value in item.items()
            if key in asked or value not in _DEFAULTS.get(key, ())
        }
    if isinstance(item, list) and isinstance(asked, list) and len(item) == len(asked):
        return [_stripped(one, other) for one, other in zip(item, asked, strict=True)]
    return item
