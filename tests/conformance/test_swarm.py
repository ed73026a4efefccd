"""The conformance suite on a real swarm of one engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orch.testing.conformance import BackendConformance, Trial
from orch.testing.workloads import Containers
from orch_swarm.backend import SwarmBackend
from orch_swarm.names import real_name
from tests.integration.swarm.conftest import OPTIONS, swarm
from tests.integration.swarm.images import python_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


__all__ = ["python_image", "swarm"]


@pytest.mark.docker
@pytest.mark.root
class TestSwarm(BackendConformance):
    @pytest.fixture
    def backend(self, swarm: str, python_image: str) -> Iterator[SwarmBackend]:
        ways = {"scheduler_image": python_image, "socket": swarm.removeprefix("unix://")}
        made = SwarmBackend({"host": swarm, **OPTIONS, **ways})
        yield made
        made.close()

    @pytest.fixture
    def workload(self, tool_image: str) -> Containers:
        return Containers(tool_image)

    @pytest.fixture
    def unreachable(self, tmp_path: Path) -> SwarmBackend:
        return SwarmBackend({"host": f"unix://{tmp_path}/nothing.sock"})

    def tamper(self, trial: Trial) -> None:
        client = trial.backend.client  # type: ignore[attr-defined]
        row = client.one("services", real_name(trial.instance, "web"))
        container = row["Spec"]["TaskTemplate"]["ContainerSpec"]
        changed = [e for e in container["Env"] if not e.startswith("TEXT=")]
        container["Env"] = [*changed, "TEXT=tampered"]
        version = row["Version"]["Index"]
        client.post(f"/services/{row['ID']}/update", row["Spec"], version=version)
