"""The node half of the native backend: it runs allocations, and tells what it sees of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orch_native.agent.local import LocalAgent as LocalAgent

__all__ = ["LocalAgent"]


def __getattr__(name: str) -> Any:
    # The proxy's process imports this package too, and needs none of what the agent does.
    if name == "LocalAgent":
        from orch_native.agent.local import LocalAgent

        return LocalAgent
    raise AttributeError(name)
