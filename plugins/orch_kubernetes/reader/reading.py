"""Objects of the API to one `orch/v1` document, and the account of every leaf of theirs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from orch.backend.contract import Reading
from orch.errors import InvalidSpec
from orch.load.account import Writer, make_ledger
from orch.load.item import Item
from orch.types import Consequence, Diagnostic, Fidelity, LedgerEntry, Place
from orch_kubernetes.reader.check import emptiness, faults
from orch_kubernetes.reader.claims import Claims
from orch_kubernetes.reader.contents import Configs, Secrets
from orch_kubernetes.reader.images import account_streams
from orch_kubernetes.reader.losses import CUSTOM, loss_of
from orch_kubernetes.reader.objects import Objects, Pods, is_standard, texts, things, wrap
from orch_kubernetes.reader.part import (
    OWN_LABELS,
    PLACE,
    SEEN,
    Around,
    Part,
    is_owned,
    is_tools,
    write_overrides,
)
from orch_kubernetes.reader.pod import write_pod
from orch_kubernetes.reader.policies import PolicyReader
from orch_kubernetes.reader.registries import write_registries
from orch_kubernetes.reader.routes import RouteReader
from orch_kubernetes.reader.scaling import write_scaling
from orch_kubernetes.reader.services import ServiceReader, key_of, names_of
from orch_kubernetes.reader.values import spec_name
from orch_kubernetes.reader.workload import (
    WORKLOADS,
    is_workload,
    section_of,
    template_of,
    write_update,
    write_workload,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orch.load.account import LossOf
    from orch_kubernetes.reader.objects import Thing

_CHECKED = (
    *WORKLOADS,
    "Service",
    "Ingress",
    "HTTPRoute",
    "Route",
    "ConfigMap",
    "Secret",
    "PersistentVolumeClaim",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "NetworkPolicy",
)
_THERE = (("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt"))
"""What a cluster puts into every namespace."""
MADE = "a controller makes it of another object"
_NAMING = ("app.kubernetes.io/part-of", "app.kubernetes.io/instance")


def read_live(objects: Sequence[Mapping[str, Any]], name: str = "") -> Reading:
    """A spec of objects as a cluster gives them. Values of Secrets stay where they are.

    `name` is the application's; without one it is found in labels or the namespace. Raises
    InvalidSpec when nothing among them runs.
    """
    return read_objects([wrap(body) for body in objects], name)


def read_objects(
    documents: Sequence[Item], name: str = "", *, base: str = "", fallback: str = "app"
) -> Reading:
    """A spec of objects as trees of items. Raises InvalidSpec with every fault found.

    `name` is the application's, and `fallback` what it is called when no object tells;
    `base` is the folder that paths to manifests start from.
    """
    found = things(documents)
    objects = Objects.of(found)
    _refuse(objects)
    writer = Writer(_loss_of(objects))
    called = name or name_of(objects, fallback)
    writer.set(("name",), called, documents[0] if documents else Item({}))
    around = Around(
        writer,
        objects,
        Configs(writer, objects),
        Secrets(writer, objects, base),
        Claims(writer, objects),
    )
    around.parts.extend(_parts(around))
    _common_labels(around)
    _write(around)
    for thing in objects.all:
        if is_workload(thing) and is_owned(thing):
            writer.note(("name",), thing.item, Fidelity.NATIVE, MADE)
        elif (thing.kind, thing.name) in _THERE:
            writer.note(("name",), thing.item, Fidelity.NATIVE, SEEN)
    for document in documents:
        _note_list(writer, document)
    lost = [thing for thing in found if _is_lost(thing)]
    inside = {id(leaf) for thing in lost for leaf in thing.item.leaves() if not leaf.ways}
    leaves = [x for document in documents for x in document.leaves() if id(x) not in inside]
    further = (*_objects_lost(lost, _loss_of(objects)), *_defaults(around))
    return Reading(writer.document, make_ledger(leaves, _loss_of(objects), further), writer.places)


def _is_lost(thing: Thing) -> bool:
    """Whether no part of an object was carried over: one row tells it, in place of all leaves."""
    labels = ("metadata", "labels")
    leaves = [leaf for leaf in thing.item.leaves() if leaf.path[1:3] != labels]
    return not any(leaf.ways or leaf.replaced_by for leaf in leaves)


def _objects_lost(lost: Sequence[Thing], loss_of: LossOf) -> Iterator[LedgerEntry]:
    for thing in lost:
        loss = loss_of((thing.title,))
        consequence = loss.consequence or Consequence.AVAILABILITY
        yield LedgerEntry(
            (thing.title,),
            Fidelity.LOST,
            consequence,
            reason=loss.reason,
            mend=loss.mend,
            place=thing.item.place,
        )


def _common_labels(around: Around) -> None:
    """Labels that every object has are the application's."""
    tagged = [thing for thing in around.objects.all if is_standard(thing)]
    if len(tagged) == 1:
        return
    every = [set(thing.texts("metadata", "labels").items()) for thing in tagged]
    for key, value in sorted(set.intersection(*every)):
        if is_tools(key) or key in OWN_LABELS:
            continue
        around.writer.document.setdefault("labels", {})[key] = value
        for thing in tagged:
            item = thing.at("metadata", "labels", key)
            if item is not None and not item.ways:
                around.writer.note(("labels", key), item)


def _note_list(writer: Writer, document: Item) -> None:
    """What a list of objects says of itself is nothing to carry."""
    if document.get("items") is None:
        return
    for key, member in document.items():
        if key != "items":
            writer.note(("name",), member, Fidelity.NATIVE, PLACE)
    for member in document.get("items") or ():
        _note_list(writer, member)


def _refuse(objects: Objects) -> None:
    known = [thing for kind in _CHECKED for thing in objects.of_kind(kind)]
    found = [fault for thing in known for fault in faults(thing)]
    for thing in objects.of_kind(*WORKLOADS):
        found += emptiness(thing, template_of(thing)[0].get("spec"))
    if not found and not any(is_workload(thing) for thing in objects.all):
        first = objects.all[0] if objects.all else None
        kinds = ", ".join(sorted({thing.kind for thing in objects.all})) or "no object"
        place = first.item.place if first is not None else Place()
        mend = "read it together with the file of its Deployment, StatefulSet, Job or the like"
        found.append(Diagnostic(f"nothing here runs: there is {kinds} alone", (), place, mend))
    if found:
        raise InvalidSpec(sorted(found, key=lambda fault: fault.place))


def _loss_of(objects: Objects) -> LossOf:
    """The losses by kind; what belongs to no group that is known is lost as a whole."""
    custom = {thing.title for thing in objects.all if not is_standard(thing)}
    return lambda path: CUSTOM if path and path[0] in custom else loss_of(path)


def name_of(objects: Objects, fallback: str) -> str:
    """What the application is called: by a label of all that runs, its namespace, or else."""
    running = [thing for thing in objects.all if is_workload(thing)]
    for key in _NAMING:
        said = {thing.texts("metadata", "labels").get(key, "") for thing in running}
        if len(said) == 1 and (value := said.pop()):
            return spec_name(value)
    spaces = Counter(thing.namespace for thing in running)
    space, most = max(spaces.items(), key=lambda pair: pair[1], default=("", 0))
    if space not in ("", "default") and 2 * most > len(running):
        return spec_name(space)
    return spec_name(running[0].name if len(running) == 1 else fallback)


def _parts(around: Around) -> Iterator[Part]:
    chosen = [thing for thing in around.objects.of_kind(*WORKLOADS) if not is_owned(thing)]
    templates = {key_of(thing): template_of(thing) for thing in chosen}
    labels = {key: texts(item.at("metadata", "labels")) for key, (item, _) in templates.items()}
    names = names_of(chosen, around.objects, labels)
    pods = Pods((thing, thing.namespace, labels[key_of(thing)]) for thing in chosen)
    serving = {
        key_of(thing)
        for service in around.objects.of_kind("Service")
        for thing in pods.with_labels(service.namespace, service.texts("spec", "selector"))
    }
    for thing in chosen:
        template, path = templates[key_of(thing)]
        section = section_of(thing, serves=key_of(thing) in serving)
        yield Part(around, thing, names[key_of(thing)], section, template, path)


def _write(around: Around) -> None:
    """Part by part, then what binds them, and last what rests on all of it."""
    for part in around.parts:
        around.writer.set(part.path, {}, part.thing.item)
        write_pod(part)
        write_workload(part)
    policies = PolicyReader(around)
    policies.write_networks()
    services = ServiceReader(around)
    services.write()
    RouteReader(around, services).write()
    write_scaling(around)
    policies.write_rules()
    write_registries(around)
    around.configs.keep_own()
    around.claims.write()
    for part in around.parts:
        write_update(part)
        write_overrides(part, _compiled_kind(part))
    account_streams(around)


def _compiled_kind(part: Part) -> str:
    """The kind of workload that the part is compiled to."""
    if part.is_job:
        return "CronJob" if part.thing.kind == "CronJob" else "Job"
    if part.is_global:
        return "DaemonSet"
    ordered = part.writer.get(part.at("deploy", "ordered"))
    return "StatefulSet" if ordered or part.around.claims.makes_stateful(part) else "Deployment"


def _defaults(around: Around) -> Iterator[LedgerEntry]:
    """What holds for every object alike is told once."""
    spaces = around.objects.namespaces
    if spaces:
        yield LedgerEntry(
            ("metadata", "namespace"),
            Fidelity.DEGRADED,
            Consequence.COSMETIC if len(spaces) == 1 else Consequence.NETWORK,
            reason=f"the target says where it runs, and not the namespace {', '.join(spaces)}",
            mend="deploy with that namespace, and look at names with dots",
            default=True,
        )
    if any(thing.kind == "Deployment" for thing in around.objects.all):
        yield LedgerEntry(
            ("services", "*", "deploy", "update_config", "failure_action"),
            Fidelity.DEGRADED,
            Consequence.AVAILABILITY,
            reason="a Deployment that fails stays as it is; here it is rolled back",
            mend="write failure_action: pause to keep it",
            default=True,
        )
