"""The conformance suite on the native scheduler: with plain processes, and with containers."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orch.testing.conformance import BackendConformance, Trial
from orch.testing.workloads import Containers, Processes
from orch_native import daemon
from orch_native.backend import NativeBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.conftest import Engine


@contextmanager
def server(**options: str) -> Iterator[Path]:
    """A server on a state of its own, ended with all that it runs."""
    # The path of a socket may not be long, as pytest's own folders are.
    state = Path(tempfile.mkdtemp(prefix="orch-"))
    backend = NativeBackend({"state": str(state), **options})
    try:
        backend.client.about()
        yield state
    finally:
        backend.client.stop(tasks=True)
        backend.close()
        daemon.await_end(state)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="module")
def process_state() -> Iterator[Path]:
    with server(docker_host="unix:///nowhere.sock") as state:
        yield state


@pytest.fixture(scope="module")
def docker_state(dockerd: Engine) -> Iterator[Path]:
    with server(docker_host=dockerd.host) as state:
        yield state


class NativeCases(BackendConformance):
    @pytest.fixture
    def backend(self, state: Path) -> Iterator[NativeBackend]:
        made = NativeBackend({"state": str(state)})
        yield made
        made.close()

    @pytest.fixture
    def unreachable(self, tmp_path: Path) -> Iterator[NativeBackend]:
        made = NativeBackend({"socket": str(tmp_path / "nothing.sock")})
        yield made
        made.close()

    def tamper(self, trial: Trial) -> None:
        client = trial.backend.client  # type: ignore[attr-defined]
        there = client.resource(trial.instance, "service", "web")
        body = {**there.body, "environment": {**there.body["environment"], "TEXT": "tampered"}}
        client.put_resource(
            trial.instance, "service", "web", body, revision=there.revision, as_applied=False
        )


class TestProcesses(NativeCases):
    @pytest.fixture
    def state(self, process_state: Path) -> Path:
        return process_state

    @pytest.fixture
    def workload(self) -> Processes:
        return Processes()


@pytest.mark.docker
@pytest.mark.root
class TestContainers(NativeCases):
    @pytest.fixture
    def state(self, docker_state: Path) -> Path:
        return docker_state

    @pytest.fixture
    def workload(self, tool_image: str) -> Containers:
        return Containers(tool_image)
