"""The engine and image that other tests stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Engine

pytestmark = pytest.mark.docker


def test_the_tool_image_runs(dockerd: Engine, tool_image: str) -> None:
    client = dockerd.client()
    output = client.containers.run(
        tool_image, ["sh", "-c", "id -u && cat /www/index.html"], remove=True, network_mode="none"
    )
    assert output == b"0\nhello\n"
    client.close()
