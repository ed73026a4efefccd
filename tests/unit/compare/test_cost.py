"""Estimates: nodes that are filled, sizes, volumes, objects, and what is left out."""

from __future__ import annotations

from typing import Any

import pytest

from orch.backend.sizes import Size, SizeRule
from orch.compare.cost import Estimate, estimate
from orch.compare.prices import PriceTable
from orch.compare.sizes import sizes_of
from orch.load.source import app_from_document
from orch.types import Resource

ROW = {"backend": "b", "per": "month", "seen": "2026-11-21", "source": "s"}
CLUSTER = {"item": "cluster", "price": 10}
SMALL = {"item": "node", "name": "small", "cpus": 2, "memory": "4G", "price": 20}
LARGE = {"item": "node", "name": "large", "cpus": 8, "memory": "16G", "price": 60}
BALANCER = {"item": "object", "kind": "Service", "where": {"spec.type": "LoadBalancer"}, "price": 5}


def service(cpus: str, memory: str, **more: Any) -> dict[str, Any]:
    deploy = {"resources": {"reservations": {"cpus": cpus, "memory": memory}}, **more}
    return {"image": "a", "deploy": deploy}


def priced(
    services: dict[str, Any],
    *rows: dict[str, Any],
    resources: tuple[Resource, ...] = (),
    rule: SizeRule = SizeRule(),  # noqa: B008
    elsewhere: tuple[dict[str, Any], ...] = (),
    **more: Any,
) -> Estimate | None:
    app = app_from_document({"name": "shop", "services": services, **more})
    whole = [*({**ROW, **row} for row in rows), *({**ROW, **r, "backend": "c"} for r in elsewhere)]
    table = PriceTable.model_validate({"version": 1, "currency": "USD", "prices": whole})
    return estimate(app, sizes_of(app, rule), resources, table.of("b"), table)


def told(made: Estimate | None) -> list[tuple[str, float]]:
    assert made is not None
    return [(charge.told, charge.month) for charge in made.charges]


def test_replicas_fill_nodes_and_the_cheapest_kind_is_taken() -> None:
    few = priced({"web": service("1", "1G", replicas=3)}, CLUSTER, SMALL, LARGE)
    assert told(few) == [("cluster", 10), ("2 × small", 40)]
    many = priced({"web": service("1", "1G", replicas=8)}, CLUSTER, SMALL, LARGE)
    assert told(many) == [("cluster", 10), ("1 × large", 60)]


def test_a_replica_that_no_node_holds_needs_a_larger_kind_or_has_no_price() -> None:
    assert told(priced({"web": service("3", "1G")}, SMALL, LARGE)) == [("1 × large", 60)]
    assert priced({"web": service("3", "1G")}, SMALL) is None


def test_what_is_on_every_node_takes_its_share_of_each() -> None:
    services = {"web": service("1", "1G", replicas=4), "log": service("1", "1G", mode="global")}
    assert told(priced(services, SMALL)) == [("4 × small", 80)]


def test_sizes_are_paid_as_they_are_rounded() -> None:
    rule = SizeRule(minimum=Size(1000, 1 << 30))
    made = priced(
        {"web": service("0.5", "512M", replicas=2)},
        {"item": "cpu", "price": 30},
        {"item": "memory", "price": 4},
        rule=rule,
    )
    assert told(made) == [("2 processors", 60), ("2 GiB of memory", 8)]


def test_autoscaling_makes_a_range() -> None:
    web = {**service("1", "1G"), "autoscale": {"min": 2, "max": 6}}
    made = priced({"web": web}, SMALL)
    assert made is not None
    assert (made.month, made.at_most) == (20, 60)


def test_volumes_are_counted_for_each_replica_that_has_its_own() -> None:
    web = {
        **service("1", "1G", replicas=3),
        "volumes": [
            {"type": "volume", "source": "own", "target": "/o"},
            {"type": "volume", "source": "one", "target": "/e"},
        ],
    }
    volumes = {"own": {"size": "10G", "per_replica": True}, "one": {"size": "5G"}}
    made = priced({"web": web}, LARGE, {"item": "volume", "price": 0.1}, volumes=volumes)
    assert told(made)[1] == ("35 GiB in volumes", 3.5)


@pytest.mark.parametrize(("kind", "count"), [("LoadBalancer", 1), ("ClusterIP", 0)])
def test_objects_are_paid_where_they_say_so(kind: str, count: int) -> None:
    resource = Resource("service/web", "Service", "web", {"spec": {"type": kind}})
    made = priced({"web": service("1", "1G")}, SMALL, BALANCER, resources=(resource,))
    assert told(made)[1:] == [("1 × Service", 5)] * count


def test_what_others_charge_for_is_missing_and_not_free() -> None:
    resource = Resource("service/web", "Service", "web", {"spec": {"type": "LoadBalancer"}})
    web = {"web": service("1", "1G")}
    made = priced(web, SMALL, resources=(resource,), elsewhere=(BALANCER,))
    assert made is not None
    assert made.missing == ("1 × Service, which others charge for",)


def test_what_has_no_size_or_price_is_told() -> None:
    volumes = {"data": {}}
    job = {"image": "a"}
    made = priced({"web": {"image": "a"}}, SMALL, volumes=volumes, jobs={"nightly": job})
    assert made is not None
    assert made.missing == ("cpu or memory of web, which reserve none", "volumes (data)")
    assert made.left_out[0] == "runs of nightly"
    sized = priced(
        {"web": service("1", "1G")}, SMALL, {"item": "volume", "price": 1}, volumes=volumes
    )
    assert sized is not None
    assert sized.missing == ("volumes without a size (data)",)


def test_without_prices_for_what_runs_there_is_no_estimate() -> None:
    assert priced({"web": service("1", "1G")}, CLUSTER) is None


def test_small_replicas_fill_the_gaps_that_large_ones_leave() -> None:
    services = {
        "large": service("1.5", "1G", replicas=3),
        "small": service("0.5", "1G", replicas=3),
        "tiny": service("0.1", "1G", replicas=1),
    }
    assert told(priced(services, SMALL)) == [("4 × small", 80)]
    del services["tiny"]
    assert told(priced(services, SMALL)) == [("3 × small", 60)]
