"""The proxy's table: what requests are told apart by, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from orch_swarm.proxy import Target, table


def routes(*targets: Target, server: str = "http") -> list[dict[str, Any]]:
    made = table("tables", targets)["apps"]["http"]["servers"][server]["routes"]
    return list(made)


def test_named_hosts_and_longer_paths_come_first_and_nothing_else_is_found() -> None:
    found = routes(
        Target("", "/", "a", 80),
        Target("", "/long/path", "b", 80),
        Target("h.example", "/", "c", 80),
        Target("h.example", "/x/", "d", 80),
    )
    assert [one.get("match") for one in found] == [
        [{"host": ["h.example"], "path": ["/x/*"]}],
        [{"host": ["h.example"]}],
        [{"path": ["/long/path", "/long/path/*"]}],
        None,
        None,
    ]
    assert found[-1]["handle"] == [{"handler": "static_response", "status_code": 404}]


@pytest.mark.parametrize(
    ("weights", "shares"),
    [((90, 10), (9, 1)), ((None, None), (1, 1)), ((1000, 1), (100, 1)), ((5, 0), (1, 0))],
)
def test_weights_are_shares_of_the_list(
    weights: tuple[int | None, int | None], shares: tuple[int, int]
) -> None:
    first, second = (Target("", "/", n, 80, w) for n, w in zip("ab", weights, strict=True))
    [handler] = routes(first, second)[0]["handle"]
    dials = [one["dial"] for one in handler["upstreams"]]
    assert (dials.count("tasks.a:80"), dials.count("tasks.b:80")) == shares


def test_what_weighs_nothing_is_not_found() -> None:
    assert routes(Target("", "/", "a", 80, 0))[0]["handle"][0]["status_code"] == 404


def test_only_routes_that_ask_for_certificates_get_them() -> None:
    given = Target("given.example", "/", "a", 80, encrypted=True, pair=("c", "k"))
    asked = Target("asked.example", "/", "a", 80, encrypted=True)
    apps = table("tables", [given, asked])["apps"]
    assert apps["http"]["servers"]["https"]["automatic_https"]["skip"] == ["given.example"]
    assert apps["tls"]["certificates"]["load_files"] == [
        {"certificate": "/run/secrets/c", "key": "/run/secrets/k"}
    ]
    alone = table("tables", [given])["apps"]["http"]["servers"]
    assert alone["https"]["automatic_https"] == {"disable": True}
    assert "http" not in alone


def test_a_table_goes_on_to_ask_for_the_next_one() -> None:
    admin = table("tables", [Target("", "/", "a", 80)])["admin"]
    assert admin["disabled"] is True
    assert admin["config"]["load_delay"] == "1s"
