"""Workloads as services and jobs: which there are, how many run, and how they change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.load.item import Item
from orch.spec.deploy import UpdateConfig
from orch.types import Consequence, Fidelity
from orch_kubernetes import names
from orch_kubernetes.compile.job import CONCURRENCY
from orch_kubernetes.reader.objects import is_a
from orch_kubernetes.reader.part import (
    DEFAULT,
    IMPLIED,
    OWN,
    Part,
    is_default,
    is_ours,
    note_identity,
)
from orch_kubernetes.reader.values import is_true, number_of, seconds, share, text_of

if TYPE_CHECKING:
    from orch.types import FieldPath
    from orch_kubernetes.reader.objects import Thing

SERVICES = (
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "DeploymentConfig",
    "ReplicaSet",
    "ReplicationController",
)
WORKLOADS = (*SERVICES, "Job", "CronJob", "Pod")
_CONCURRENCY = {theirs: ours for ours, theirs in CONCURRENCY.items()}
_BACKOFF = 6
USUAL = UpdateConfig()
BOTH = "a new replica starts before an old one ends; how many are away at once is not said"
ONE_WRITER = "a volume or port has one holder at a time, so the old replica ends first"
BY_HAND = "an update goes on by itself"
_OF_UPDATE = {
    names.FAILURE_ACTION: "failure_action",
    names.FAILURE_RATIO: "max_failure_ratio",
    names.CANARY: "canary",
    names.PROMOTE: "promote",
    names.DEADLINE: "progress_deadline",
    "orch/parallelism": "parallelism",
}


def template_of(thing: Thing) -> tuple[Item, FieldPath]:
    """The template of a workload's pods, and where its spec stands."""
    empty = Item({})
    if thing.kind == "Pod":
        return thing.item, ("spec", "template", "spec")
    if thing.kind == "CronJob":
        keys = ("spec", "jobTemplate", "spec", "template")
        return thing.at(*keys) or empty, (*keys, "spec")
    return thing.at("spec", "template") or empty, ("spec", "template", "spec")


def section_of(thing: Thing, *, serves: bool) -> str:
    """Whether an object keeps running or ends; a pod that a Service leads to keeps running."""
    ends = thing.kind in ("Job", "CronJob")
    if thing.kind == "Pod" and not serves:
        ends = text_of(thing.at("spec", "restartPolicy")) in ("Never", "OnFailure")
    return "jobs" if ends else "services"


def write_workload(part: Part) -> None:
    """What a workload says beside its pods."""
    thing, writer = part.thing, part.writer
    note_identity(writer, thing, part.path)
    if part.is_job:
        _job(part)
    else:
        _service(part)
    _labels(part)
    template = part.template
    if template is not thing.item:
        part.note(template if not template.value else None)
        part.note(template.get("apiVersion"))
    for leaf in thing.item.leaves():
        if not leaf.ways and (leaf.value in (None, {}, []) or is_default(leaf)):
            part.note(leaf, DEFAULT)


def _labels(part: Part) -> None:
    """Labels of the workload; what its pods have, too, is said there."""
    pods = part.labels
    for key, item in (part.thing.at("metadata", "labels") or Item({})).items():
        if item.ways:
            continue
        if pods.get(key) == item.value or part.is_job:
            if pods.get(key) != item.value:
                part.put(("labels", key), item, "" if item.value is None else item.value)
            part.note(item, "its pods have it too", "labels")
        else:
            part.put(("deploy", "labels", key), item, "" if item.value is None else item.value)


# -- services ----------------------------------------------------------------------------------


def _service(part: Part) -> None:
    thing = part.thing
    spec = thing.item.get("spec") or Item({})
    part.note(spec.get("selector"), OWN)
    if part.is_global:
        part.writer.set(part.at("deploy", "mode"), "global", thing.item)
    elif number_of(spec.get("replicas")) is not None:
        part.put(("deploy", "replicas"), spec.get("replicas"))
    policy = part.pod.get("restartPolicy")
    conditions = {"Never": "none", "OnFailure": "on-failure"}
    if is_ours(thing):
        conditions["Always"] = "any"
    if text_of(policy) in conditions:
        keys = ("deploy", "restart_policy", "condition")
        part.put(keys, policy, conditions[text_of(policy)])
    else:
        part.note(policy, DEFAULT)
    part.override_own(("spec", "revisionHistoryLimit"), spec.get("revisionHistoryLimit"))
    for key in ("paused", "test"):
        if is_true(spec.get(key)) and key == "paused":
            part.override_own(("spec", "paused"), spec.get("paused"))
        elif not is_true(spec.get(key)):
            part.note(spec.get(key), DEFAULT)
    if thing.kind == "StatefulSet":
        _stateful(part, spec)


def _stateful(part: Part, spec: Item) -> None:
    policy = spec.get("podManagementPolicy")
    parallel = text_of(policy) == "Parallel"
    if not parallel:
        part.writer.set(part.at("deploy", "ordered"), value=True, item=part.thing.item)
    part.note(policy, "", "deploy", "ordered")
    part.note(spec.get("serviceName"), "replicas are reached by their own names")
    retention = spec.get("persistentVolumeClaimRetentionPolicy")
    kept = {text_of(item) for _, item in (retention or Item({})).items()} <= {"Retain"}
    if kept:
        part.note(retention, DEFAULT)
    else:
        part.override_own(("spec", "persistentVolumeClaimRetentionPolicy"), retention)


def write_update(part: Part) -> None:
    """How new pods replace old ones; when its volumes are known."""
    thing = part.thing
    if part.is_job or thing.kind == "Pod":
        return
    spec = thing.item.get("spec") or Item({})
    strategy = spec.get("updateStrategy" if _steps(thing) else "strategy")
    kind = text_of(strategy.get("type")) if strategy is not None else ""
    _annotated(part)
    for key, field in (("progressDeadlineSeconds", "progress_deadline"),):
        number = number_of(spec.get(key))
        if number is not None:
            part.put(("deploy", "update_config", field), spec.get(key), seconds(number))
    ready = number_of(spec.get("minReadySeconds"))
    if ready == USUAL.monitor.seconds and is_ours(thing):
        part.note(spec.get("minReadySeconds"), OWN)
    elif ready is not None:
        part.put(
            ("deploy", "update_config", "monitor"), spec.get("minReadySeconds"), seconds(ready)
        )
    if kind == "Recreate" and strategy is not None:
        _set(part, strategy, "parallelism", 0)
        part.note(strategy, IMPLIED, "deploy", "update_config")
    elif kind == "OnDelete" and strategy is not None:
        mend = "deploy when the pods may be replaced"
        part.writer.lose(strategy, BY_HAND, mend, Consequence.AVAILABILITY)
    elif thing.kind == "StatefulSet":
        _one_by_one(part, strategy)
    elif thing.kind in ("ReplicaSet", "ReplicationController"):
        return
    else:
        _rolling(part, strategy)


def _steps(thing: Thing) -> bool:
    return thing.kind in ("StatefulSet", "DaemonSet")


def _annotated(part: Part) -> None:
    """What orch itself noted of an update on its own objects."""
    for key, field in _OF_UPDATE.items():
        item = part.thing.at("metadata", "annotations", key)
        if item is None or not is_ours(part.thing):
            continue
        text = text_of(item)
        value: Any = text
        if field in ("canary", "parallelism"):
            value = int(text)
        elif field == "max_failure_ratio":
            value = float(text)
        part.put(("deploy", "update_config", field), item, value)


def _set(part: Part, item: Item, field: str, value: Any) -> None:
    part.writer.set(part.at("deploy", "update_config", field), value, item)


def _one_by_one(part: Part, strategy: Item | None) -> None:
    if strategy is None:
        return
    partition = strategy.at("rollingUpdate", "partition")
    if number_of(partition):
        keys = ("spec", "updateStrategy", "rollingUpdate", "partition")
        part.override_own(keys, partition)
    else:
        part.note(partition, DEFAULT)
    away = strategy.at("rollingUpdate", "maxUnavailable")
    number = share(away.value, part.replicas, up=False) if away is not None else None
    if number is not None:
        part.put(("deploy", "update_config", "parallelism"), away, max(number, 1))
    part.note(strategy.get("type"), IMPLIED)


def _rolling(part: Part, strategy: Item | None) -> None:
    """Surplus and missing replicas as an order and a number at once."""
    rolling = strategy.get("rollingUpdate") if strategy is not None else None
    rolling = rolling or (strategy.get("rollingParams") if strategy is not None else None)
    surge, away = (
        rolling.get(key) if rolling is not None else None for key in ("maxSurge", "maxUnavailable")
    )
    usual = (0, 1) if part.is_global else ("25%", "25%")
    more = share(surge.value if surge is not None else usual[0], part.replicas, up=True) or 0
    less = share(away.value if away is not None else usual[1], part.replicas, up=False) or 0
    first = more > 0 and not _is_held(part, said=surge is not None)
    at = strategy if strategy is not None and strategy.value else part.thing.item
    used = surge if first else away
    every = used is not None and used.value == "100%"
    if first:
        _set(part, at, "order", "start-first")
    number = 0 if every else max(more if first else less, 1)
    if number != 1:
        _set(part, at, "parallelism", number)
    path = ("deploy", "update_config")
    if strategy is None:
        return
    late = rolling.get("timeoutSeconds") if rolling is not None else None
    if number_of(late) is not None:
        said = seconds(number_of(late) or 0)
        part.put((*path, "progress_deadline"), late, said)
    for item in (strategy.get("type"), surge, away):
        if item is None:
            continue
        if more and not first and item is surge:
            part.writer.note(part.at(*path), item, Fidelity.DEGRADED, ONE_WRITER,
                Consequence.AVAILABILITY)  # fmt: skip
        elif more and less and first and item is away:
            part.writer.note(part.at(*path), item, Fidelity.DEGRADED, BOTH,
                Consequence.AVAILABILITY)  # fmt: skip
        else:
            part.note(item, IMPLIED, *path)


def _is_held(part: Part, *, said: bool) -> bool:
    """Whether something is held that two replicas can't hold at once."""
    published = any(
        port.get("mode") == "host" and "published" in port
        for port in part.writer.get(part.at("ports")) or ()
    )
    claims = part.around.claims
    return (published and not said) or claims.makes_stateful(part) or claims.is_exclusive(part)


# -- jobs --------------------------------------------------------------------------------------


def _job(part: Part) -> None:
    thing = part.thing
    spec = thing.item.get("spec") or Item({})
    if thing.kind == "CronJob":
        _clock(part, spec)
        template = spec.get("jobTemplate") or Item({})
        part.note(template.get("metadata"), "its pods have labels of their own")
        spec = template.get("spec") or Item({})
    elif thing.kind == "Job":
        part.put(("suspend",), spec.get("suspend"))
    part.note(spec.get("selector"), OWN)
    _retries(part)
    if thing.kind != "Pod":
        _runs(part, spec)


def _retries(part: Part) -> None:
    policy = part.pod.get("restartPolicy")
    if text_of(policy) == "OnFailure":
        part.put(("restart_policy", "condition"), policy, "on-failure")
    else:
        part.note(policy, "each retry is a new pod")
    if part.thing.kind == "Pod":
        retries = 0 if text_of(policy) == "Never" else _BACKOFF
        part.writer.set(part.at("backoff_limit"), retries, part.thing.item)


def _runs(part: Part, spec: Item) -> None:
    for key, field in (
        ("completions", "completions"),
        ("parallelism", "parallelism"),
        ("backoffLimit", "backoff_limit"),
    ):
        item, least = spec.get(key), 0 if key == "backoffLimit" else 1
        if number_of(item) is not None:
            part.put((field,), item, max(number_of(item) or 0, least))
    if spec.get("backoffLimit") is None:
        part.writer.set(part.at("backoff_limit"), _BACKOFF, part.thing.item)
    for key, field in (("activeDeadlineSeconds", "timeout"), ("ttlSecondsAfterFinished", "ttl")):
        number = number_of(spec.get(key))
        if number is not None:
            part.put((field,), spec.get(key), seconds(number))
    mode = spec.get("completionMode")
    if text_of(mode) == "NonIndexed":
        part.note(mode, DEFAULT)
    elif mode is not None:
        base = ("jobTemplate", "spec") if part.thing.kind == "CronJob" else ()
        part.override_own(("spec", *base, "completionMode"), mode)


def _clock(part: Part, spec: Item) -> None:
    schedule, zone = spec.get("schedule"), spec.get("timeZone")
    said = text_of(schedule)
    if said.startswith(("TZ=", "CRON_TZ=")) and " " in said:
        place, _, said = said.partition("=")[2].partition(" ")
        part.writer.set(part.at("time_zone"), place, schedule or spec)
    part.put(("schedule",), schedule, said.strip())
    part.put(("time_zone",), zone)
    part.put(("suspend",), spec.get("suspend"))
    policy = spec.get("concurrencyPolicy")
    if text_of(policy) in _CONCURRENCY:
        part.put(("concurrency",), policy, _CONCURRENCY[text_of(policy)])
    late = number_of(spec.get("startingDeadlineSeconds"))
    if late is not None:
        part.put(("starting_deadline",), spec.get("startingDeadlineSeconds"), seconds(late))
    part.put(("history", "succeeded"), spec.get("successfulJobsHistoryLimit"))
    part.put(("history", "failed"), spec.get("failedJobsHistoryLimit"))


def is_workload(thing: Thing) -> bool:
    """Whether an object runs something."""
    return any(is_a(thing, kind) for kind in WORKLOADS)
