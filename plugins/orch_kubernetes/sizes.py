"""How clusters round what a pod asks for; only those without nodes of one's own do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orch.backend.sizes import Offer, Size, SizeRule

if TYPE_CHECKING:
    from orch_kubernetes.flavours import Flavour

_MI, _GI = 1 << 20, 1 << 30
_USUAL = SizeRule(limits_count=True)
_FARGATE = replace(
    _USUAL,
    overhead=256 * _MI,
    offers=(
        Offer(250, _GI // 2, _GI, _GI // 2),
        Offer(250, 2 * _GI, 2 * _GI, _GI),
        Offer(500, _GI, 4 * _GI, _GI),
        Offer(1000, 2 * _GI, 8 * _GI, _GI),
        Offer(2000, 4 * _GI, 16 * _GI, _GI),
        Offer(4000, 8 * _GI, 30 * _GI, _GI),
        Offer(8000, 16 * _GI, 60 * _GI, 4 * _GI),
        Offer(16000, 32 * _GI, 120 * _GI, 8 * _GI),
    ),
)
"""From the EKS user guide, "Understand Fargate Pod configuration details"."""
_AUTOPILOT = replace(_USUAL, unsaid=Size(500, 2 * _GI), ratio=(_GI, 13 * _GI // 2))
"""From the GKE documentation, "Resource requests in Autopilot": the general-purpose class."""
_RULES = {"eks-fargate": _FARGATE, "gke-autopilot": _AUTOPILOT}


def size_rule(flavour: Flavour) -> SizeRule:
    """The rule of a flavour, with the least that it takes."""
    least = Size(flavour.minimum.get("cpus", 0), flavour.minimum.get("memory", 0))
    return replace(_RULES.get(flavour.name, _USUAL), minimum=least)
