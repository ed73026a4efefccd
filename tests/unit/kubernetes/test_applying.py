"""Who gives way where others own a field that is to be written."""

from __future__ import annotations

from typing import Any

import pytest

from orch.types import Instance
from orch_kubernetes import names
from orch_kubernetes.api.client import KubernetesClient
from orch_kubernetes.api.faults import Owner
from orch_kubernetes.api.kinds import Kind
from orch_kubernetes.change.applying import Applying

APPLIED = {"spec": {"replicas": 2, "paused": False}}
BY_HAND, AGAIN = 'conflict with "kubectl-edit" using apps/v1', 'conflict with "argocd"'


def gives_way(message: str, field: str, annotation: str = "", **how: Any) -> bool:
    body = {"metadata": {"name": "web", "annotations": {annotation: "1"} if annotation else {}}}
    applying = Applying(
        KubernetesClient({}),
        Kind("Deployment", "apps/v1", "deployments"),
        Instance("kubernetes", "default", "shop"),
        "service/web",
        3,
        body,
        **how,
    )
    return applying._gives_way(Owner({"message": message, "field": field}))


@pytest.mark.parametrize(
    ("message", "field", "how", "wanted"),
    [
        (BY_HAND, ".spec.replicas", {"applied": APPLIED}, True),
        (BY_HAND, ".spec.strategy", {"applied": APPLIED}, False),
        (BY_HAND, ".spec.replicas", {}, False),
        (BY_HAND, ".spec.strategy", {"adopting": True}, True),
        (AGAIN, ".spec.replicas", {"applied": APPLIED}, False),
        (AGAIN, ".spec.replicas", {"adopting": True}, False),
        (AGAIN, ".metadata.labels.orch/app", {}, True),
        (AGAIN, ".metadata.labels.team", {}, False),
        (AGAIN, ".spec.selector.orch/app", {}, False),
        ('conflict with "orch-restart" using apps/v1', ".spec.strategy", {}, True),
    ],
)
def test_a_field_is_taken_from_whoever_changed_it_by_hand_alone(
    message: str, field: str, how: dict[str, Any], wanted: bool
) -> None:
    assert gives_way(message, field, **how) is wanted


def test_a_size_is_the_autoscalers_where_one_decides_on_it() -> None:
    how = {"applied": APPLIED}
    assert not gives_way(BY_HAND, ".spec.replicas", names.AUTOSCALED, **how)
    assert gives_way(BY_HAND, ".spec.paused", names.AUTOSCALED, **how)
