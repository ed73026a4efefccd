"""The flavours of Kubernetes, as data: how each is known, what it brings, lacks and refuses.

What a cluster really has is found out from it; this is what holds when none is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orch.frozen import EMPTY, FrozenDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GATEWAY, INGRESS, ROUTE = "gateway", "ingress", "route"
NO_CONTROLLER = "a controller for routes has to be there: none comes with the cluster"
ENDED: Mapping[str, str] = FrozenDict(
    {
        "webapprouting.kubernetes.azure.com": "its nginx is supported until November 2026",
        "public-iks-k8s-nginx": "it is built of ingress-nginx, which ended in March 2026",
    }
)
"""Classes of Ingresses that are to be left, and why."""
_LEAST = frozenset({"NET_BIND_SERVICE"})
"""What the restricted pod security standard lets a container add."""


@dataclass(frozen=True, slots=True)
class Marks:
    """By what a cluster is recognised: its version's suffix, its API groups, labels of nodes.

    A label is KEY, or KEY=VALUE where its value tells; `every_node` says that one node without
    it makes the cluster another one.
    """

    version: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    node_labels: tuple[str, ...] = ()
    every_node: bool = False


@dataclass(frozen=True, slots=True)
class Flavour:
    """One flavour.

    `storage_class` and `shared_storage_class` are empty where the cluster's default has to do,
    or where none is shared. `refused` maps what its policy refuses to the reason, by words of
    this table: privileged, host_network, host_port, host_path, host_pid, host_ipc, daemonset,
    user, root, device, capability, escalation, seccomp, apparmor, selinux, unconfined, sysctl,
    block_storage; `allowed` are capabilities that it takes all the same, and `mend` is what to
    do about a refusal. Where escalation is refused, every container asks for least rights.
    `restricted_from` is the version from which it enforces the restricted pod security
    standard. `routes_need` is what has to be set up before routes lead anywhere, `storage_need`
    the same for volumes of one writer and `shared_need` for shared ones; `note` is told with
    every manifest; `device_label` is the label by which nodes with devices are asked for.
    `minimum` are the least requests that it
    takes, in thousandths of a cpu and in bytes. `deregistration` are the seconds that its load
    balancers take to forget a pod where they send to pods themselves, 0 where nodes are between.
    """

    name: str
    title: str
    marks: Marks = Marks()
    routes: str = INGRESS
    ingress_class: str = ""
    gateway_class: str = ""
    load_balancer: bool = True
    load_balancer_annotations: Mapping[str, str] = EMPTY
    deregistration: int = 0
    ingress_annotations: Mapping[str, str] = EMPTY
    certificate_annotation: str = ""
    certificate_map: str = ""
    tls_secrets: bool = True
    storage_class: str = ""
    shared_storage_class: str = ""
    enforces_policies: bool = False
    dns_ports: tuple[int, ...] = (53,)
    refused: Mapping[str, str] = EMPTY
    allowed: frozenset[str] = _LEAST
    mend: str = "choose another cluster"
    restricted_from: tuple[int, int] | None = None
    minimum: Mapping[str, int] = EMPTY
    routes_need: str = ""
    storage_need: str = ""
    shared_need: str = ""
    device_label: str = ""
    note: str = ""


_DEREGISTRATION = 15
"""Calls of the cloud's API and the spreading of their outcome take some ten seconds."""
_AWS = "service.beta.kubernetes.io/aws-load-balancer-"
_EKS = Flavour(
    "eks",
    "Amazon EKS",
    Marks(version=("-eks-",), node_labels=("eks.amazonaws.com/nodegroup",)),
    ingress_class="alb",
    deregistration=_DEREGISTRATION,
    load_balancer_annotations=FrozenDict(
        {
            f"{_AWS}type": "external",
            f"{_AWS}nlb-target-type": "ip",
            f"{_AWS}scheme": "internet-facing",
        }
    ),
    ingress_annotations=FrozenDict(
        {
            "alb.ingress.kubernetes.io/scheme": "internet-facing",
            "alb.ingress.kubernetes.io/target-type": "ip",
        }
    ),
    certificate_annotation="alb.ingress.kubernetes.io/certificate-arn",
    tls_secrets=False,
    shared_storage_class="efs-sc",
    routes_need="the load balancer controller of AWS has to be there, with its class alb",
    storage_need="EKS has no default storage class since 1.30: the claim waits until there is one",
    shared_need="the class efs-sc is no part of EKS: it has to be made for a file system of EFS",
)
_FARGATE = "Fargate gives each pod a machine of its own, and none of its host"
_GKE = Flavour(
    "gke",
    "Google GKE",
    Marks(version=("-gke.",), node_labels=("cloud.google.com/gke-nodepool",)),
    routes=GATEWAY,
    ingress_class="gce",
    gateway_class="gke-l7-global-external-managed",
    deregistration=_DEREGISTRATION,
    certificate_map="networking.gke.io/certmap",
    storage_class="standard-rwo",
    shared_storage_class="standard-rwx",
    routes_need="the Gateway API has to be turned on for the cluster",
)
_DEFAULT_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
        "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
"""What the baseline pod security standard lets a container add."""
_BASELINE = (
    "privileged", "host_network", "host_port", "host_path", "host_pid", "host_ipc", "device",
    "capability", "unconfined", "sysctl",
)  # fmt: skip
_RESTRICTED = (*_BASELINE, "escalation", "root")
_SECURITIES = {"privileged": (), "baseline": _BASELINE, "restricted": _RESTRICTED}
_AUTOPILOT = "Autopilot admits nothing that reaches the node"
_SCC = "the restricted-v2 security context constraint admits it not"

FLAVOURS: Mapping[str, Flavour] = FrozenDict(
    {
        flavour.name: flavour
        for flavour in (
            Flavour("plain", "Kubernetes", load_balancer=False, routes_need=NO_CONTROLLER),
            Flavour(
                "k3s",
                "K3s",
                Marks(version=("+k3s",), groups=("helm.cattle.io", "k3s.cattle.io")),
                ingress_class="traefik",
                storage_class="local-path",
                enforces_policies=True,
            ),
            _EKS,
            replace(
                _EKS,
                name="eks-fargate",
                title="Amazon EKS on Fargate",
                marks=Marks(
                    version=("-eks-",),
                    node_labels=("eks.amazonaws.com/compute-type=fargate",),
                    every_node=True,
                ),
                refused=FrozenDict(
                    dict.fromkeys(
                        (
                            "privileged", "host_network", "host_port", "host_path", "host_pid",
                            "host_ipc", "daemonset", "device",
                        ),
                        _FARGATE,
                    )
                    | {"block_storage": "Fargate mounts EFS alone", "gpu": "Fargate has none"}
                ),
                storage_need="",
                note="on Fargate pods run only where a profile selects their namespace and labels",
            ),
            Flavour(
                "aks",
                "Azure AKS",
                Marks(groups=("aks.azure.com",), node_labels=("kubernetes.azure.com/cluster",)),
                routes=GATEWAY,
                routes_need="the application routing add-on has to be on, with its Gateway API",
                ingress_class="webapprouting.kubernetes.azure.com",
                gateway_class="approuting-istio",
                storage_class="managed-csi",
                shared_storage_class="azurefile-csi",
            ),
            _GKE,
            replace(
                _GKE,
                name="gke-autopilot",
                title="Google GKE Autopilot",
                marks=Marks(
                    groups=("auto.gke.io",), node_labels=("cloud.google.com/gke-provisioning",)
                ),
                refused=FrozenDict(
                    dict.fromkeys(_BASELINE, _AUTOPILOT)
                ),
                allowed=_DEFAULT_CAPABILITIES | {"SYS_PTRACE"},
                minimum=FrozenDict({"cpus": 50, "memory": 52 << 20}),
                enforces_policies=True,
                routes_need="",
                device_label="cloud.google.com/gke-accelerator",
            ),
            Flavour(
                "digitalocean",
                "DigitalOcean Kubernetes",
                Marks(node_labels=("doks.digitalocean.com/node-pool",)),
                routes_need=NO_CONTROLLER,
                storage_class="do-block-storage",
                load_balancer_annotations=FrozenDict(
                    {"service.beta.kubernetes.io/do-loadbalancer-protocol": "tcp"}
                ),
                enforces_policies=True,
            ),
            Flavour(
                "ibm",
                "IBM Cloud Kubernetes Service",
                Marks(version=("+IKS",), node_labels=("ibm-cloud.kubernetes.io/worker-id",)),
                ingress_class="public-iks-k8s-nginx",
                load_balancer_annotations=FrozenDict(
                    {"service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type": "public"}
                ),
                storage_class="ibmc-vpc-block-general-purpose",
                shared_storage_class="ibmc-vpc-file-dp2",
                enforces_policies=True,
            ),
            Flavour(
                "oke",
                "Oracle OKE",
                Marks(node_labels=("oci.oraclecloud.com/fault-domain",)),
                ingress_class="native-ic",
                routes_need="the native ingress controller has to be there, with its class",
                load_balancer_annotations=FrozenDict(
                    {"oci.oraclecloud.com/load-balancer-type": "lb"}
                ),
                storage_class="oci-bv",
            ),
            Flavour(
                "tanzu",
                "VMware Tanzu",
                Marks(version=("+vmware",), groups=("run.tanzu.vmware.com",)),
                restricted_from=(1, 26),
                routes_need=NO_CONTROLLER,
                enforces_policies=True,
            ),
            Flavour(
                "openshift",
                "Red Hat OpenShift",
                Marks(groups=("route.openshift.io", "config.openshift.io")),
                routes=ROUTE,
                ingress_class="openshift-default",
                enforces_policies=True,
                dns_ports=(53, 5353),
                refused=FrozenDict(
                    dict.fromkeys((*_BASELINE, "escalation", "seccomp", "selinux"), _SCC)
                    | {
                        "user": "the project's own range of users is used, and no other admitted",
                        "apparmor": "its nodes guard containers by SELinux",
                    }
                ),
                mend="bind its service account to a constraint that admits it, and override it",
            ),
        )
    }
)  # fmt: skip


SECURITIES = tuple(_SECURITIES)


def held_to(flavour: Flavour, standard: str) -> Flavour:
    """A flavour where namespaces enforce a pod security standard, one of SECURITIES."""
    words = _SECURITIES[standard]
    if not words:
        return flavour
    reason = f"the {standard} pod security standard admits it not"
    allowed = _LEAST if standard == "restricted" else _DEFAULT_CAPABILITIES
    return replace(
        flavour,
        refused=FrozenDict(dict.fromkeys(words, reason) | dict(flavour.refused)),
        allowed=allowed & flavour.allowed if "capability" in flavour.refused else allowed,
        mend=f"{flavour.mend}, or label its namespace for another standard and set pod_security",
    )


def recognise(
    version: str, groups: frozenset[str] = frozenset(), nodes: Sequence[Mapping[str, str]] = ()
) -> Flavour:
    """The flavour of a cluster by what it tells of itself; `plain` when no mark fits.

    `nodes` are the labels of each node. Of several that fit the one with a mark of its own nodes
    or groups wins over the version.
    """
    best, most = FLAVOURS["plain"], 0
    for flavour in FLAVOURS.values():
        marks = flavour.marks
        bearing = any if not marks.every_node else all
        weight = int(any(part in version for part in marks.version))
        weight += 2 * sum(group in groups for group in marks.groups)
        weight += 2 * sum(
            bool(nodes) and bearing(_bears(node, label) for node in nodes)
            for label in marks.node_labels
        )
        if weight > most:
            best, most = flavour, weight
    return best


def _bears(labels: Mapping[str, str], mark: str) -> bool:
    key, _, value = mark.partition("=")
    return key in labels and value in ("", labels[key])
