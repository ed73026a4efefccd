"""What the double holds: objects, their owners, and what happened to them, in order."""

from __future__ import annotations

import base64
import copy
import functools
import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tests.kubernetes_api import gateway, ownership, schemas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Change = TypeVar("Change", bound="Callable[..., Any]")
Row = dict[str, Any]
Key = tuple[str, str, str, str]
"""API version without its version number, plural, namespace, name."""
IMMUTABLE = {
    "Deployment": [("spec", "selector")],
    "StatefulSet": [
        ("spec", "selector"),
        ("spec", "volumeClaimTemplates"),
        ("spec", "serviceName"),
    ],
    "DaemonSet": [("spec", "selector")],
    "Job": [("spec", "template"), ("spec", "completions"), ("spec", "selector")],
    "PersistentVolumeClaim": [("spec", "accessModes"), ("spec", "storageClassName")],
    "PriorityClass": [("value",)],
}
GENERATED = frozenset(
    {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Ingress", "Gateway", "HTTPRoute",
     "Route"}
)  # fmt: skip


def _alone(change: Change) -> Change:
    """A change that is made while nobody else makes one."""

    @functools.wraps(change)
    def made(platform: Platform, *args: Any, **more: Any) -> Any:
        with platform.lock:
            return change(platform, *args, **more)

    return cast("Change", made)


class Refusal(Exception):
    """An answer that is none: a status code and the API's Status."""

    def __init__(
        self, code: int, reason: str, message: str, causes: list[Row] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.body = {
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": message, "details": {"causes": causes or []},
        }  # fmt: skip


@dataclass(frozen=True)
class Happened:
    """One change: what watches are told."""

    version: int
    type: str
    key: Key
    row: Row


@dataclass
class Platform:
    """One cluster, changed by one thread at a time; `objects` as once seen stay as they were."""

    objects: dict[Key, Row] = field(default_factory=dict)
    happened: list[Happened] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    oldest: int = 0
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.lock = self.changed
        for name in ("default", "kube-system"):
            self.make_namespace(name)
        self.make_class("standard", default=True)

    def make_namespace(self, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.create(("", "namespaces", "", name), body, "kubectl")

    def make_class(self, name: str, made_by: str = "example.com", *, default: bool = False) -> None:
        """A storage class; by itself a cluster has one, which is its default."""
        noted = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
        body = {
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": made_by,
            "metadata": {"name": name, "annotations": noted},
        }  # fmt: skip
        self.create(("storage.k8s.io", "storageclasses", "", name), body, "kubectl")

    # -- reading -------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """The newest resource version."""
        return self.happened[-1].version if self.happened else 0

    def get(self, key: Key) -> Row:
        if key not in self.objects:
            raise Refusal(404, "NotFound", f'{key[1]} "{key[3]}" not found')
        return self.objects[key]

    def listed(self, group: str, plural: str, namespace: str, selector: str) -> list[Row]:
        return [
            row
            for key, row in sorted(self.objects.items())
            if key[:2] == (group, plural) and namespace in ("", key[2]) and matches(row, selector)
        ]

    # -- writing -------------------------------------------------------------------------------

    def _check_place(self, key: Key) -> None:
        space = key[2]
        if space and ("", "namespaces", "", space) not in self.objects:
            raise Refusal(404, "NotFound", f'namespaces "{space}" not found')

    @_alone
    def create(self, key: Key, body: Row, manager: str, *, dry: bool = False) -> Row:
        self._check_place(key)
        if key in self.objects:
            raise Refusal(409, "AlreadyExists", f'{key[1]} "{key[3]}" already exists')
        row = self._fresh(key, body)
        row["metadata"]["managedFields"] = []
        _own(row, manager, "Update", set(ownership.leaves(body)))
        return self._kept(key, None, row, dry=dry)

    def _fresh(self, key: Key, body: Row) -> Row:
        row = copy.deepcopy(body)
        metadata = row.setdefault("metadata", {})
        metadata["name"] = key[3]
        if key[2]:
            metadata["namespace"] = key[2]
        metadata["uid"] = f"uid-{next(self._count)}"
        metadata["creationTimestamp"] = stamp()
        return row

    @_alone
    def replace(self, key: Key, body: Row, manager: str, *, dry: bool = False) -> Row:
        before = self.get(key)
        said = body["metadata"].get("resourceVersion")
        if said and said != before["metadata"]["resourceVersion"]:
            raise Refusal(409, "Conflict", f'{key[1]} "{key[3]}": the object has been modified')
        row = copy.deepcopy(body)
        if "status" in before:
            row["status"] = before["status"]
        for name in ("uid", "creationTimestamp", "managedFields", "generation"):
            if name in before["metadata"]:
                row["metadata"][name] = copy.deepcopy(before["metadata"][name])
        _changed_by(manager, before, row)
        return self._kept(key, before, row, dry=dry)

    @_alone
    def merge(self, key: Key, change: Row, manager: str, *, dry: bool = False) -> Row:
        before = self.get(key)
        row = merged(copy.deepcopy(before), change)
        _changed_by(manager, before, row)
        return self._kept(key, before, row, dry=dry)

    @_alone
    def patch(self, key: Key, steps: list[Row]) -> Row:
        """A JSON patch: as much of it as is used."""
        before = self.get(key)
        row = copy.deepcopy(before)
        for step in steps:
            path = tuple(step["path"].strip("/").split("/"))
            if step["op"] == "test":
                if ownership.at(row, path) != step["value"]:
                    raise Refusal(422, "Invalid", f"the test of {step['path']} failed")
            else:
                ownership.put(row, path, step["value"])
        return self._kept(key, before, row, dry=False)

    @_alone
    def apply(self, key: Key, body: Row, manager: str, *, force: bool, dry: bool) -> Row:
        """Server-side apply."""
        self._check_place(key)
        before = self.objects.get(key)
        row = copy.deepcopy(before) if before else self._fresh(key, body)
        row["metadata"].setdefault("managedFields", [])
        uid = body["metadata"].get("uid")
        if uid and uid != row["metadata"]["uid"]:
            raise Refusal(409, "Conflict", "the uid does not match")
        twice = [ownership.shown(path) for path in ownership.doubled(body)]
        if twice:
            told = f"failed to create typed patch object: duplicate entries for key {twice}"
            raise Refusal(500, "", told)
        wanted = set(ownership.leaves(body))
        if before:
            self._conflicts(row, body, wanted, manager, force=force)
        earlier = _owned(row, manager, "Apply")
        others = {p for e in row["metadata"]["managedFields"] for p in _paths(e)
                  if (e["manager"], e["operation"]) != (manager, "Apply")}  # fmt: skip
        for path in earlier - wanted - others:
            ownership.give_up(row, path, wanted | others)
        for path in sorted(wanted, key=str):
            ownership.put(row, path, copy.deepcopy(ownership.at(body, path)))
        _own(row, manager, "Apply", wanted)
        return self._kept(key, before, row, dry=dry)

    @staticmethod
    def _conflicts(row: Row, body: Row, wanted: set[Any], manager: str, *, force: bool) -> None:
        causes = []
        for entry in row["metadata"]["managedFields"]:
            if (entry["manager"], entry["operation"]) == (manager, "Apply"):
                continue
            for path in _paths(entry) & wanted:
                if ownership.at(row, path) == ownership.at(body, path):
                    continue
                if force:
                    _disown(entry, path)
                    continue
                update = " using apps/v1" if entry["operation"] == "Update" else ""
                said = f'conflict with "{entry["manager"]}"{update}'
                causes.append({"reason": "FieldManagerConflict", "message": said,
                               "field": ownership.shown(path)})  # fmt: skip
        if causes:
            raise Refusal(409, "Conflict", f"Apply failed with {len(causes)} conflicts", causes)

    @_alone
    def status(self, key: Key, status: Row) -> None:
        """What a controller notes."""
        row = self.objects.get(key)
        if row is not None and row.get("status") != status:
            self._note(key, {**row, "status": status}, "MODIFIED")

    @_alone
    def remove(self, key: Key, uid: str = "", propagation: str = "Background") -> Row:
        row = self.get(key)
        if uid and row["metadata"]["uid"] != uid:
            raise Refusal(409, "Conflict", f"the UID in the precondition ({uid}) does not match")
        if propagation == "Foreground" and "deletionTimestamp" not in row["metadata"]:
            metadata = {**row["metadata"], "deletionTimestamp": stamp(),
                        "finalizers": ["foregroundDeletion"]}  # fmt: skip
            self._note(key, {**row, "metadata": metadata}, "MODIFIED")
        elif propagation != "Foreground":
            self.forget(key)
        return row

    @_alone
    def forget(self, key: Key) -> None:
        """It is gone."""
        row = self.objects.get(key)
        if row is not None:
            self.objects = {k: v for k, v in self.objects.items() if k != key}
            self._tell("DELETED", key, copy.deepcopy(row))
            if key[1] == "namespaces":
                for other in [one for one in self.objects if one[2] == key[3]]:
                    self.forget(other)

    # -- keeping -------------------------------------------------------------------------------

    def _kept(self, key: Key, before: Row | None, row: Row, *, dry: bool) -> Row:
        defaulted(row)
        found = [*schemas.faults(row), *_too_long(row)]
        if found:
            causes = [{"field": where, "message": said} for where, said in found]
            raise Refusal(422, "Invalid", f"{row['kind']} is invalid: {found}", causes)
        if before is not None:
            _check_immutable(before, row)
            if _same(before, row):
                return before
        kind = row["kind"]
        if kind in GENERATED:
            old = (before or {}).get("metadata", {}).get("generation", 0)
            same = before is not None and before.get("spec") == row.get("spec")
            row["metadata"]["generation"] = old if same else old + 1
        if dry:
            return row
        self._note(key, row, "MODIFIED" if before else "ADDED")
        return self.objects.get(key, row)

    def _note(self, key: Key, row: Row, type_: str) -> None:
        self.objects = {**self.objects, key: row}
        self._tell(type_, key, row)

    def _tell(self, type_: str, key: Key, row: Row) -> None:
        version = next(self._count)
        row["metadata"] = {**row["metadata"], "resourceVersion": str(version)}
        self.happened.append(Happened(version, type_, key, copy.deepcopy(row)))
        self.changed.notify_all()

    def since(self, version: int) -> list[Happened]:
        """What happened after a version. Raises Refusal when that is forgotten."""
        if version < self.oldest:
            raise Refusal(410, "Expired", "too old resource version")
        return [one for one in self.happened if one.version > version]


def matches(row: Row, selector: str) -> bool:
    """Whether an object bears the labels that are asked for."""
    labels = row["metadata"].get("labels") or {}
    for part in filter(None, selector.split(",")):
        key, equals, value = part.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


def merged(row: Any, change: Any) -> Any:
    """RFC 7396."""
    if not isinstance(change, dict):
        return change
    made = dict(row) if isinstance(row, dict) else {}
    for key, value in change.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merged(made.get(key), value)
    return made


def stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


# -- owners ----------------------------------------------------------------------------------------


def _paths(entry: Row) -> set[Any]:
    return set(ownership.paths_of(entry["fieldsV1"]))


def _owned(row: Row, manager: str, operation: str) -> set[Any]:
    for entry in row["metadata"]["managedFields"]:
        if (entry["manager"], entry["operation"]) == (manager, operation):
            return _paths(entry)
    return set()


def _own(row: Row, manager: str, operation: str, paths: set[Any]) -> None:
    kept = [e for e in row["metadata"]["managedFields"]
            if (e["manager"], e["operation"]) != (manager, operation)]  # fmt: skip
    entry = {"manager": manager, "operation": operation, "apiVersion": row["apiVersion"],
             "fieldsType": "FieldsV1", "fieldsV1": ownership.fields_of(paths)}  # fmt: skip
    row["metadata"]["managedFields"] = [*kept, entry] if paths else kept


def _disown(entry: Row, path: Any) -> None:
    entry["fieldsV1"] = ownership.fields_of(_paths(entry) - {path})


def _changed_by(manager: str, before: Row, row: Row) -> None:
    """Whoever changes a field owns it alone."""
    row["metadata"].setdefault("managedFields", [])
    old, new = set(ownership.leaves(before)), set(ownership.leaves(row))
    moved = {p for p in new if p not in old or ownership.at(before, p) != ownership.at(row, p)}
    for entry in row["metadata"]["managedFields"]:
        entry["fieldsV1"] = ownership.fields_of(_paths(entry) - moved - (old - new))
    _own(row, manager, "Update", _owned(row, manager, "Update") | moved)


# -- what the API itself does ----------------------------------------------------------------------


def _same(before: Row, row: Row) -> bool:
    def core(one: Row) -> Row:
        kept = {
            k: v for k, v in one["metadata"].items() if k not in ("resourceVersion", "generation")
        }
        return {**one, "metadata": kept}

    return core(before) == core(row)


def _check_immutable(before: Row, row: Row) -> None:
    paths = list(IMMUTABLE.get(row["kind"], ()))
    if before.get("immutable"):
        paths += [("data",), ("binaryData",), ("immutable",)]
    causes = [
        {"field": ".".join(path), "message": "Invalid value: field is immutable"}
        for path in paths
        if ownership.at(before, path) != ownership.at(row, path)
    ]
    if causes:
        name = row["metadata"]["name"]
        fields = ", ".join(cause["field"] for cause in causes)
        raise Refusal(
            422,
            "Invalid",
            f'{row["kind"]} "{name}" is invalid: {fields}: field is immutable',
            causes,
        )


def defaulted(row: Row) -> None:
    """As much of what the API fills in as matters: defaults, and amounts in its own spelling."""
    spec = row.get("spec") or {}
    if row["kind"] == "Deployment":
        spec.setdefault("replicas", 1)
        spec.setdefault("revisionHistoryLimit", 10)
    template = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template")
    if template:
        pod = template.setdefault("spec", {})
        pod.setdefault("dnsPolicy", "ClusterFirst")
        pod.setdefault("schedulerName", "default-scheduler")
        for container in (*pod.get("containers", ()), *pod.get("initContainers", ())):
            container.setdefault("terminationMessagePath", "/dev/termination-log")
            container.setdefault("resources", {})
            _respell(container["resources"])
            for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
                if probe in container and not container[probe].get("initialDelaySeconds", 1):
                    del container[probe]["initialDelaySeconds"]
            for variable in container.get("env", ()):
                if variable.get("value") == "":
                    del variable["value"]
    _defaulted_route(row["kind"], spec)
    if row["kind"] == "Service":
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        for port in spec.get("ports", ()):
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port["port"])


def _defaulted_route(kind: str, spec: Row) -> None:
    if kind in gateway.KINDS:
        gateway.defaulted(spec)
    if kind == "Route":
        spec.setdefault("wildcardPolicy", "None")
        for backend in (spec["to"], *spec.get("alternateBackends", ())):
            backend.setdefault("weight", 100)


def _respell(resources: Row) -> None:
    for amounts in resources.values():
        if isinstance(amounts, dict) and isinstance(amounts.get("cpu"), str | int | float):
            cpu = amounts["cpu"]
            text = str(cpu)
            if not text.endswith("m") and float(text) % 1:
                amounts["cpu"] = f"{round(float(text) * 1000)}m"


def _too_long(row: Row) -> Iterator[tuple[str, str]]:
    """A ConfigMap or Secret holds at most a mebibyte."""
    if row["kind"] not in ("ConfigMap", "Secret"):
        return
    size = sum(len(str(text).encode()) for text in (row.get("data") or {}).values())
    encoded = [str(text) for text in (row.get("binaryData") or {}).values()]
    if row["kind"] == "Secret":
        size, encoded = 0, [str(text) for text in (row.get("data") or {}).values()]
    size += sum(len(base64.b64decode(text)) for text in encoded)
    if size > 1024 * 1024:
        yield "data", "Too long: may not be more than 1048576 bytes"
