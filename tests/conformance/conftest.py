"""The engine and image of the integration tests, for the backends that run containers."""

from tests.integration.conftest import dockerd, tool_archive, tool_image

__all__ = ["dockerd", "tool_archive", "tool_image"]
