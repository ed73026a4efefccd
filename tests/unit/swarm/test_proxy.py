"""The proxy's table: what requests are told apart by, and in which order."""

from __future__ import annotations

import pytest

from orch_swarm.proxy import Target, command, table


def rules(*targets: Target) -> list[str]:
    routers = table(targets)["http"]["routers"].values()
    return [one["rule"] for one in sorted(routers, key=lambda one: -one["priority"])]


def test_named_hosts_and_longer_paths_come_first() -> None:
    found = rules(
        Target("", "/", "a", 80),
        Target("", "/long/path", "b", 80),
        Target("*.example", "/", "e", 80),
        Target("h.example", "/", "c", 80),
        Target("h.example", "/x/", "d", 80),
    )
    assert found == [
        'Host("h.example") && PathPrefix("/x/")',
        'Host("h.example") && PathPrefix("/")',
        'HostRegexp("^[^.]+\\\\.example$") && PathPrefix("/")',
        '(Path("/long/path") || PathPrefix("/long/path/"))',
        'PathPrefix("/")',
    ]


def test_a_name_can_not_leave_its_quotes() -> None:
    assert rules(Target('a") || PathPrefix("/', "/", "a", 80)) == [
        'Host("a\\") || PathPrefix(\\"/") && PathPrefix("/")'
    ]


def test_one_that_answers_alone_is_named_and_several_share_by_weight() -> None:
    alone, first, second = (
        Target("", "/alone", "a", 80),
        Target("", "/", "a", 80, 90),
        Target("", "/", "b", 80),
    )
    made = table([alone, first, second])["http"]
    served = {name: one["service"] for name, one in made["routers"].items()}
    assert served == {"http://*/alone": "a-80", "http://*/": "http://*/"}
    assert made["services"]["http://*/"] == {
        "weighted": {"services": [{"name": "a-80", "weight": 90}, {"name": "b-80", "weight": 1}]}
    }
    [server] = made["services"]["b-80"]["loadBalancer"]["servers"]
    assert server == {"url": "http://tasks.b:80"}


def test_what_weighs_nothing_is_answered_by_nobody() -> None:
    made = table([Target("", "/", "a", 80, 0)])["http"]
    name = made["routers"]["http://*/"]["service"]
    assert made["services"][name]["weighted"]["services"] == [{"name": "a-80", "weight": 0}]


def test_only_routes_that_ask_for_certificates_get_them() -> None:
    given = Target("given.example", "/", "a", 80, encrypted=True, pair=("c", "k"))
    asked = Target("asked.example", "/", "a", 80, encrypted=True)
    made = table([given, asked])
    tls = {one["rule"].split('"')[1]: one["tls"] for one in made["http"]["routers"].values()}
    assert tls == {"given.example": {}, "asked.example": {"certResolver": "authority"}}
    assert made["tls"]["certificates"] == [
        {"certFile": "/run/secrets/c", "keyFile": "/run/secrets/k"}
    ]
    assert made["tls"]["options"]["default"]["sniStrict"] is True
    assert "tls" not in table([Target("", "/", "a", 80)])


@pytest.mark.parametrize("speaks", ["grpc", "h2c"])
def test_a_service_that_speaks_http_2_is_spoken_to_so(speaks: str) -> None:
    made = table([Target("", "/", "a", 80, speaks=speaks)])["http"]["services"]["a-80"]
    assert made["loadBalancer"]["servers"] == [{"url": "h2c://tasks.a:80"}]


def test_an_authority_is_asked_only_where_a_file_is_kept_for_it() -> None:
    assert not [word for word in command("tables") if "acme" in word]
    assert "--certificatesresolvers.authority.acme.storage=/data/x" in command(
        "tables", kept="/data/x"
    )
