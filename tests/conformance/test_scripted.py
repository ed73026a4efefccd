"""The conformance suite on the scripted backend: what core does, without any platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orch.errors import Unreachable
from orch.testing.conformance import BackendConformance, Trial
from orch.testing.platform import Script
from orch.testing.scripted import ScriptedBackend
from orch.testing.workloads import Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator


class TestScripted(BackendConformance):
    @pytest.fixture
    def backend(self) -> Iterator[ScriptedBackend]:
        made = ScriptedBackend()
        yield made
        made.close()

    @pytest.fixture
    def workload(self) -> Scripted:
        return Scripted()

    @pytest.fixture
    def unreachable(self) -> ScriptedBackend:
        silent = Script()
        fault = Unreachable("nothing answers", mend="start it")
        for call in ("observe", "store.names"):
            silent.fail(call, fault, times=1000)
        return ScriptedBackend(script=silent)

    def tamper(self, trial: Trial) -> None:
        platform = trial.backend.platform  # type: ignore[attr-defined]
        environment = {"TEXT": "tampered", "READY": "yes"}
        platform.tamper(trial.instance, "service/web", environment=environment)
