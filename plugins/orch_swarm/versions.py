"""Versions of configs and secrets: which the swarm holds, and which may go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orch_swarm import names
from orch_swarm.faults import InUse
from orch_swarm.sights import STORE, Swarm, age_of, labels_of, name_of, unpack

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from orch.types import Instance
    from orch_swarm.client import SwarmClient

Row = dict[str, Any]


def collect_configs(client: SwarmClient, instance: Instance) -> list[str]:
    """Remove earlier versions of configs that no service names; their real names.

    They can be made again from any release, as their content is no secret.
    """
    swarm = Swarm(client)
    rows = _versions(swarm, "config", instance)
    newest: dict[str, tuple[int, str]] = {}
    for row in rows:
        id_ = labels_of(row)[names.ID]
        newest[id_] = max(newest.get(id_, (-1, "")), age_of(row))
    old = [row for row in rows if age_of(row) < newest[labels_of(row)[names.ID]]]
    return _remove(swarm, "config", old)


def held_secrets(client: SwarmClient, instance: Instance) -> dict[str, list[str]]:
    """The versions of each secret that the swarm holds, by the secret's name.

    One that also logs in at a registry counts as not held: it has to be sent to be used so.
    """
    found: dict[str, list[str]] = {}
    for row in _versions(Swarm(client), "secret", instance):
        if names.LOGIN not in labels_of(row):
            found.setdefault(_secret_of(row), []).append(_version_of(row))
    return found


def forget_secrets(
    client: SwarmClient, instance: Instance, keep: Mapping[str, Collection[str]]
) -> None:
    """Remove every version but those to keep, and those that a service names."""
    swarm = Swarm(client)
    rows = _versions(swarm, "secret", instance)
    _remove(swarm, "secret", [r for r in rows if _version_of(r) not in keep.get(_secret_of(r), ())])


def _versions(swarm: Swarm, kind: str, instance: Instance) -> list[Row]:
    """Everything of a kind that a spec of the instance asked for."""
    return [
        row
        for row in swarm.rows(f"{kind}s")
        if names.owner_of(labels_of(row), instance.target) == instance
        and labels_of(row).get(names.ID, "").startswith(f"{kind}/")
        and STORE not in labels_of(row)
    ]


def _secret_of(row: Row) -> str:
    return labels_of(row)[names.ID].partition("/")[2]


def _version_of(row: Row) -> str:
    return str((unpack(labels_of(row).get(names.APPLIED)) or {}).get("Version", ""))


def _remove(swarm: Swarm, kind: str, rows: Iterable[Row]) -> list[str]:
    """Remove what no service names; what one would return to by itself is named and stays."""
    specs = [[s["Spec"], s.get("PreviousSpec")] for s in swarm.rows("services")]
    named = json.dumps(specs)
    removed = []
    for row in rows:
        if f'"{row["ID"]}"' in named:
            continue
        try:
            swarm.client.delete(f"/{kind}s/{row['ID']}")
        except InUse:
            continue
        removed.append(name_of(row))
    return removed
