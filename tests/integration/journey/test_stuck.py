"""A volume that cannot be removed yet: every command says so until it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Engine
    from tests.integration.journey.conftest import Orch

pytestmark = [pytest.mark.docker, pytest.mark.slow]

SPEC = """
apiVersion: orch/v1
name: vol
services:
  a:
    image: local/tool:1
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    deploy: {update_config: {monitor: 0s}}
    volumes: [{type: volume, source: d, target: /d}]
volumes: {d: {}}
"""
DOWN = ("down", "--volumes", "--yes")


def test_a_volume_that_a_stranger_holds(orch_docker: Orch, dockerd: Engine) -> None:
    orch = orch_docker
    (orch.folder / "orch.yaml").write_text(SPEC)
    orch("deploy")
    client = dockerd.client()
    stranger = client.containers.create(
        "local/tool:1", ["true"], name="stranger", network_mode="none", volumes=["default_vol_d:/x"]
    )
    for _ in range(2):
        ended = orch(*DOWN, "--timeout", "2s", code=7)
        assert "delete volume/d" in ended.stderr
        assert "volume/d (" in ended.stderr
        assert "it is in use by stranger" in ended.stderr
    assert "being_removed: true" in orch("plan").stdout

    orch("deploy")
    stranger.remove()
    assert "Nothing to do" in orch("plan").stdout
    orch("down", "--yes")
    assert client.volumes.list(filters={"name": "default_vol_d"}), "it is wanted again, and kept"

    orch(*DOWN)
    assert not client.volumes.list(filters={"name": "default_vol_d"})
    client.close()
