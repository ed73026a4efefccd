"""Which objects of a namespace make up one application: by their marks, and by who uses whom."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from orch_kubernetes import names
from orch_kubernetes.adopt import helm
from orch_kubernetes.api import marks
from orch_kubernetes.api.kinds import CLAIM, CONTENT_NAMED, TEMPLATES, part
from orch_kubernetes.watch.health import labels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Row = dict[str, Any]
Ref = tuple[str, str]
RUNNING = (
    *TEMPLATES,
    "DeploymentConfig",
    "ReplicaSet",
    "ReplicationController",
    "Pod",
)
KEYS = (
    marks.INSTANCE,
    helm.RELEASE,
    "app.kubernetes.io/instance",
    names.PART_OF,
    names.NAME,
    "app",
    "k8s-app",
)
"""Labels, and the annotation of Helm, that name an application, the surest first."""
_CLUSTERS_OWN = frozenset(
    {
        ("ConfigMap", "kube-root-ca.crt"),
        ("ConfigMap", "openshift-service-ca.crt"),
        ("ServiceAccount", "default"),
    }
)
_KEEPSAKES = frozenset(
    {
        "kubernetes.io/service-account-token",
        "bootstrap.kubernetes.io/token",
        "helm.sh/release.v1",
        "orch/record",
    }
)
"""Types of Secrets that the cluster or a tool keeps for itself."""
_NAMED = {
    "configMapKeyRef": ("ConfigMap", "name"),
    "configMapRef": ("ConfigMap", "name"),
    "configMap": ("ConfigMap", "name"),
    "secretKeyRef": ("Secret", "name"),
    "secretRef": ("Secret", "name"),
    "secret": ("Secret", "secretName"),
    "persistentVolumeClaim": (CLAIM, "claimName"),
    "scaleTargetRef": ("", "name"),
    "service": ("Service", "name"),
    "to": ("Service", "name"),
    "backend": ("Service", "serviceName"),
}
"""Keys under which another object is named, with the key of its name."""
_REQUIREMENT = re.compile(
    r"\s*(?P<not>!)?\s*(?P<key>[\w./-]+)\s*"
    r"(?:(?P<sign>==|=|!=)\s*(?P<value>[\w.-]*)|(?P<set>in|notin)\s*\((?P<values>[^)]*)\))?\s*"
)


# -- what is asked for -----------------------------------------------------------------------------


def is_selector(text: str) -> bool:
    """Whether a text chooses by labels, and is no plain name."""
    return any(sign in text for sign in "=!, (")


def by_labels(text: str) -> Callable[[Row], bool]:
    """What bears labels as a selector of kubectl wants them. Raises ValueError for no selector."""
    rules = [_rule(said) for said in re.split(r",(?![^(]*\))", text)]
    return lambda row: all(rule(said_labels(row)) for rule in rules)


def _rule(text: str) -> Callable[[dict[str, str]], bool]:
    found = _REQUIREMENT.fullmatch(text)
    if found is None or (found["not"] and (found["sign"] or found["set"])):
        raise ValueError(text)
    key, value = found["key"], found["value"]
    if found["sign"]:
        return lambda labels: (labels.get(key) == value) is (found["sign"] != "!=")
    if found["set"]:
        values = {one.strip() for one in found["values"].split(",")}
        return lambda labels: (labels.get(key) in values) is (found["set"] == "in")
    return lambda labels: (key in labels) is not bool(found["not"])


def by_name(name: str, rows: Sequence[Row]) -> Callable[[Row], bool] | None:
    """What is marked as of an application; None when nothing that runs is.

    Where nothing is marked so, what runs under that very name counts.
    """
    running = [row for row in rows if row["kind"] in RUNNING]
    for key in KEYS:
        if any(_is_marked(key, name, row) for row in running):
            return partial(_is_marked, key, name)
    if any(marks.name_of(row) == name for row in running):
        return lambda row: row["kind"] in RUNNING and marks.name_of(row) == name
    return None


def _is_marked(key: str, name: str, row: Row) -> bool:
    return _said(row, key) == name


def names_in(rows: Iterable[Row]) -> list[str]:
    """By what names that which runs could be asked for, each once."""
    found = dict[str, None]()
    for row in rows:
        if row["kind"] in RUNNING:
            said = (_said(row, key) for key in KEYS)
            found[next(filter(None, said), marks.name_of(row))] = None
    return list(found)


def _said(row: Row, key: str) -> str:
    return marks.annotation(row, key) if key == helm.RELEASE else said_labels(row).get(key, "")


def said_labels(row: Row) -> dict[str, str]:
    """The labels of an object; those of its pods count where it has none of that key."""
    template = part(row, (*TEMPLATES.get(row["kind"], ("spec", "template")), "metadata"))
    below = template.get("labels") if isinstance(template, dict) else None
    return {**(below or {}), **labels_of(row)}


# -- what is nobody's ------------------------------------------------------------------------------


def own_rows(rows: Sequence[Row]) -> list[Row]:
    """Without what controllers made, what the cluster puts everywhere, and earlier versions."""
    templates = {
        f"{claim['metadata']['name']}-{marks.name_of(row)}-"
        for row in rows
        if row["kind"] == "StatefulSet"
        for claim in row["spec"].get("volumeClaimTemplates") or ()
    }
    kept = [row for row in rows if not _is_made(row) and not _is_of_template(row, templates)]
    newest: dict[tuple[str, str], tuple[int, str]] = {}
    for row in kept:
        newest[_version_key(row)] = max(newest.get(_version_key(row), (-1, "")), marks.age_of(row))
    return [
        row
        for row in kept
        if row["kind"] not in CONTENT_NAMED
        or not marks.annotation(row, marks.ID)
        or marks.age_of(row) == newest[_version_key(row)]
    ]


def _version_key(row: Row) -> tuple[str, str]:
    return row["kind"], marks.annotation(row, marks.ID)


def _is_made(row: Row) -> bool:
    return (
        marks.is_derived(row)
        or (row["kind"], marks.name_of(row)) in _CLUSTERS_OWN
        or (row["kind"] == "Secret" and row.get("type") in _KEEPSAKES)
        or bool(marks.label(row, marks.STORE))
    )


def _is_of_template(row: Row, templates: Iterable[str]) -> bool:
    """Whether a claim is one of those that a StatefulSet asked for."""
    name = marks.name_of(row) if row["kind"] == CLAIM else ""
    stem, _, number = name.rpartition("-")
    return number.isdigit() and f"{stem}-" in templates


# -- who uses whom ---------------------------------------------------------------------------------


@dataclass
class Circle:
    """The objects of a namespace, from which those of one application are drawn."""

    rows: Sequence[Row]

    def around(self, holds: Callable[[Row], bool]) -> list[Row]:
        """What is marked, what it uses, and what leads to it or rules over it."""
        chosen = {_ref(row): row for row in self.rows if holds(row)}
        self._add(chosen, lambda row: row["kind"] not in RUNNING and self._serves(row, chosen))
        for _ in range(2):
            wanted = {ref for row in chosen.values() for ref in references(row)}
            self._add(chosen, partial(_is_one_of, wanted))
            self._add(chosen, lambda row: row["kind"] in _WAYS_IN and _leads(row, chosen))
        return list(chosen.values())

    def _add(self, chosen: dict[Ref, Row], fits: Callable[[Row], bool]) -> None:
        chosen |= {_ref(row): row for row in self.rows if _ref(row) not in chosen and fits(row)}

    @staticmethod
    def _serves(row: Row, chosen: dict[Ref, Row]) -> bool:
        """Whether a Service, a policy or an autoscaler is meant for what was chosen."""
        spec, kind = row.get("spec") or {}, row["kind"]
        if kind == "HorizontalPodAutoscaler":
            target = spec.get("scaleTargetRef") or {}
            return (target.get("kind"), target.get("name")) in chosen
        selector = spec.get({"NetworkPolicy": "podSelector"}.get(kind, "selector"))
        wanted = (selector or {}) if kind == "Service" else (selector or {}).get("matchLabels")
        if not wanted or kind not in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            return False
        return any(wanted.items() <= _pod_labels(one).items() for one in chosen.values())


_WAYS_IN = ("Ingress", "HTTPRoute", "Route")


def _ref(row: Row) -> Ref:
    return row["kind"], marks.name_of(row)


def _is_one_of(wanted: set[Ref], row: Row) -> bool:
    return _ref(row) in wanted


def _leads(row: Row, chosen: dict[Ref, Row]) -> bool:
    return any(ref in chosen for ref in references(row) if ref[0] == "Service")


def _pod_labels(row: Row) -> dict[str, str]:
    if row["kind"] == "Pod":
        return labels_of(row)
    template = part(row, (*TEMPLATES.get(row["kind"], ("spec", "template")), "metadata"))
    return (template.get("labels") or {}) if row["kind"] in RUNNING else {}


def references(row: Row) -> Iterator[Ref]:
    """The kinds and names of the objects that an object uses."""
    yield from _inside(row.get("spec"), "")
    if row["kind"] == "ServiceAccount":
        yield from (("Secret", str(one.get("name"))) for one in row.get("imagePullSecrets") or ())


def _inside(value: Any, above: str) -> Iterator[Ref]:
    if isinstance(value, list):
        for member in value:
            yield from _inside(member, above)
    elif isinstance(value, dict):
        yield from _plain(value, above)
        for key, below in value.items():
            yield from _inside(below, key)


def _plain(value: Row, above: str) -> Iterator[Ref]:
    kind, key = _NAMED.get(above, ("", ""))
    name = value.get(key) or value.get("name")
    if kind and isinstance(name, str):
        yield kind, name
    if above in _OTHERS and isinstance(name, str):
        yield _OTHERS[above], name
    for field, of_kind in _PLAIN.items():
        if isinstance(value.get(field), str):
            yield of_kind, value[field]


_OTHERS = {
    "backendRefs": "Service",
    "parentRefs": "Gateway",
    "imagePullSecrets": "Secret",
    "certificateRefs": "Secret",
}
_PLAIN = {
    "serviceAccountName": "ServiceAccount",
    "priorityClassName": "PriorityClass",
    "secretName": "Secret",
}
