"""The pods of a workload: their containers, and what these share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.load.item import Item
from orch.types import Consequence, Fidelity
from orch_kubernetes import names
from orch_kubernetes.compile.stop import SLEEP
from orch_kubernetes.reader.account import write_account
from orch_kubernetes.reader.container import write_container, write_reachable
from orch_kubernetes.reader.images import account_triggers
from orch_kubernetes.reader.mounts import MountReader
from orch_kubernetes.reader.part import (
    DEFAULT,
    OWN,
    OWN_LABELS,
    PLACE,
    SEEN,
    is_note,
    is_ours,
    is_tools,
)
from orch_kubernetes.reader.placement import PlacementReader
from orch_kubernetes.reader.probes import write_hooks
from orch_kubernetes.reader.security import write_pod_security
from orch_kubernetes.reader.values import is_true, number_of, seconds, spec_name, text_of

if TYPE_CHECKING:
    from orch_kubernetes.reader.part import Part

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
GRACE = 30
_OVERRIDDEN = (
    "schedulerName",
    "subdomain",
    "setHostnameAsFQDN",
    "preemptionPolicy",
    "readinessGates",
    "overhead",
    "schedulingGates",
)
_DEFAULTS = {
    "schedulerName": "default-scheduler",
    "dnsPolicy": "ClusterFirst",
    "serviceAccountName": "default",
    "serviceAccount": "default",
    "preemptionPolicy": "PreemptLowerPriority",
    "enableServiceLinks": False,
    "automountServiceAccountToken": False,
    "setHostnameAsFQDN": False,
}


def write_pod(part: Part) -> None:
    """Everything that a template of pods says."""
    main, before, beside = _containers(part)
    mounts = MountReader(part)
    resources = part.at("resources") if part.is_job else part.at("deploy", "resources")
    if main is not None:
        write_container(part, part.path, main, resources)
        write_reachable(part, part.path, main)
        write_hooks(part, main)
        mounts.write(part.path, main)
    for index, container in enumerate(before):
        path = part.at("pre_start", index)
        write_container(part, path, container, (*path, "resources"))
        mounts.write(path, container)
    for container in beside:
        path = part.at("sidecars", _sidecar_name(part, container))
        write_container(part, path, container, (*path, "resources"))
        part.writer.note(path, container.get("restartPolicy"), Fidelity.NATIVE, PLACE)
        write_reachable(part, path, container)
        mounts.write(path, container)
    mounts.account()
    _metadata(part)
    write_pod_security(part)
    PlacementReader(part).write()
    _namespaces(part)
    _resolver(part)
    _rest(part)
    account_triggers(part)


def _containers(part: Part) -> tuple[Item | None, list[Item], list[Item]]:
    """The main container, those that run before it, and those beside it."""
    all_ = list(part.pod.get("containers") or ())
    early = list(part.pod.get("initContainers") or ())
    before = [one for one in early if text_of(one.get("restartPolicy")) != "Always"]
    wanted = (
        text_of(part.template.at("metadata", "annotations", DEFAULT_CONTAINER)),
        part.name,
        part.thing.name,
        names.object_name(part.name),
    )
    chosen = (one for name in wanted for one in all_ if text_of(one.get("name")) == name)
    main = next(chosen, all_[0] if all_ else None)
    beside = [one for one in early if one not in before]
    return main, before, beside + [one for one in all_ if one is not main]


def _sidecar_name(part: Part, container: Item) -> str:
    name = spec_name(text_of(container.get("name")))
    taken = part.writer.get(part.at("sidecars")) or {}
    return name if name not in taken else f"{name}-{len(taken)}"


# -- metadata ----------------------------------------------------------------------------------


def _metadata(part: Part) -> None:
    metadata = part.template.get("metadata") if part.template is not part.thing.item else None
    metadata = metadata or part.thing.item.get("metadata")
    if metadata is None:
        return
    ours = is_ours(part.thing)
    for key, item in (metadata.get("labels") or Item({})).items():
        if is_tools(key) or (ours and key in OWN_LABELS):
            part.note(item, OWN)
        elif not item.ways:
            part.put(("labels", key), item, "" if item.value is None else item.value)
    for key, item in (metadata.get("annotations") or Item({})).items():
        if key == DEFAULT_CONTAINER:
            part.note(item, "the main container stands at the service")
        elif not item.ways and not is_note(key):
            part.put(("annotations", key), item, "" if item.value is None else item.value)
        else:
            part.note(item, "a tool's own note")
    for key in ("name", "namespace", "creationTimestamp"):
        part.note(metadata.value.get(key), SEEN)


# -- what the containers share -----------------------------------------------------------------


def _namespaces(part: Part) -> None:
    pod = part.pod
    for key, field, said in (
        ("hostNetwork", "network_mode", "host"),
        ("hostPID", "pid", "host"),
        ("hostIPC", "ipc", "host"),
        ("hostUsers", "userns_mode", "host"),
    ):
        item = pod.get(key)
        if is_true(item):
            part.put((field,), item, said)
        elif item is not None and key == "hostIPC":
            part.put((field,), item, "private")
        elif item is not None and key != "hostUsers":
            part.note(item, DEFAULT)
        elif item is not None:
            reason = "a user namespace of its own is the platform's to give"
            part.writer.lose(item, reason, "see overrides.kubernetes", Consequence.SECURITY)
    shared = pod.get("shareProcessNamespace")
    if is_true(shared):
        reason = "a small init reaps, which is what sharing the processes is mostly for"
        part.put(("init",), shared, value=True, outcome=Fidelity.EMULATED, reason=reason)
    else:
        part.note(shared, DEFAULT)
    runtime = pod.get("runtimeClassName")
    part.put(("runtime",), runtime)
    host = pod.get("hostname")
    part.put(("hostname",), host)


def _resolver(part: Part) -> None:
    config = part.pod.get("dnsConfig")
    if config is not None:
        part.writer.put_each(part.at("dns"), config.get("nameservers"))
        part.writer.put_each(part.at("dns_search"), config.get("searches"))
        for option in config.get("options") or ():
            name, value = text_of(option.get("name")), option.get("value")
            said = name if value is None else f"{name}:{value.value}"
            index = part.writer.size(part.at("dns_opt"))
            part.put(("dns_opt", index), option, said)
    policy = part.pod.get("dnsPolicy")
    said = text_of(policy)
    fits = is_true(part.pod.get("hostNetwork")) and said == "ClusterFirstWithHostNet"
    if policy is not None and (said in ("ClusterFirst", "") or fits):
        part.note(policy, DEFAULT)
    else:
        part.override(("dnsPolicy",), policy)
    for alias in part.pod.get("hostAliases") or ():
        for host in alias.get("hostnames") or ():
            part.put(("extra_hosts", str(host.value)), host, text_of(alias.get("ip")))
            part.note(alias.get("ip"), "", "extra_hosts")


def _own_pause(part: Part) -> int:
    """The seconds that orch itself added to the grace of a service that others reach."""
    if not is_ours(part.thing):
        return 0
    return max(
        (number_of(one.at(*SLEEP)) or 0 for one in part.pod.get("containers") or ()), default=0
    )


def _rest(part: Part) -> None:
    pod = part.pod
    grace = pod.get("terminationGracePeriodSeconds")
    if number_of(grace) is not None:
        own = (number_of(grace) or 0) - _own_pause(part)
        part.put(("stop_grace_period",), grace, seconds(max(own, 0)))
    elif grace is None:
        part.writer.set(part.at("stop_grace_period"), seconds(GRACE), part.template)
    if _is_placed(part):
        for key in ("nodeName", "enableServiceLinks"):
            part.note(pod.get(key), SEEN)
    for key in (*_DEFAULTS, *_OVERRIDDEN):
        item = pod.get(key)
        if item is None or key == "dnsPolicy" or any(leaf.ways for leaf in item.leaves()):
            continue
        usual = item.value in ("", _DEFAULTS.get(key, ""))
        own = is_ours(part.thing) and key in ("serviceAccountName", "serviceAccount")
        if usual or own:
            part.note(item, OWN if own else DEFAULT)
        elif key in _OVERRIDDEN or isinstance(item.value, bool):
            part.override((key,), item)
    write_account(part)
    _empty(part, pod)


def _is_placed(part: Part) -> bool:
    """Whether it is a pod that runs already: the scheduler chose its node."""
    status = part.thing.at("status")
    return part.thing.kind == "Pod" and status is not None and bool(status.value)


def _empty(part: Part, item: Item) -> None:
    """Parts that hold nothing, as tools write them, change nothing."""
    for leaf in item.leaves():
        if not leaf.ways and leaf.value in (None, {}, [], ""):
            part.note(leaf, DEFAULT)
