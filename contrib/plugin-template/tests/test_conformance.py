"""The suite that every backend passes; what the platform can't do, its capabilities say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from orch_example.backend import ExampleBackend

from orch.testing.conformance import BackendConformance
from orch.testing.workloads import Scripted

if TYPE_CHECKING:
    from pathlib import Path


class TestExample(BackendConformance):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> ExampleBackend:
        return ExampleBackend({"path": str(tmp_path)})

    @pytest.fixture
    def workload(self) -> Scripted:
        """What the cases run: name a command or image that your platform can start."""
        return Scripted()
