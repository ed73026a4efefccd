"""Every field of the model on Swarm: it arrives, or the ledger says that it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orch.testing.mutation import FidelityMutation
from orch_swarm.backend import SwarmBackend

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch.testing.variations import Pair


class TestSwarmFidelity(FidelityMutation):
    overrides: Mapping[str, Any] = {"swarm": {"isolation": ("process", "hyperv")}}

    def make_backend(self) -> SwarmBackend:
        return SwarmBackend({})

    def pairs(self) -> Iterator[Pair]:
        """Every field, those of jobs in one that runs by the clock too."""
        for pair in super().pairs():
            yield pair
            if pair.path[0] == "jobs" and "schedule" not in pair.path:
                yield replace(pair, before=_by_clock(pair.before), after=_by_clock(pair.after))


def _by_clock(document: dict[str, Any]) -> dict[str, Any]:
    jobs = {name: {**job, "schedule": "0 3 * * *"} for name, job in document["jobs"].items()}
    return {**document, "jobs": jobs}
