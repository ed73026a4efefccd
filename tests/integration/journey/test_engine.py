"""An engine that is out of sight: what runs is no longer called healthy, and comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.journey.conftest import Orch

pytestmark = [pytest.mark.docker, pytest.mark.slow]

SPEC = """
apiVersion: orch/v1
name: seen
services:
  web:
    image: local/tool:1
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    deploy: {update_config: {monitor: 0s}}
"""


def test_what_cannot_be_seen_is_not_called_healthy(orch_docker: Orch) -> None:
    orch = orch_docker
    (orch.folder / "orch.yaml").write_text(SPEC)
    orch("deploy")
    engine = orch.environment.pop("DOCKER_HOST")

    orch("server", "stop")
    assert orch("status", "--json").data["healthy"], "the engine is remembered"

    orch("server", "stop")
    away = orch("status", "--json", env={"DOCKER_HOST": "unix:///nowhere.sock"}, code=None)
    (web,) = away.data["services"]
    assert not away.data["healthy"]
    assert "what runs can't be seen: no Docker engine answers at unix:///nowhere" in web["message"]

    orch("server", "stop")
    orch.environment["DOCKER_HOST"] = engine
    orch("wait", "--timeout", "30s")
    assert orch("status", "--json").data["healthy"]
    assert orch("ps", "--json").data["replicas"][0]["restarts"] == 0, "it ran all the time"
    orch("down", "--yes")
