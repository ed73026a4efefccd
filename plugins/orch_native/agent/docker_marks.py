"""The labels by which what is ours on an engine is told from what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from orch_native.agent.pod import Pod

AGENT = "orch.agent"
OWNER = "orch.owner"


def owner_labels(agent: str, pod: Pod) -> dict[str, str]:
    """What a volume or network made for an application bears."""
    return {
        OWNER: agent,
        "orch.namespace": pod.allocation.namespace,
        "orch.app": pod.allocation.app,
    }


def labels_of(found: Mapping[str, Any] | None) -> Mapping[str, str]:
    """The labels of a volume or network; none when it is not there."""
    return (found.get("Labels") or {}) if found else {}
