"""Every field of the model on Swarm: it arrives, or the ledger says that it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.testing.mutation import FidelityMutation
from orch_swarm.backend import SwarmBackend

if TYPE_CHECKING:
    from collections.abc import Mapping


class TestSwarmFidelity(FidelityMutation):
    overrides: Mapping[str, Any] = {"swarm": {"isolation": ("process", "hyperv")}}

    def make_backend(self) -> SwarmBackend:
        return SwarmBackend({})
