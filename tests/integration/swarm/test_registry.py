"""Private images from a real registry: logged in, and pinned by digest until the next deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.types import EventKind, Verdict
from orch_swarm.backend import SwarmBackend
from orch_swarm.names import real_name
from tests.integration.registries import PASSWORD, USER, registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.testing.conformance import Trial
    from tests.integration.registries import Registry

__all__ = ["registry"]
pytestmark = [pytest.mark.docker, pytest.mark.root]
SOON = {"update_config": {"progress_deadline": "8s", "monitor": "300ms"}}


@pytest.fixture
def backend(swarm: str) -> Iterator[SwarmBackend]:
    """Digests are asked for here."""
    made = SwarmBackend({"host": swarm, "endpoint_mode": "dnsrr"})
    yield made
    made.close()


def document(trial: Trial, registry: Registry, *, login: bool = True) -> dict[str, Any]:
    image = f"{registry.host}/team/tool:1"
    web = {**trial.web_service("one", **SOON), "image": image}
    if not login:
        return {"services": {"web": web}}
    return {
        "services": {"web": web},
        "registries": {registry.host: {"username": USER, "password": {"secret": "registry"}}},
        "secrets": {"registry": {"provider": "env", "key": "REGISTRY"}},
    }


def running(trial: Trial, backend: SwarmBackend) -> dict[str, Any]:
    """The container spec of the service, and of nothing but it."""
    row = backend.client.one("services", real_name(trial.instance, "web"))
    assert row is not None
    assert PASSWORD not in str(row)
    spec: dict[str, Any] = row["Spec"]["TaskTemplate"]["ContainerSpec"]
    return spec


def test_the_login_reaches_the_nodes_and_the_digest_stays(
    registry: Registry, trial: Trial, backend: SwarmBackend, tool_image: str
) -> None:
    trial.secrets.values["registry"] = PASSWORD
    first = registry.push(tool_image, "1", Env=["MADE=first"])
    trial.deployed(document(trial, registry))
    image = f"{registry.host}/team/tool:1"
    assert running(trial, backend)["Image"] == f"{image}@{first}"
    assert trial.pending(document(trial, registry)) == []
    look = ["sh", "-c", 'test "$MADE" = first']
    assert backend.exec(trial.instance, "web", "", look, tty=False) == 0

    second = registry.push(tool_image, "1", Env=["MADE=second"])
    assert second != first
    outcome = trial.run(trial.session().restart_plan(["web"]))
    assert outcome.verdict is Verdict.DONE, outcome
    assert backend.exec(trial.instance, "web", "", look, tty=False) == 0, "a tag that moved"
    assert not [name for name in _names(backend) if "registry" in name and PASSWORD in name]


def test_a_registry_that_lets_nobody_in_is_told(
    registry: Registry, trial: Trial, backend: SwarmBackend, tool_image: str
) -> None:
    registry.push(tool_image, "1")
    outcome = trial.deploy(document(trial, registry, login=False))
    assert (outcome.verdict, outcome.exit_code) == (Verdict.FAILED, 6)
    warned = [event.message for event in trial.events if event.kind is EventKind.WARNING]
    assert any("not pinned by digest" in text for text in warned), warned
    assert f"{registry.host}/team/tool:1" in outcome.failed["service/web"]

    trial.secrets.values["registry"] = "canary-wrong"
    outcome = trial.deploy(document(trial, registry))
    assert outcome.verdict is Verdict.FAILED
    assert "canary-wrong" not in f"{outcome} {trial.told()}"
    trial.secrets.values["registry"] = PASSWORD
    trial.deployed(document(trial, registry))
    assert "@sha256:" in running(trial, backend)["Image"]


def _names(backend: SwarmBackend) -> list[str]:
    return [
        row["Spec"]["Name"]
        for kind in ("configs", "secrets")
        for row in backend.client.listed(kind)
    ]
