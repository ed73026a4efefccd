"""By which marks a cluster's flavour is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.spec.application import Application
from orch.types import Consequence, Fidelity
from orch_kubernetes.compile.compile import compile_kubernetes
from orch_kubernetes.facts import Sighting, facts_of, sighted
from orch_kubernetes.flavours import FLAVOURS, recognise
from tests.unit.kubernetes.test_compile import IMAGE, body, compiled, pod, row, web

if TYPE_CHECKING:
    from collections.abc import Mapping

EKS = "v1.33.5-eks-3025e55"
COMPUTE = "eks.amazonaws.com/compute-type"
GROUP = {"eks.amazonaws.com/nodegroup": "blue"}
GKE = "v1.33.4-gke.1036000"
POOL = {"cloud.google.com/gke-nodepool": "default"}
CASES = [
    ("v1.33.4+k3s1", (), (), "k3s"),
    (EKS, (), (), "eks"),
    (EKS, (), (GROUP,), "eks"),
    (EKS, (), ({COMPUTE: "fargate"}, {COMPUTE: "fargate"}), "eks-fargate"),
    (EKS, (), ({COMPUTE: "auto"},), "eks"),
    (EKS, (), ({COMPUTE: "hybrid"},), "eks"),
    (EKS, (), ({COMPUTE: "fargate"}, GROUP), "eks"),
    (EKS, (), ({COMPUTE: "fargate"}, {COMPUTE: "auto"}), "eks"),
    (EKS, (), ({COMPUTE: "fargate"}, {}), "eks"),
    ("v1.33.5", (), ({"kubernetes.azure.com/cluster": "MC_shop"},), "aks"),
    (GKE, (), (POOL,), "gke"),
    (GKE, (), ({**POOL, "cloud.google.com/gke-provisioning": "standard"},), "gke"),
    (
        GKE,
        ("auto.gke.io",),
        ({**POOL, "cloud.google.com/gke-provisioning": "standard"},),
        "gke-autopilot",
    ),
    ("v1.33.6", (), ({"doks.digitalocean.com/node-pool": "one"},), "digitalocean"),
    ("v1.32.9+IKS", (), (), "ibm"),
    ("v1.33.1", (), ({"oci.oraclecloud.com/fault-domain": "FAULT-DOMAIN-1"},), "oke"),
    ("v1.31.4+vmware.1-fips", (), (), "tanzu"),
    ("v1.31.1", ("route.openshift.io", "config.openshift.io"), (), "openshift"),
    ("v1.36.0", (), ({"kubernetes.io/os": "linux"},), "plain"),
]


@pytest.mark.parametrize(("version", "groups", "nodes", "name"), CASES)
def test_a_cluster_is_recognised(
    version: str, groups: tuple[str, ...], nodes: tuple[Mapping[str, str], ...], name: str
) -> None:
    assert recognise(version, frozenset(groups), nodes).name == name


def test_every_flavour_has_a_case() -> None:
    assert {name for *_, name in CASES} == set(FLAVOURS)


ARN = "arn:aws:acm:eu-west-1:123:certificate/abc"
PAIR = {"cert": {"secret": "c"}, "key": {"secret": "k"}}


def routed(tls: dict[str, Any], **options: str) -> Any:
    route = {"host": "a.example.com", "service": "web", "port": 80, "tls": tls}
    secrets = {name: {"provider": "env", "key": name.upper()} for name in "ck"}
    document = {**web(ports=[{"target": 80}]), "routes": [route], "secrets": secrets}
    return compiled(document, **options)


@pytest.mark.parametrize(
    ("tls", "leaf"),
    [(PAIR, "cert.secret"), ({"acme": True}, "acme"), ({"certificate": "a"}, "certificate")],
)
@pytest.mark.parametrize("flavour", ["eks", "eks-fargate"])
def test_load_balancers_of_aws_take_no_certificate_from_a_secret(
    flavour: str, tls: dict[str, Any], leaf: str
) -> None:
    found = row(routed(tls, flavour=flavour), f"routes[0].tls.{leaf}")
    refused = Fidelity.REJECTED if leaf == "certificate" else Fidelity.LOST
    assert found.outcome is refused
    assert found.consequence is Consequence.SECURITY
    assert "ARN" in found.mend
    other = routed(tls, flavour=flavour, ingress_class="traefik")
    assert row(other, f"routes[0].tls.{leaf}").outcome in (Fidelity.NATIVE, Fidelity.EMULATED)


def test_load_balancers_of_aws_take_certificates_by_their_arn() -> None:
    manifest = routed({"certificate": ARN}, flavour="eks")
    assert row(manifest, "routes[0].tls.certificate").outcome is Fidelity.NATIVE
    annotations = body(manifest, "ingress/a.example.com")["metadata"]["annotations"]
    assert annotations["alb.ingress.kubernetes.io/certificate-arn"] == ARN


FILE = {"secrets": [{"source": "s", "target": "s", "gid": "1234"}]}
SECRET = {"secrets": {"s": {"provider": "env", "key": "S"}}}


@pytest.mark.parametrize(
    ("said", "refusing"),
    [
        ({"security_opt": ["seccomp=unconfined"]}, "openshift gke-autopilot tanzu"),
        ({"security_opt": ["seccomp=profiles/own.json"]}, "openshift"),
        ({"security_opt": ["seccomp=runtime/default"]}, ""),
        ({"security_opt": ["no-new-privileges:false"]}, "openshift tanzu"),
        ({"security_opt": ["no-new-privileges"]}, ""),
        ({"security_opt": ["label:type:spc_t"]}, "openshift gke-autopilot tanzu"),
        ({"security_opt": ["label:disable"]}, "openshift gke-autopilot tanzu"),
        ({"security_opt": ["label:type:container_t"]}, "openshift"),
        ({"security_opt": ["apparmor=unconfined"]}, "openshift gke-autopilot tanzu"),
        ({"security_opt": ["apparmor=own"]}, "openshift"),
        ({"privileged": True}, "openshift gke-autopilot tanzu eks-fargate"),
        ({"network_mode": "host"}, "openshift gke-autopilot tanzu eks-fargate"),
        ({"cap_add": ["NET_BIND_SERVICE"]}, ""),
        ({"cap_add": ["SYS_PTRACE"]}, "openshift tanzu"),
        ({"cap_add": ["SYS_ADMIN"]}, "openshift gke-autopilot tanzu"),
        ({"cap_add": ["CAP_NET_ADMIN"]}, "openshift gke-autopilot tanzu"),
        ({"sysctls": {"net.core.somaxconn": "1024"}}, "openshift gke-autopilot tanzu"),
        ({"user": "0"}, "tanzu"),
        ({"user": "1000"}, ""),
    ],
)
def test_what_the_security_of_a_flavour_refuses(said: dict[str, Any], refusing: str) -> None:
    for flavour in FLAVOURS:
        manifest = compiled(web(**said), flavour=flavour)
        rejected = any(entry.outcome is Fidelity.REJECTED for entry in manifest.ledger)
        assert rejected is (flavour in refusing.split()), flavour


def test_a_pod_has_the_least_rights_where_the_standard_asks_for_them() -> None:
    said = {"cap_drop": ["NET_RAW"], "user": "1000"}
    context = pod(compiled(web(**said), flavour="tanzu"))["containers"][0]["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "capabilities": {"drop": ["ALL", "NET_RAW"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for options in (
        {"flavour": "tanzu", "version": "1.25"},
        {"flavour": "tanzu", "pod_security": "privileged"},
    ):
        assert "securityContext" not in pod(compiled(web(), **options))["containers"][0]


def test_an_image_that_runs_as_root_is_told_of() -> None:
    def told(**said: Any) -> bool:
        manifest = compiled(web(**said), pod_security="restricted")
        return any(e.default and "not root" in e.reason for e in manifest.ledger)

    assert told()
    assert told(user="1", sidecars={"log": IMAGE})
    assert not told(user="1")
    assert not any(e.default for e in compiled(web(), flavour="openshift").ledger)


def test_the_group_of_files_is_the_projects_own() -> None:
    manifest = compiled({**web(**FILE), **SECRET}, flavour="openshift")
    assert "securityContext" not in pod(manifest)
    assert row(manifest, "services.web.secrets[0].gid").outcome is Fidelity.LOST
    assert pod(compiled({**web(**FILE), **SECRET}))["securityContext"] == {"fsGroup": 1234}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_further_groups_of_a_pod_are_admitted_everywhere(flavour: str) -> None:
    """OpenShift's restricted-v2 takes any: it holds users and the group of files alone."""
    manifest = compiled(web(group_add=["1234"]), flavour=flavour)
    assert pod(manifest)["securityContext"]["supplementalGroups"] == [1234]
    assert row(manifest, "services.web.group_add").outcome is Fidelity.NATIVE


def test_options_that_write_nothing_ask_for_nothing() -> None:
    manifest = compiled(web(security_opt=[]), flavour="openshift")
    context = pod(manifest)["containers"][0]["securityContext"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "securityContext" not in pod(compiled(web(security_opt=[])))["containers"][0]


@pytest.mark.parametrize(
    ("options", "groups", "enforced"),
    [
        ({"flavour": "gke"}, (), False),
        ({"flavour": "gke"}, ("cilium.io",), True),
        ({"flavour": "gke"}, ("crd.projectcalico.org",), True),
        ({"flavour": "gke-autopilot"}, (), True),
        ({"flavour": "gke", "enforces_policies": "yes"}, (), True),
        ({"flavour": "k3s", "enforces_policies": "no"}, ("cilium.io",), False),
        ({}, (), False),
    ],
)
def test_rules_between_pods_hold_where_something_enforces_them(
    options: dict[str, str], groups: tuple[str, ...], enforced: bool
) -> None:
    facts = sighted(options, Sighting("v1.33.1", frozenset(groups)))
    assert facts.enforces_policies is enforced


def test_rules_that_nothing_enforces_are_degraded() -> None:
    document = {**web(), "policies": [{"to": {"service": "web"}, "from": [{"service": "web"}]}]}
    for flavour, outcome in (("gke", Fidelity.DEGRADED), ("gke-autopilot", Fidelity.EMULATED)):
        found = row(compiled(document, flavour=flavour), "policies[0].to.service")
        assert found.outcome is outcome
        assert bool(found.mend) is (outcome is Fidelity.DEGRADED)


@pytest.mark.parametrize(("flavour", "at"), [("plain", {53}), ("openshift", {53, 5353})])
def test_names_are_asked_for_from_an_internal_network(flavour: str, at: set[int]) -> None:
    document = {**web(networks={"back": {}}), "networks": {"back": {"internal": True}}}
    rules = body(compiled(document, flavour=flavour), "egress/back")["spec"]["egress"]
    ports = {(one["protocol"], one["port"]) for rule in rules for one in rule.get("ports", ())}
    assert ports == {(kind, port) for kind in ("UDP", "TCP") for port in at}


@pytest.mark.parametrize(
    ("options", "seen", "told"),
    [
        ({}, None, "a controller"),
        ({"ingress_class": "traefik"}, None, ""),
        ({}, Sighting("v1.36.0", ingress_classes=("traefik",)), ""),
        ({"routes": "gateway"}, None, "a controller"),
        ({"routes": "gateway", "gateway": "infra/shared"}, None, ""),
        ({"flavour": "k3s"}, None, ""),
        ({"flavour": "eks"}, None, "load balancer controller of AWS"),
        ({"flavour": "eks"}, Sighting("v1.36.0", ingress_classes=("alb",)), ""),
        ({"flavour": "tanzu"}, None, "a controller"),
        ({"flavour": "digitalocean"}, None, "a controller"),
        ({"flavour": "aks"}, None, "application routing add-on"),
        ({"flavour": "aks", "routes": "ingress"}, None, "November 2026"),
        ({"flavour": "ibm"}, None, "ended in March 2026"),
        ({"flavour": "gke"}, None, "turned on"),
        ({"flavour": "gke-autopilot"}, None, ""),
        ({"flavour": "openshift"}, None, ""),
        ({"flavour": "openshift", "routes": "ingress"}, None, ""),
        ({"flavour": "openshift", "routes": "gateway"}, None, "a controller"),
    ],
)
def test_routes_need_somebody_who_serves_them(
    options: dict[str, str], seen: Sighting | None, told: str
) -> None:
    facts = facts_of(options) if seen is None else sighted(options, seen)
    document = {**web(ports=[{"target": 80}]), "routes": [{"service": "web", "port": 80}]}
    app = Application.model_validate({"name": "shop", **document})
    found = row(compile_kubernetes(app, facts), "routes[0].service")
    assert found.outcome is (Fidelity.DEGRADED if told else Fidelity.NATIVE)
    assert told in found.reason
    assert bool(found.mend) is bool(told)


def gpu(*constraints: str) -> dict[str, Any]:
    devices = {"reservations": {"devices": [{"count": 1}]}}
    placement = {"placement": {"constraints": list(constraints)}}
    return web(deploy={"resources": devices, **placement})


def test_a_gpu_is_had_where_there_are_some() -> None:
    count = "services.web.deploy.resources.reservations.devices[0].count"
    fargate = row(compiled(gpu(), flavour="eks-fargate"), count)
    assert fargate.outcome is Fidelity.REJECTED
    autopilot = row(compiled(gpu(), flavour="gke-autopilot"), count)
    assert "gke-accelerator" in autopilot.mend
    kind = "node.labels.cloud.google.com/gke-accelerator == nvidia-l4"
    for options in ({"flavour": "gke-autopilot"}, {}):
        assert "device plugin" in row(compiled(gpu(kind), **options), count).reason


def test_fargate_tells_of_its_profiles() -> None:
    assert any("profile" in note for note in compiled(web(), flavour="eks-fargate").notes)
    assert not any("profile" in note for note in compiled(web(), flavour="eks").notes)


@pytest.mark.parametrize(
    ("volume", "options", "told"),
    [
        ({}, {"flavour": "eks"}, True),
        ({"driver": "gp3"}, {"flavour": "eks"}, False),
        ({}, {"flavour": "eks", "storage_class": "gp3"}, False),
        ({"external": True}, {"flavour": "eks"}, False),
        ({}, {}, False),
    ],
)
def test_a_claim_on_eks_waits_for_a_class(
    volume: dict[str, Any], options: dict[str, str], *, told: bool
) -> None:
    manifest = compiled({**web(), "volumes": {"data": volume}}, **options)
    found = [entry for entry in manifest.ledger if entry.default and "1.30" in entry.reason]
    assert bool(found) is told


def test_the_class_of_efs_is_made_by_somebody() -> None:
    document = {**web(), "volumes": {"data": {"access": "shared"}}}
    found = row(compiled(document, flavour="eks"), "volumes.data.access")
    assert found.outcome is Fidelity.DEGRADED
    assert "efs-sc" in found.reason
    own = compiled(document, flavour="eks", shared_storage_class="own")
    assert row(own, "volumes.data.access").outcome is Fidelity.NATIVE
