"""Whether values have the types that the API asks for; a cluster would refuse the object else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.types import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.load.item import Item
    from orch_kubernetes.reader.objects import Thing

_MAPPINGS = frozenset(
    [
        "metadata",
        "spec",
        "template",
        "jobTemplate",
        "securityContext",
        "resources",
        "lifecycle",
        "valueFrom",
        "http",
        "httpGet",
        "tcpSocket",
        "exec",
        "grpc",
        "affinity",
        "strategy",
        "updateStrategy",
        "rollingUpdate",
        "emptyDir",
        "hostPath",
        "configMap",
        "secret",
        "persistentVolumeClaim",
        "scaleTargetRef",
        "behavior",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "dnsConfig",
        "capabilities",
        "secretKeyRef",
        "configMapKeyRef",
        "matchLabels",
    ]
)
_TEXTS_OF = frozenset(
    ("labels", "annotations", "matchLabels", "nodeSelector", "data", "stringData", "binaryData")
)
_LISTS = frozenset(
    [
        "containers",
        "initContainers",
        "env",
        "envFrom",
        "ports",
        "volumes",
        "volumeMounts",
        "command",
        "args",
        "rules",
        "paths",
        "hostAliases",
        "tolerations",
        "imagePullSecrets",
        "volumeClaimTemplates",
        "items",
        "matchExpressions",
        "topologySpreadConstraints",
        "parentRefs",
        "backendRefs",
        "hostnames",
    ]
)
_TEXTS = frozenset(
    [
        "name",
        "image",
        "namespace",
        "schedule",
        "timeZone",
        "claimName",
        "mountPath",
        "subPath",
        "storageClassName",
        "imagePullPolicy",
        "restartPolicy",
        "workingDir",
        "serviceAccountName",
        "concurrencyPolicy",
    ]
)
_NUMBERS = frozenset(
    [
        "replicas",
        "containerPort",
        "hostPort",
        "nodePort",
        "minReplicas",
        "maxReplicas",
        "completions",
        "parallelism",
        "backoffLimit",
        "periodSeconds",
        "timeoutSeconds",
        "initialDelaySeconds",
        "failureThreshold",
        "successThreshold",
        "terminationGracePeriodSeconds",
        "minReadySeconds",
        "progressDeadlineSeconds",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
        "startingDeadlineSeconds",
        "runAsUser",
        "runAsGroup",
        "fsGroup",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
    ]
)
_FLAGS = frozenset(
    [
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "readOnly",
        "privileged",
        "tty",
        "stdin",
        "suspend",
        "readOnlyRootFilesystem",
        "allowPrivilegeEscalation",
        "runAsNonRoot",
        "shareProcessNamespace",
        "immutable",
    ]
)
_OF_MAPPINGS = (_LISTS - {"command", "args", "hostnames"}) | {"from", "to"}
QUOTE = "put it in quotes"
_VALUED = frozenset(("env", "httpHeaders", "sysctls", "tolerations"))
"""Lists whose members have a `value`, which is text."""


def faults(thing: Thing) -> Iterator[Diagnostic]:
    """Everything of a wrong type in an object of a known kind."""
    if not thing.name:
        mend = "add metadata: {name: …}"
        place = thing.item.place
        yield Diagnostic(f"this {thing.kind} has no name", (thing.kind,), place, mend)
    for key, member in thing.item.items():
        yield from _walk(key, member, "")


def emptiness(thing: Thing, pod: Item | None) -> Iterator[Diagnostic]:
    """A workload that runs nothing is a piece of one, meant to be laid over another."""
    containers = pod.get("containers") if pod is not None else None
    if containers is None or not containers.value:
        fault = f"this {thing.kind} has no containers"
        mend = "give the whole object; a patch is applied with: kubectl kustomize"
        yield Diagnostic(fault, (thing.title,), thing.item.place, mend)


def _walk(key: str, item: Item, above: str) -> Iterator[Diagnostic]:
    value = item.value
    if value is None:
        return
    wrong = _wrong(key, value, above)
    if wrong is not None:
        yield _told(item, *wrong)
        return
    if isinstance(value, dict):
        for name, member in item.items():
            if key in _TEXTS_OF and above != "source":
                yield from _text(member)
            else:
                yield from _walk(name, member, key)
    else:
        for member in item:
            yield from _members(key, member)


def _members(key: str, member: Item) -> Iterator[Diagnostic]:
    if key in ("command", "args"):
        yield from _text(member)
    elif isinstance(member.value, dict):
        for name, below in member.items():
            yield from _walk(name, below, key)
    elif key in _OF_MAPPINGS:
        yield _told(member, "a mapping", "write keys and values")


def _text(item: Item) -> Iterator[Diagnostic]:
    if item.value is not None and not isinstance(item.value, str):
        yield _told(item, "text", QUOTE)


def _wrong(key: str, value: object, above: str) -> tuple[str, str] | None:
    """What is meant instead, and how to write it; None when the type is right."""
    if key in _MAPPINGS and not isinstance(value, dict):
        return "a mapping", f"write {key}: with keys below it"
    if key in _LISTS and not isinstance(value, list):
        return "a list", f"write {key}: with `- ` before each member"
    is_text = key in _TEXTS or (key == "value" and above in _VALUED)
    if is_text and not isinstance(value, str):
        return "text", QUOTE
    if key in _FLAGS and not isinstance(value, bool):
        return "true or false", "write one of them, without quotes"
    return _wrong_number(value) if key in _NUMBERS else None


def _wrong_number(value: object) -> tuple[str, str] | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return "a whole number", "write it without quotes, such as 3"
    return ("a number of 0 or more", "write one such as 3") if value < 0 else None


def _told(item: Item, meant: str, mend: str) -> Diagnostic:
    """What stands there is named by its kind alone: it may be secret."""
    kinds = {dict: "a mapping", list: "a list", bool: "true or false", str: "text"}
    found = "nothing" if item.value is None else kinds.get(type(item.value), "a number")
    return Diagnostic(f"{found} stands here, and {meant} is meant", item.path, item.place, mend)
