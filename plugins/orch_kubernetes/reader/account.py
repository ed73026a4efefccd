"""The account of a part's pods: what a cloud is told by it is kept, and rights are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.load.item import Item
from orch.types import Consequence, Fidelity
from orch_kubernetes.reader.part import is_note, note_identity
from orch_kubernetes.reader.values import is_true, text_of

if TYPE_CHECKING:
    from orch_kubernetes.reader.objects import Objects, Thing
    from orch_kubernetes.reader.part import Part

KEYS = ("serviceAccountName", "serviceAccount")
AS_GOOD = "no rights are bound to it"
RENAMED = "its account is kept by another name, which what a cloud lets it do has to name"
_OVERRIDE = ("overrides", "kubernetes", "serviceAccount")


def write_account(part: Part) -> None:
    """An account to which no rights are bound is as good as the one that orch makes."""
    named = part.pod.get("serviceAccountName") or part.pod.get("serviceAccount")
    name, objects = text_of(named), part.around.objects
    thing = objects.find("ServiceAccount", name, part.thing.namespace)
    if thing is None:
        return
    kept = _keep(part, thing)
    for key in KEYS:
        item = part.pod.get(key)
        if item is None or item.ways or _is_bound(objects, name):
            continue
        if kept:
            told, consequence = RENAMED, Consequence.AVAILABILITY
            part.writer.note(part.at(*_OVERRIDE), item, Fidelity.DEGRADED, told, consequence)
        else:
            part.writer.note(part.path, item, Fidelity.EMULATED, AS_GOOD, Consequence.COSMETIC)


def _keep(part: Part, thing: Thing) -> bool:
    """Keep what the account says beside its name; whether there was anything."""
    kept = False
    for key, item in (thing.at("metadata", "annotations") or Item({})).items():
        if not is_note(key):
            kept = True
            part.put((*_OVERRIDE, "metadata", "annotations", key), item)
    token = thing.at("automountServiceAccountToken")
    if is_true(token) and part.pod.get("automountServiceAccountToken") is None:
        kept = True
        part.put((*_OVERRIDE, "automountServiceAccountToken"), token, True)  # noqa: FBT003  (a value of the API)
    if kept:
        note_identity(part.writer, thing, part.at(*_OVERRIDE))
    return kept


def _is_bound(objects: Objects, name: str) -> bool:
    return any(
        text_of(subject.get("name")) == name
        for binding in objects.of_kind("RoleBinding", "ClusterRoleBinding")
        for subject in binding.at("subjects") or ()
    )
