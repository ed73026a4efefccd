"""Two deployments on clusters held against each other, through the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.journey.conftest import call_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.journey.conftest import Orch
    from tests.kubernetes_api.server import Api

SPEC = """
apiVersion: orch/v1
name: shop
services:
  web:
    image: busybox:${TAG:-1}
    command: [sleep, "1000"]
    deploy: {replicas: 2}
"""


@pytest.fixture
def orch(kubernetes_api: Api, tmp_path: Path) -> Orch:
    caller = call_in(tmp_path, f"unix://{tmp_path}/no-engine.sock")
    options = {"kubeconfig": str(kubernetes_api.kubeconfig(tmp_path))}
    targets = {
        "prod": {"backend": "kubernetes", "namespace": "prod", "options": options},
        "lab": {"backend": "kubernetes", "options": options},
    }
    (caller.folder / "targets.yaml").write_text(json.dumps(targets))
    (caller.folder / "orch.yaml").write_text(SPEC)
    return caller


def changes(shape: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {row["path"]: (row.get("old"), row.get("new")) for row in shape["changes"]}


def test_two_namespaces_are_compared(orch: Orch) -> None:
    orch("deploy", "--target", "prod")
    orch("deploy", "--target", "lab", "--namespace", "staging", "--set", "TAG=2")
    seen = orch(
        "compare",
        "--live",
        "kubernetes:prod",
        "lab:staging",
        "shop",
        "--exit-code",
        "--json",
        code=3,
    ).data
    assert changes(seen) == {"services.web.image": ("busybox:1", "busybox:2")}
    for side, namespace in (("left", "prod"), ("right", "staging")):
        assert seen[side]["backend"] == "kubernetes"
        assert seen[side]["namespace"] == namespace
        assert seen[side]["status"]["healthy"]
        assert seen[side]["drifted"] == []
    same = orch("compare", "--live", "prod", "kubernetes:prod", "shop", "--exit-code")
    assert "Both were deployed from the same spec." in same.stdout


def test_what_kubectl_made_is_compared_with_what_orch_deployed(
    orch: Orch, kubernetes_api: Api
) -> None:
    orch("deploy", "--target", "prod")
    labels = {"app": "shop"}
    container = {"name": "web", "image": "busybox:3", "args": ["sleep", "1000"]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": "web", "labels": labels}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    with kubernetes_api.platform.lock:
        kubernetes_api.platform.make_namespace("byhand")
        kubernetes_api.platform.create(("apps", "deployments", "byhand", "web"), body, "kubectl")
    seen = orch("compare", "--live", "prod", "lab:byhand", "shop", "--json", code=None).data
    assert changes(seen)["services.web.image"] == ("busybox:1", "busybox:3")
