"""Versions of configs and secrets: which the cluster holds, and which may go."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from orch.compile.tokens import base64_token, value_token
from orch.errors import UsageFault
from orch_kubernetes.api import marks
from orch_kubernetes.api.kinds import WORKLOADS
from orch_kubernetes.watch.health import template_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from orch_kubernetes.change.sights import Cluster

Row = dict[str, Any]
_HOLDERS = ("ServiceAccount", "Ingress", "Gateway", "Route")


def held_secrets(cluster: Cluster) -> dict[str, set[str]]:
    """The versions of each secret that the cluster holds, by the secret's name."""
    found: dict[str, set[str]] = {}
    for row in _rows(cluster, "Secret"):
        for name, version in _held_by(row).items():
            found.setdefault(name, set()).add(version)
    return found


def missing_values(cluster: Cluster, versions: Mapping[str, str]) -> dict[str, bytes]:
    """Values that no step brought, since the cluster holds them at these versions already.

    Raises UsageFault when somebody removed them since.
    """
    if not versions:
        return {}
    found: dict[str, bytes] = {}
    for row in _rows(cluster, "Secret"):
        held = _held_by(row)
        for name, version in versions.items():
            if held.get(name) == version and (value := _value_in(row, name)) is not None:
                found[name] = value
    lost = sorted(set(versions) - set(found))
    if lost:
        raise UsageFault(
            f"the cluster no longer holds the value of {', '.join(lost)}",
            place=f"the namespace {cluster.space}",
            mend="deploy the spec again, so that it is read anew",
        )
    return found


def forget_secrets(cluster: Cluster, keep: Mapping[str, Collection[str]]) -> None:
    """Remove every Secret of a version that is not to be kept and that nothing names."""
    rows = _rows(cluster, "Secret")
    old = [
        row
        for row in _earlier(rows)
        if any(version not in keep.get(name, ()) for name, version in _held_by(row).items())
    ]
    _remove(cluster, "Secret", old)


def collect_configs(cluster: Cluster) -> None:
    """Remove earlier versions of configs that nothing names: they can be made again."""
    _remove(cluster, "ConfigMap", _earlier(_rows(cluster, "ConfigMap")))


def _rows(cluster: Cluster, kind: str) -> list[Row]:
    rows = cluster.ours([kind], needed=[kind]).get(kind, [])
    return [row for row in rows if not marks.label(row, marks.STORE)]


def _held_by(row: Row) -> dict[str, str]:
    try:
        found = json.loads(marks.annotation(row, marks.HOLDS) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _value_in(row: Row, name: str) -> bytes | None:
    """The value of a secret in a Secret, by where the body that was applied has its token."""
    applied = marks.unpack(marks.annotation(row, marks.APPLIED)) or {}
    for key, text in {**applied.get("data", {}), **applied.get("stringData", {})}.items():
        data = base64.b64decode((row.get("data") or {}).get(key, ""))
        if text in (value_token(name), base64_token(name)):
            return data
        if value_token(name) in text:
            found = _found(json.loads(text), json.loads(data), value_token(name))
            return None if found is None else found.encode()
    return None


def _found(pattern: Any, data: Any, token: str) -> str | None:
    if pattern == token:
        return str(data)
    if isinstance(pattern, dict) and isinstance(data, dict):
        for key, below in pattern.items():
            found = _found(below, data.get(key), token)
            if found is not None:
                return found
    return None


def _earlier(rows: Iterable[Row]) -> list[Row]:
    """All but the newest version of each."""
    rows = list(rows)
    newest: dict[str, tuple[int, str]] = {}
    for row in rows:
        id_ = marks.annotation(row, marks.ID)
        newest[id_] = max(newest.get(id_, (-1, "")), marks.age_of(row))
    return [row for row in rows if marks.age_of(row) < newest[marks.annotation(row, marks.ID)]]


def _remove(cluster: Cluster, kind: str, rows: list[Row]) -> None:
    """Remove what nothing names: pods of an earlier version may still be started."""
    if not rows:
        return
    named = _named(cluster)
    for row in rows:
        if marks.name_of(row) not in named:
            path = cluster.kinds.all[kind].path(cluster.space, marks.name_of(row))
            cluster.client.delete(path, uid=str(row["metadata"]["uid"]))


def _named(cluster: Cluster) -> set[str]:
    """Every text in a workload, a pod, an earlier version of either, or in what uses Secrets."""
    found: set[str] = set()
    for rows in cluster.ours([*WORKLOADS, *_HOLDERS]).values():
        for row in rows:
            _texts(template_of(row) if row["kind"] in WORKLOADS else row, found)
    for row in (*cluster.pods(), *cluster.replica_sets()):
        _texts(row.get("spec"), found)
    return found


def _texts(value: Any, found: set[str]) -> None:
    if isinstance(value, str):
        found.add(value)
    elif isinstance(value, dict):
        for below in value.values():
            _texts(below, found)
    elif isinstance(value, list):
        for below in value:
            _texts(below, found)
