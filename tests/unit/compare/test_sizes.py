"""What is asked for, and how platforms round it."""

from __future__ import annotations

from typing import Any

import pytest

from orch.backend.sizes import Size, SizeRule
from orch.compare.sizes import Sized, sizes_of
from orch.load.source import app_from_document
from orch_kubernetes.flavours import FLAVOURS
from orch_kubernetes.sizes import size_rule

MI, GI = 1 << 20, 1 << 30


def sized(service: dict[str, Any], rule: SizeRule = SizeRule(), **more: Any) -> Sized:  # noqa: B008
    document = {"name": "a", "services": {"web": {"image": "a", **service}}, **more}
    return sizes_of(app_from_document(document), rule)[0]


def resources(**bounds: Any) -> dict[str, Any]:
    return {"resources": bounds}


RESERVED = resources(reservations={"cpus": "0.5", "memory": "700M"})
LIMITED = resources(limits={"cpus": "2", "memory": "1G"})


def test_what_is_reserved_is_asked_for() -> None:
    row = sized({"deploy": RESERVED})
    assert row.asked == row.gets == Size(500, 700 * MI)


@pytest.mark.parametrize(("counts", "gets"), [(False, Size()), (True, Size(2000, GI))])
def test_limits_count_where_the_platform_says_so(counts: bool, gets: Size) -> None:
    assert sized({"deploy": LIMITED}, SizeRule(limits_count=counts)).gets == gets


def test_sidecars_are_added_and_what_runs_first_counts_by_the_largest() -> None:
    service = {
        "deploy": RESERVED,
        "sidecars": {"log": {"image": "a", **RESERVED}},
        "pre_start": [
            {"image": "a", **resources(reservations={"memory": "3G"})},
            {"image": "a", **resources(reservations={"memory": "2G"})},
        ],
    }
    assert sized(service).asked == Size(1000, 3 * GI)


def test_replicas_follow_autoscaling_and_nodes() -> None:
    assert sized({"deploy": {"replicas": 3}}).least == 3
    scaled = sized({"autoscale": {"min": 2, "max": 5}})
    assert (scaled.least, scaled.most) == (2, 5)
    assert sized({"deploy": {"mode": "global"}}).per_node


@pytest.mark.parametrize(
    ("asked", "gets"),
    [
        (Size(), Size(250, GI // 2)),
        (Size(250, 256 * MI), Size(250, GI // 2)),
        (Size(250, 300 * MI), Size(250, GI)),
        (Size(250, 1500 * MI), Size(250, 2 * GI)),
        (Size(250, 2 * GI), Size(500, 3 * GI)),
        (Size(1000, 8 * GI), Size(2000, 9 * GI)),
        (Size(1500, GI), Size(2000, 4 * GI)),
        (Size(16000, 119 * GI), Size(16000, 120 * GI)),
        (Size(16000, 120 * GI), None),
        (Size(16001, GI), None),
    ],
)
def test_fargate_rounds_up_to_a_size_that_it_has(asked: Size, gets: Size | None) -> None:
    """The user guide's own example: 1 vCPU with 8 GB becomes 2 vCPU with 9 GB."""
    assert size_rule(FLAVOURS["eks-fargate"]).replica(asked) == gets


def test_autopilot_has_defaults_minimums_and_a_proportion() -> None:
    rule = size_rule(FLAVOURS["gke-autopilot"])
    assert rule.container(Size(), Size()) == Size(500, 2 * GI)
    assert rule.container(Size(10, 10 * MI), Size()) == Size(50, 52 * MI)
    assert rule.replica(Size(2000, GI)) == Size(2000, 2 * GI)
    assert rule.replica(Size(1000, 13 * GI)) == Size(2000, 13 * GI)


def test_no_size_is_lowered() -> None:
    for flavour in FLAVOURS.values():
        rule = size_rule(flavour)
        for asked in (Size(), Size(100, 100 * MI), Size(3000, 5 * GI), Size(7777, 31 * GI)):
            gets = rule.replica(rule.container(asked, Size()))
            assert gets is not None
            assert asked.fits(gets)
