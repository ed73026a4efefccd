"""Drift of bodies whose lists have natural keys."""

from __future__ import annotations

from typing import Any

from orch.backend.capabilities import Capabilities
from orch.frozen import EMPTY
from orch.plan.drift import drift_of
from orch.types import Instance, InventoryItem, Observed, Op, Release, Snapshot

HERE = Instance("t", "default", "shop")
KEYED = Capabilities(EMPTY, list_keys={"Pod:containers": ("name",)})


def changes(live: dict[str, Any], applied: dict[str, Any]) -> list[tuple[Op, Any]]:
    item = InventoryItem("service/web", "Pod", "web", "u", applied)
    last = Release(HERE, 1, {}, (item,), "me", 0.0, "")
    seen = Observed("service/web", "Pod", "web", live, applied=applied, owner=HERE, uid="u")
    found = drift_of(last, Snapshot(HERE, {"service/web": seen}), KEYED)
    return [(change.op, change.path) for drift in found for change in drift.changes]


def test_what_the_platform_added_to_an_item_is_no_drift() -> None:
    applied = {"containers": [{"name": "web", "image": "a"}]}
    live = {"containers": [{"name": "web", "image": "a", "pull": "Always"}, {"name": "proxy"}]}
    assert changes(live, applied) == []


def test_a_field_of_an_item_that_moved_is_drift() -> None:
    applied = {"containers": [{"name": "web", "image": "a"}]}
    live = {"containers": [{"name": "web", "image": "b", "pull": "Always"}]}
    assert changes(live, applied) == [(Op.CHANGE, ("containers", "web", "image"))]


def test_an_item_that_is_gone_is_drift() -> None:
    applied = {"containers": [{"name": "web"}, {"name": "side"}]}
    assert changes({"containers": [{"name": "web"}]}, applied) == [
        (Op.REMOVE, ("containers", "side"))
    ]
