"""A replica that others reach serves on for a moment after it was told to end."""

from __future__ import annotations

from typing import Any

import pytest

from orch.compile.compile import compile_app
from orch.spec.application import Application
from orch.types import Fidelity, Manifest, parse_path
from orch_kubernetes.backend import KubernetesBackend
from orch_kubernetes.flavours import FLAVOURS
from orch_kubernetes.reader.reading import read_live

PORT = {"ports": [{"name": "http", "target": 80}]}
PUBLISHED = {"ports": [{"name": "http", "target": 80, "published": 8080}]}
ROUTES = {"routes": [{"host": "shop.example.com", "service": "web", "port": "http"}]}
FAR = ("eks", "eks-fargate", "gke", "gke-autopilot")
"""Flavours whose load balancers send to pods themselves."""


def compiled(service: dict[str, Any], more: dict[str, Any] | None = None, **options: str) -> Any:
    web = {"image": "local/web:1", "stop_grace_period": "12s", **service}
    document = {"name": "shop", "services": {"web": web}, **(more or {})}
    return compile_app(KubernetesBackend(options), Application.model_validate(document))


def stop_of(manifest: Manifest) -> tuple[int, Any]:
    """The grace of the pods of web, and what is done before they are told."""
    (body,) = [r.body for r in manifest.resources if r.id == "service/web"]
    pod = body["spec"]["template"]["spec"]
    return pod["terminationGracePeriodSeconds"], pod["containers"][0].get("lifecycle", {})


def pause(seconds: int) -> tuple[int, Any]:
    return 12 + seconds, {"preStop": {"sleep": {"seconds": seconds}}}


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    ("service", "more", "outside"),
    [(PORT, {}, False), (PUBLISHED, {}, True), (PORT, ROUTES, True)],
    ids=["inside", "published", "routed"],
)
def test_the_pause_comes_on_top_of_the_grace(
    service: dict[str, Any], more: dict[str, Any], flavour: str, *, outside: bool
) -> None:
    manifest = compiled(service, more, flavour=flavour)
    assert stop_of(manifest) == pause(15 if outside and flavour in FAR else 5)
    (row,) = [e for e in manifest.ledger if e.path == parse_path("services.web.stop_grace_period")]
    assert row.outcome is Fidelity.EMULATED
    assert len(row.outputs) == 2


def test_a_port_of_a_sidecar_is_reached_too() -> None:
    manifest = compiled({"sidecars": {"proxy": {"image": "local/proxy:1", **PORT}}})
    assert stop_of(manifest) == pause(5)


@pytest.mark.parametrize(
    "service",
    [{}, {**PORT, "stop_grace_period": "0s"}],
    ids=["nobody reaches it", "it is to be gone at once"],
)
def test_there_is_no_pause(service: dict[str, Any]) -> None:
    grace, hooks = stop_of(compiled(service))
    assert (grace, hooks) == (0 if "stop_grace_period" in service else 12, {})


def test_a_hook_of_ones_own_is_left_alone() -> None:
    grace, hooks = stop_of(compiled({**PORT, "pre_stop": [{"command": ["drain"]}]}))
    assert (grace, hooks) == (12, {"preStop": {"exec": {"command": ["drain"]}}})


def test_before_1_30_the_loss_is_told_with_its_mend() -> None:
    manifest = compiled(PORT, version="1.29")
    assert stop_of(manifest) == (12, {})
    (row,) = manifest.ledger.notable
    assert (row.outcome, "pre_stop" in row.mend) == (Fidelity.DEGRADED, True)
    unsaid = compile_app(
        KubernetesBackend({"version": "1.29"}),
        Application.model_validate(
            {"name": "shop", "services": {"web": {"image": "local/web:1", **PORT}}}
        ),
    )
    (row,) = unsaid.ledger.notable
    assert (row.default, row.outcome) == (True, Fidelity.DEGRADED)
    assert compiled(PORT, version="1.30").ledger.notable[0].outcome is Fidelity.EMULATED


@pytest.mark.parametrize("flavour", ["plain", "eks"])
def test_our_own_pause_is_not_read_as_a_hook(flavour: str) -> None:
    manifest = compiled(PUBLISHED, flavour=flavour)
    document = read_live([dict(r.body) for r in manifest.resources], "shop").document
    web = document["services"]["web"]
    assert "pre_stop" not in web
    assert web["stop_grace_period"] == "12s"
