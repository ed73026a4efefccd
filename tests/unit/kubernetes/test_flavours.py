"""By which marks a cluster's flavour is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orch_kubernetes.flavours import FLAVOURS, recognise

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
