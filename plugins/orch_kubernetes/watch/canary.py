"""Replicas that go first: a Deployment makes only them, and is paused until they are healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_kubernetes import names
from orch_kubernetes.api.kinds import part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_kubernetes.api.client import KubernetesClient

Row = dict[str, Any]
MANAGER = "orch-canary"
_ROLLING = ("spec", "strategy", "rollingUpdate")


def first_of(body: Mapping[str, Any]) -> int:
    """How many go first, 0 where all go at once."""
    said = part(body, ("metadata", "annotations")).get(names.CANARY) or 0
    size = part(body, ("spec",)).get("replicas")
    wanted = 1 if size is None else int(size)
    return int(said) if body.get("kind") == "Deployment" and 0 < int(said) < wanted else 0


def strategy_for(body: Mapping[str, Any]) -> Row:
    """By which only those are made that go first, beside all that run."""
    rolling = {"maxSurge": first_of(body), "maxUnavailable": 0}
    return {"type": "RollingUpdate", "rollingUpdate": rolling}


def hold(client: KubernetesClient, path: str) -> None:
    """Stop a rollout where it is."""
    client.merge(path, {"spec": {"paused": True}}, MANAGER)


def promote(client: KubernetesClient, path: str, row: Row, wanted: Mapping[str, Any]) -> None:
    """Let a rollout go on, at the pace that is wanted."""
    strategy = part(wanted, ("spec", "strategy"))
    paused = bool(row["spec"].get("paused")) and "paused" not in part(wanted, ("spec",))
    if paused or (strategy and part(row, _ROLLING) != part(wanted, _ROLLING)):
        change = {"strategy": strategy, **({"paused": None} if paused else {})}
        client.merge(path, {"spec": change}, MANAGER)


def let_go(client: KubernetesClient, path: str, row: Row, sent: Row) -> None:
    """A rollout that was held and is overtaken by another write is held no longer."""
    spec = row.get("spec") or {}
    if spec.get("paused") and "paused" not in sent["spec"]:
        client.merge(path, {"spec": {"paused": None}}, MANAGER)
