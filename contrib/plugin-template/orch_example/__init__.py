"""The example backend: what it is, without importing what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.backend.contract import BackendFactory
from orch.backend.hooks import hook

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.backend.contract import Backend


def create(options: Mapping[str, str]) -> Backend:
    """Make the backend; only now is anything costly imported."""
    from orch_example.backend import ExampleBackend

    return ExampleBackend(options)


@hook
def orch_register_backend() -> BackendFactory:
    """Offer the backend. Name the modules of an SDK in `requires`, and its extra in `extra`."""
    return BackendFactory(
        "example", "Files of a folder.", create, options={"path": "the folder that holds them"}
    )
