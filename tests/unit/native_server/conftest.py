from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.native_server.harness import Plane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    made = Plane(tmp_path)
    yield made
    made.close()
