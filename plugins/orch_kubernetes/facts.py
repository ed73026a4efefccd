"""What compile has to know of a cluster: its version, its flavour, and how routes are made."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orch.errors import UsageFault
from orch.frozen import EMPTY
from orch_kubernetes.flavours import (
    ENDED,
    FLAVOURS,
    GATEWAY,
    INGRESS,
    NO_CONTROLLER,
    ROUTE,
    SECURITIES,
    Flavour,
    held_to,
    recognise,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_kubernetes.classes import StorageClass

Version = tuple[int, int]
OLDEST, NEWEST = (1, 20), (1, 37)
_BALANCERS = frozenset({"metallb.io", "purelb.io"})
"""Groups of the API that a load balancer of one's own brings."""
_ENFORCERS = frozenset(
    {"cilium.io", "crd.projectcalico.org", "projectcalico.org", "crd.antrea.io", "k8s.ovn.org"}
)
"""Groups of the API that a network plugin brings which enforces rules between pods."""
_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_MINIMAL: Mapping[str, Version] = {
    "cron_v1": (1, 21),
    "job_ttl": (1, 21),
    "endpoint_slices_v1": (1, 21),
    "disruption_v1": (1, 21),
    "autoscaling_v2": (1, 23),
    "daemonset_surge": (1, 22),
    "job_suspend": (1, 22),
    "ready_seconds": (1, 23),
    "grpc_probe": (1, 24),
    "mixed_protocols": (1, 24),
    "time_zone": (1, 25),
    "pod_os": (1, 25),
    "claim_retention": (1, 27),
    "sidecars": (1, 29),
    "apparmor_field": (1, 30),
    "sleep_hook": (1, 30),
    "user_namespaces": (1, 33),
}
"""The first minor version that has a feature on by default."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """A cluster as compile sees it; without one, what the flavour brings.

    `gateway` is a Gateway that is there, as NAME or NAMESPACE/NAME; empty makes one.
    `routes_because` says why routes are made so, and `routes_need` what has to be set up before
    they lead anywhere. `load_balancer` says that Services of that type get an address, and
    `enforces_policies` that rules between pods hold. `classes` are the storage classes that are
    there, None where nobody knows.
    """

    version: Version = (1, 36)
    flavour: Flavour = FLAVOURS["plain"]
    routes: str = INGRESS
    routes_because: str = ""
    routes_need: str = ""
    load_balancer: bool = False
    enforces_policies: bool = False
    ingress_class: str = ""
    gateway_class: str = ""
    gateway: str = ""
    issuer: str = "letsencrypt"
    storage_class: str = ""
    shared_storage_class: str = ""
    classes: tuple[StorageClass, ...] | None = None

    def has(self, feature: str) -> bool:
        """Whether this version has a feature of the table above."""
        return self.version >= _MINIMAL[feature]

    @property
    def tls_secrets(self) -> bool:
        """Whether what serves routes takes certificates from Secrets; no class is the usual one."""
        own = self.ingress_class in ("", self.flavour.ingress_class)
        return self.flavour.tls_secrets or self.routes != INGRESS or not own

    @property
    def routes_told(self) -> str:
        """Why routes are worse than they could be, empty when they are not."""
        ended = ENDED.get(self.ingress_class, "") if self.routes == INGRESS else ""
        return ended or self.routes_need

    @property
    def said_version(self) -> str:
        """The version as people write it."""
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def cron_api(self) -> str:
        """The API version of CronJob."""
        return "batch/v1" if self.has("cron_v1") else "batch/v1beta1"

    @property
    def disruption_api(self) -> str:
        """The API version of PodDisruptionBudget."""
        return "policy/v1" if self.has("disruption_v1") else "policy/v1beta1"

    @property
    def autoscaling_api(self) -> str:
        """The API version of HorizontalPodAutoscaler."""
        return "autoscaling/v2" if self.has("autoscaling_v2") else "autoscaling/v2beta2"


def facts_of(options: Mapping[str, str]) -> ClusterFacts:
    """The facts that a target's options give. Raises UsageFault for what is not known."""
    flavour = FLAVOURS.get(options.get("flavour") or "plain")
    if flavour is None:
        raise UsageFault(
            f"there is no flavour {options['flavour']!r}",
            place="the target's option flavour",
            mend=f"choose one of {', '.join(FLAVOURS)}",
        )
    routes = options.get("routes") or flavour.routes
    if routes not in (GATEWAY, INGRESS, ROUTE):
        raise UsageFault(
            f"routes can't be made by {routes!r}",
            place="the target's option routes",
            mend="choose gateway, ingress or route",
        )
    version = _version(options.get("version", ""))
    return ClusterFacts(
        version=version,
        flavour=held_to(flavour, _security(options, flavour, version)),
        routes=routes,
        routes_because="the target says so" if options.get("routes") else "as is usual there",
        routes_need=_need(options, flavour, routes),
        load_balancer=yes_or_no(options, "load_balancer", usual=flavour.load_balancer),
        enforces_policies=yes_or_no(options, "enforces_policies", usual=flavour.enforces_policies),
        ingress_class=options.get("ingress_class") or flavour.ingress_class,
        gateway_class=options.get("gateway_class") or flavour.gateway_class,
        gateway=options.get("gateway", ""),
        issuer=options.get("issuer") or "letsencrypt",
        storage_class=options.get("storage_class") or flavour.storage_class,
        shared_storage_class=options.get("shared_storage_class") or flavour.shared_storage_class,
    )


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a cluster tells of itself: its version, groups of its API, labels of each node.

    `ingress_default` says that one class of Ingresses is its default. `standing` tells how routes
    of the application were made before, each with the class that it names, if any.
    """

    version: str
    groups: frozenset[str] = frozenset()
    nodes: tuple[Mapping[str, str], ...] = ()
    ingress_classes: tuple[str, ...] = ()
    ingress_default: bool = False
    gateway_classes: tuple[str, ...] = ()
    standing: Mapping[str, str | None] = EMPTY


def sighted(options: Mapping[str, str], seen: Sighting) -> ClusterFacts:
    """The facts of a cluster that was asked; what the target's options say wins.

    Ways in that stand keep their kind and their class, whatever a cluster has got since: another
    controller answers at another address.
    """
    flavour = options.get("flavour") or recognise(seen.version, seen.groups, seen.nodes).name
    said = facts_of({**options, "flavour": flavour, "version": _asked(options, seen)})
    routes, because = said.routes, said.routes_because
    if not options.get("routes"):
        routes, because = _staying(seen, *_routes(seen, said))
    ingress = options.get("ingress_class")
    if not ingress:
        usual = _chosen(seen.ingress_classes, said.ingress_class)
        held = seen.standing.get(INGRESS)
        ingress = held if held is not None else "" if seen.ingress_default else usual
    balances = not seen.groups.isdisjoint(_BALANCERS)
    enforces = not seen.groups.isdisjoint(_ENFORCERS)
    usual = _chosen(seen.gateway_classes, said.gateway_class)
    gateway = options.get("gateway_class") or seen.standing.get(GATEWAY) or usual
    return replace(
        said,
        routes=routes,
        routes_because=because,
        routes_need=_need(options, said.flavour, routes, seen),
        load_balancer=said.load_balancer or (balances and not options.get("load_balancer")),
        enforces_policies=said.enforces_policies
        or (enforces and not options.get("enforces_policies")),
        ingress_class=ingress,
        gateway_class=gateway,
    )


def yes_or_no(options: Mapping[str, str], key: str, *, usual: bool = False) -> bool:
    """An option that is a switch. Raises UsageFault for any other word."""
    said = options.get(key) or ("yes" if usual else "no")
    if said not in ("yes", "no"):
        raise UsageFault(
            f"{key} is {said!r}", place=f"the target's option {key}", mend="write yes or no"
        )
    return said == "yes"


def _security(options: Mapping[str, str], flavour: Flavour, version: Version) -> str:
    """The pod security standard that is enforced: the target's, else what the flavour does."""
    since = flavour.restricted_from
    usual = "restricted" if since is not None and version >= since else "privileged"
    said = options.get("pod_security") or usual
    if said not in SECURITIES:
        raise UsageFault(
            f"there is no pod security standard {said!r}",
            place="the target's option pod_security",
            mend=f"choose one of {', '.join(SECURITIES)}",
        )
    return said


def _asked(options: Mapping[str, str], seen: Sighting) -> str:
    return options.get("version") or seen.version


def _routes(seen: Sighting, said: ClusterFacts) -> tuple[str, str]:
    """How routes are made, and why.

    OpenShift's Routes where they are; a Gateway where a class of it is there; else Ingress.
    """
    if "route.openshift.io" in seen.groups:
        return ROUTE, "the cluster has Routes"
    if "gateway.networking.k8s.io" not in seen.groups:
        return INGRESS, "the cluster has no Gateways"
    if seen.gateway_classes:
        return GATEWAY, f"the cluster has Gateways of the class {seen.gateway_classes[0]}"
    if said.gateway:
        return GATEWAY, "the target names a Gateway"
    return INGRESS, "the cluster has no class of Gateways that was accepted"


def _staying(seen: Sighting, routes: str, because: str) -> tuple[str, str]:
    """How routes stand already, where that is not how they would be made today."""
    if not seen.standing or routes in seen.standing:
        return routes, because
    stays = next(iter(seen.standing))
    return stays, f"so they stand; --option routes={routes} moves them, as {because}"


def _need(
    options: Mapping[str, str], flavour: Flavour, routes: str, seen: Sighting | None = None
) -> str:
    """What is missing for routes, as far as no class is named by the target, and none was seen."""
    keys = ("ingress_class",) if routes == INGRESS else ("gateway", "gateway_class")
    there = routes == ROUTE or any(options.get(key) for key in keys)
    if seen is not None:
        there = there or bool(seen.ingress_classes if routes == INGRESS else seen.gateway_classes)
    if routes == flavour.routes:
        return "" if there else flavour.routes_need
    comes_along = routes == INGRESS and flavour.ingress_class
    return "" if there or comes_along else NO_CONTROLLER


def _chosen(there: tuple[str, ...], usual: str) -> str:
    """The flavour's usual class when it is there, else the first one."""
    return usual if usual in there or not there else there[0]


def _version(text: str) -> Version:
    if not text:
        return ClusterFacts().version
    match = _VERSION.match(text)
    found = (int(match[1]), int(match[2])) if match else (0, 0)
    if not OLDEST <= found <= NEWEST:
        known = "1.20 to 1.37"
        raise UsageFault(
            f"the version {text!r} is not one that is compiled for",
            place="the target's option version",
            mend=f"say one from {known}",
        )
    return found
