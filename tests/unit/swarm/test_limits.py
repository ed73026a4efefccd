"""What the engine would refuse half-way is refused before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orch.compile.compile import compile_app
from orch.spec.application import Application
from orch.types import Fidelity
from orch_swarm.backend import SwarmBackend

if TYPE_CHECKING:
    from orch.types import Manifest

ENGINES = 1000 * 1024
"""The engine takes configs of less than so many bytes."""


def compiled(config: dict[str, str]) -> Manifest:
    app = {"name": "shop", "services": {"web": {"image": "a:1"}}, "configs": {"big": config}}
    return compile_app(SwarmBackend({}), Application.model_validate(app))


@pytest.mark.parametrize("field", ["content", "file"])
@pytest.mark.parametrize("size", [ENGINES - 1, ENGINES])
def test_a_config_that_the_engine_would_refuse_is_rejected(field: str, size: int) -> None:
    config = {"content": "x" * size, **({"file": "big"} if field == "file" else {})}
    rows = [entry for entry in compiled(config).ledger if entry.path == ("configs", "big", field)]
    fits = size < ENGINES
    assert [entry.outcome for entry in rows] == [Fidelity.NATIVE if fits else Fidelity.REJECTED]
