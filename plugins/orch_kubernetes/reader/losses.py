"""What of Kubernetes has no counterpart in the spec: why, what follows, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.frozen import FrozenDict
from orch.load.account import Loss
from orch.types import Consequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.types import FieldPath

_C = Consequence
_APART = "apply it with kubectl, apart from the application"
_UNKNOWN = Loss("the spec has nothing that holds it", None, "see `orch explain` for what there is")
CUSTOM = Loss("it is no kind of Kubernetes' own", _C.AVAILABILITY, _APART)
_RIGHTS = Loss(
    "rights over the cluster's API belong to the cluster",
    _C.AVAILABILITY,
    f"{_APART}, and name the account under overrides.kubernetes",
)
_CLUSTER = Loss("it belongs to the cluster, and to no application", _C.AVAILABILITY, _APART)
_TOOL = Loss("it is a note for a tool of Kubernetes", _C.COSMETIC)
_RUNTIME = Loss(
    "the value is known once the pod runs, and the spec's variables are fixed",
    _C.AVAILABILITY,
    "let the program ask for it, or write the value",
)
_DISK = Loss(
    "storage is asked for by a claim, and not by naming a disk",
    _C.DATA,
    "use a PersistentVolumeClaim",
)

_KINDS: Mapping[str, Loss] = FrozenDict(
    {
        "Role": _RIGHTS,
        "RoleBinding": _RIGHTS,
        "ClusterRole": _RIGHTS,
        "ClusterRoleBinding": _RIGHTS,
        "ServiceAccount": Loss(
            "an application has one account, which orch makes", _C.COSMETIC, "see its RoleBindings"
        ),
        "Namespace": Loss("the target says in which namespace it runs", _C.COSMETIC),
        "PersistentVolume": Loss("disks belong to the cluster", _C.DATA, _APART),
        "StorageClass": _CLUSTER,
        "IngressClass": _CLUSTER,
        "GatewayClass": _CLUSTER,
        "Gateway": Loss("ways in are made by what the target has", _C.NETWORK, "see its settings"),
        "LimitRange": _CLUSTER,
        "ResourceQuota": _CLUSTER,
        "PodSecurityPolicy": Loss("it belongs to the cluster", _C.SECURITY, _APART),
        "MutatingWebhookConfiguration": _CLUSTER,
        "ValidatingWebhookConfiguration": _CLUSTER,
        "CustomResourceDefinition": _CLUSTER,
        "APIService": _CLUSTER,
        "Endpoints": Loss(
            "addresses outside the application have no name in it",
            _C.NETWORK,
            "give the address as a variable, or in extra_hosts",
        ),
        "Service": Loss(
            "it selects no pod that was read", _C.NETWORK, "read the file of its workload too"
        ),
        "HorizontalPodAutoscaler": Loss(
            "what it scales was not read", _C.AVAILABILITY, "read the file of its workload too"
        ),
        "PodDisruptionBudget": Loss(
            "it guards no pod that was read", _C.AVAILABILITY, "read the file of its workload too"
        ),
        "NetworkPolicy": Loss(
            "it selects no pod that was read", _C.SECURITY, "read the file of its workload too"
        ),
        **dict.fromkeys(
            ("Ingress", "HTTPRoute", "Route"),
            Loss("the Service behind it was not read", _C.NETWORK, "read its file too"),
        ),
        "ConfigMap": Loss("nothing that was read uses it", _C.COSMETIC, "remove it"),
        "Secret": Loss("nothing that was read uses it", _C.COSMETIC, "remove it"),
        "PriorityClass": Loss("nothing that was read uses it", _C.COSMETIC, "remove it"),
        "ImageStream": Loss("an image is named where it is used", _C.COSMETIC),
        "BuildConfig": Loss(
            "a build inside the cluster has no counterpart",
            _C.AVAILABILITY,
            "write `build` beside the image, for `orch build`",
        ),
    }
)
_KINDS_KEYS: Mapping[tuple[str, str], Loss] = FrozenDict(
    {
        ("Service", "sessionAffinity"): Loss(
            "requests go to any replica", _C.AVAILABILITY, "keep sessions outside the replicas"
        ),
        ("Service", "selector"): Loss(
            "it selects no pod that was read", _C.NETWORK, "read the file of its workload too"
        ),
        ("Service", "publishNotReadyAddresses"): Loss(
            "a replica gets requests once it is ready", _C.AVAILABILITY
        ),
        ("PersistentVolumeClaim", "volumeMode"): Loss("a volume is mounted as files", _C.DATA),
        ("Service", "externalIPs"): Loss("the platform gives out addresses", _C.NETWORK),
        ("Service", "loadBalancerIP"): Loss("the platform gives out addresses", _C.NETWORK),
        ("Service", "clusterIP"): Loss("the platform gives out addresses", _C.NETWORK),
        ("Service", "loadBalancerSourceRanges"): Loss(
            "a published port is open to all", _C.SECURITY, "guard it with a firewall"
        ),
        ("Service", "externalName"): Loss(
            "a name for something outside has no counterpart", _C.NETWORK, "give it as a variable"
        ),
        ("NetworkPolicy", "egress"): Loss(
            "policies say who is reached, and not where one may go",
            _C.SECURITY,
            "join networks that are internal",
        ),
        ("HorizontalPodAutoscaler", "policies"): Loss(
            "the pace of scaling is the platform's", _C.AVAILABILITY
        ),
        ("StatefulSet", "serviceName"): Loss("replicas are named by themselves", _C.COSMETIC),
        ("Ingress", "ingressClassName"): Loss(
            "the target says by what ways in are made", _C.COSMETIC, "see its settings"
        ),
        ("Ingress", "annotations"): Loss(
            "it is meant for one kind of proxy",
            _C.NETWORK,
            "if it is needed, write it under overrides.kubernetes.ingress of its service",
        ),
        ("HTTPRoute", "filters"): Loss(
            "requests are passed on as they come", _C.NETWORK, "let the service do it"
        ),
        ("HTTPRoute", "matches"): Loss("a route is found by host and path", _C.NETWORK),
    }
)
_KEYS: Mapping[str, Loss] = FrozenDict(
    {
        "annotations": _TOOL,
        "labels": Loss("labels stand where something runs", _C.COSMETIC),
        "fieldRef": _RUNTIME,
        "resourceFieldRef": _RUNTIME,
        "downwardAPI": _RUNTIME,
        "serviceAccountToken": Loss(
            "pods have no token for the cluster's API", _C.AVAILABILITY, "see overrides.kubernetes"
        ),
        **dict.fromkeys(
            ("configMap", "secret"),
            Loss("its object was not read", _C.AVAILABILITY, "read the file of it too"),
        ),
        "configMapKeyRef": Loss(
            "its ConfigMap was not read", _C.AVAILABILITY, "read the file of it too"
        ),
        "configMapRef": Loss(
            "its ConfigMap was not read", _C.AVAILABILITY, "read the file of it too"
        ),
        "secretRef": Loss(
            "its Secret was not read, so its keys are not known",
            _C.AVAILABILITY,
            "read the file of it too",
        ),
        "serviceAccountName": Loss(
            "an application has one account, without rights",
            _C.AVAILABILITY,
            "name the account under overrides.kubernetes",
        ),
        "serviceAccount": Loss("it says the same as serviceAccountName", _C.COSMETIC),
        "nodeName": Loss("the platform chooses the node", _C.AVAILABILITY, "write a constraint"),
        "stdinOnce": Loss("the standard input stays open", _C.COSMETIC),
        "terminationMessagePath": Loss("a message is read from the log", _C.COSMETIC),
        "terminationMessagePolicy": Loss("a message is read from the log", _C.COSMETIC),
        "volumeDevices": Loss("a volume is mounted as files", _C.DATA),
        "procMount": Loss("/proc is mounted as usual", _C.SECURITY),
        "subPathExpr": Loss("a folder's name is fixed", _C.DATA, "write subPath"),
        "terminationGracePeriodSeconds": Loss("a failed probe ends it as any stop", _C.COSMETIC),
        "resizePolicy": Loss("a change of resources is an update", _C.COSMETIC),
        "lifecycle": Loss("hooks run commands", _C.AVAILABILITY, "write exec with a command"),
        "revisionHistoryLimit": Loss("releases are kept by orch", _C.COSMETIC),
        "resourceClaims": Loss("devices are asked for by count", _C.AVAILABILITY),
        "ephemeralContainers": Loss("it served to look into a pod", _C.COSMETIC),
        **dict.fromkeys(
            [
                "awsElasticBlockStore",
                "azureDisk",
                "azureFile",
                "cephfs",
                "cinder",
                "csi",
                "ephemeral",
                "fc",
                "flexVolume",
                "flocker",
                "gcePersistentDisk",
                "gitRepo",
                "glusterfs",
                "image",
                "iscsi",
                "nfs",
                "photonPersistentDisk",
                "portworxVolume",
                "quobyte",
                "rbd",
                "scaleIO",
                "storageos",
                "vsphereVolume",
            ],
            _DISK,
        ),
        "matchFields": Loss("nodes are chosen by their labels", _C.AVAILABILITY),
        "affinity": Loss("the spec has no words for this rule", _C.AVAILABILITY),
        "manualSelector": Loss("orch chooses the labels that pods are found by", _C.COSMETIC),
    }
)
_FREE = frozenset(
    ("annotations", "binaryData", "data", "labels", "matchLabels", "nodeSelector", "stringData")
)
_AS_A_WHOLE = frozenset(
    (
        "HTTPRoute",
        "HorizontalPodAutoscaler",
        "Ingress",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Route",
        "Service",
    )
)
"""Kinds whose reason is why nothing of an object was carried, and not why a key was not."""
_IMAGE_SOURCES = frozenset(("containers", "initContainers"))


def loss_of(path: FieldPath) -> Loss:
    """The loss of a leaf: that of the nearest key above that has one, else of its object's kind."""
    kind = str(path[0]).partition("/")[0] if path else ""
    keys = _fields([key for key in path[1:] if isinstance(key, str)])
    for key in reversed(keys):
        found = _KINDS_KEYS.get((kind, key)) or _KEYS.get(key)
        if key == "image" and _IMAGE_SOURCES.intersection(keys):
            continue
        if found is not None:
            return found
    return _UNKNOWN if keys and kind in _AS_A_WHOLE else _KINDS.get(kind, _UNKNOWN)


def _fields(keys: list[str]) -> list[str]:
    """The keys that the API gives; those of labels and contents are the author's."""
    chosen = next((index for index, key in enumerate(keys) if key in _FREE), len(keys))
    return keys[: chosen + 1]
