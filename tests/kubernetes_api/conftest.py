"""A running double of the Kubernetes API, for the tests that ask for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kubernetes_api.schemas import SCHEMAS
from tests.kubernetes_api.server import Api

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def kubernetes_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    if not SCHEMAS.is_dir():
        pytest.skip(f"the schemas are not at {SCHEMAS}; ORCH_SCHEMAS names their place")
    # The double has no nodes that would have to hear of anything.
    monkeypatch.setattr("orch_kubernetes.watch.rollout.SPREAD", 0.0)
    api = Api()
    api.start()
    yield api
    api.stop()
