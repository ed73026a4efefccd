"""Manifests part by part, names said together, and two deployments held against each other."""

from __future__ import annotations

from typing import Any

import pytest

from orch.compare.compare import Standing
from orch.compare.live import Deployed, compare_deployed
from orch.compare.manifests import side_by_side
from orch.compare.names import names_text
from orch.types import Diagnostic, Instance, Op, Resource, ServiceStatus, Status


def resource(id_: str, **body: Any) -> Resource:
    return Resource(id_, id_.partition("/")[0], id_.partition("/")[2], body)


def test_a_part_has_each_way_of_making_it_once() -> None:
    web, other = resource("service/web", a=1), resource("service/web", a=2)
    data = resource("volume/data")
    standings = [
        Standing("one", resources=(web, data)),
        Standing("two", resources=(other,)),
        Standing("three", resources=(web,)),
        Standing("broken", faults=(Diagnostic("no"),)),
    ]
    parts = {part.name: part.variants for part in side_by_side(standings)}
    assert [(v.backends, v.resources) for v in parts["web"]] == [
        (("one", "three"), (web,)),
        (("two",), (other,)),
    ]
    assert [(v.backends, len(v.resources)) for v in parts["data"]] == [
        (("one",), 1),
        (("two", "three"), 0),
    ]


def test_objects_of_one_name_stand_together() -> None:
    made = (resource("service/web"), resource("address/web"), resource("service/db"))
    parts = side_by_side([Standing("one", resources=made)])
    assert [(p.name, len(p.variants[0].resources)) for p in parts] == [("web", 2), ("db", 1)]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["native"], "native"),
        (["k:a"], "k:a"),
        (["native", "k:a", "k:b"], "native, k (a, b)"),
        (["k", "k:a"], "k, k:a"),
    ],
)
def test_flavours_are_said_together(names: list[str], told: str) -> None:
    assert names_text(names) == told


def deployed(document: dict[str, Any], *services: str) -> Deployed:
    rows = tuple(ServiceStatus(name, "service", 1, 1, 1, True) for name in services)
    return Deployed(
        Instance("t", "default", "shop"), "native", Status("shop", "t", 1, True, rows), document
    )


def test_fields_that_differ_are_told_from_left_to_right() -> None:
    left = deployed({"name": "a", "services": {"web": {"image": "a:1"}}}, "web")
    right = deployed({"name": "b", "services": {"web": {"image": "a:2"}}, "jobs": {"x": {}}}, "web")
    made = compare_deployed(left, right)
    assert [(c.op, c.path, c.old, c.new) for c in made.changes] == [
        (Op.CHANGE, ("services", "web", "image"), "a:1", "a:2"),
        (Op.ADD, ("jobs",), None, {"x": {}}),
    ]
    assert made.differs


def test_deployments_of_the_same_spec_do_not_differ() -> None:
    same = deployed({"name": "a"}, "web")
    assert not compare_deployed(same, deployed({"name": "b"}, "web")).differs
    lacking = compare_deployed(same, deployed({"name": "a"}))
    assert lacking.differs
    assert lacking.names == ("web",)
