"""The agent's parts that need no task: routes, records, addresses, output, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.spec.application import Service
from orch_native.agent import logfile
from orch_native.agent.addresses import Addresses
from orch_native.agent.docker_client import _split
from orch_native.agent.driver import StartFault
from orch_native.agent.pod import handle_of, is_job_body, read_body, read_pod
from orch_native.agent.process_able import CAPABILITIES, Abilities, refusals
from orch_native.agent.process_run import signal_number
from orch_native.agent.process_settings import account, dropped, log_bounds
from orch_native.agent.proxy.table import Balance, Route, Upstream, choose_route
from orch_native.agent.record import Record, Records
from orch_native.agent.supervisor.output import Log
from orch_native.messages import Allocation, State

if TYPE_CHECKING:
    from pathlib import Path

ALL = Abilities(root=True, mounts=True, cgroups=frozenset({"memory", "cpu", "pids"}), resource=True)
NOTHING = Abilities(root=False, mounts=False, cgroups=frozenset())


def route(host: str, path: str, weight: int | None = None) -> Route:
    return Route(host, path, weight, ())


def test_the_longest_path_of_the_named_host_wins() -> None:
    routes = [route("", "/"), route("a", "/"), route("a", "/x"), route("", "/x/y/z")]
    assert choose_route(routes, "a", "/x/y/z") is routes[2]
    assert choose_route(routes, "a", "/xy") is routes[1]
    assert choose_route(routes, "b", "/x/y/z/q") is routes[3]
    assert choose_route(routes[1:2], "b", "/") is None


def test_weights_share_between_equal_routes() -> None:
    routes = [route("", "/", 1), route("", "/", 3), route("", "/", 0)]
    found = [choose_route(routes, "", "/") for _ in range(4000)]
    assert 700 < sum(r is routes[0] for r in found) < 1300
    assert not any(r is routes[2] for r in found)
    assert choose_route(routes[2:], "", "/") is None


def test_the_least_loaded_replica_goes_first_and_a_draining_one_never() -> None:
    one, two, old = Upstream("h", 1), Upstream("h", 2), Upstream("h", 3, draining=True)
    balance = Balance()
    assert {balance.order([one, two, old])[0] for _ in range(4)} == {one, two}
    balance.opened(one)
    assert [balance.order([one, two, old])[0] for _ in range(4)] == [two] * 4
    balance.closed(one)
    assert old not in balance.order([one, two, old])


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    records = Records(tmp_path / "r")
    record = Record(
        id="a/1", driver="docker", handles=["h"], attempts={"h": 3}, state=State.BACKOFF
    )
    records.save(record)
    assert records.load("a/1") == record
    (tmp_path / "r" / "broken.json").write_text("{")
    assert [*records] == [record]
    records.forget("a/1")
    assert records.load("a/1") is None


def test_what_a_killed_agent_had_half_written_is_swept(tmp_path: Path) -> None:
    records = Records(tmp_path)
    record = Record(id="a/1")
    records.save(record)
    [whole] = tmp_path.iterdir()
    whole.with_suffix(".new").write_text('{"id": "a')
    again = Records(tmp_path)
    assert [*tmp_path.iterdir()] == [whole]
    assert again.load("a/1") == record


def test_addresses_are_stable_and_never_shared(tmp_path: Path) -> None:
    given = Addresses(tmp_path / "a.json", "agent")
    found = [given.give(f"o{n}") for n in range(500)]
    assert len(set(found)) == 500
    again = Addresses(tmp_path / "a.json", "agent")
    assert again.give("o7") == found[7]
    assert found[0].split(".")[:2] == found[1].split(".")[:2]
    again.take_back("o7")
    assert '"o7"' not in (tmp_path / "a.json").read_text()


def test_output_is_kept_in_order_and_turned_over(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), 200, 3)
    log.feed("o", b"one\ntw")
    log.feed("e", b"err\n")
    log.feed("o", b"o\nlast")
    log.close()
    found = list(logfile.read(tmp_path / "log", None, None))
    assert [(p.stream, p.text) for p in found] == [
        ("stdout", "one"),
        ("stderr", "err"),
        ("stdout", "two"),
        ("stdout", "last"),
    ]
    assert [p.time for p in found] == sorted({p.time for p in found})
    for number in range(30):
        log.feed("o", b"%d\n" % number)
    tail = list(logfile.read(tmp_path / "log", None, 5))
    assert [p.text for p in tail] == ["25", "26", "27", "28", "29"]
    assert list(logfile.read(tmp_path / "log", tail[-2].time, None)) == [tail[-1]]
    assert len(list(tmp_path.glob("log*"))) == 3


def allocation(**more: Any) -> Allocation:
    known: dict[str, Any] = {
        "id": "a1",
        "namespace": "n",
        "app": "shop",
        "unit": "we.b",
        "kind": "service",
        "index": 0,
        "revision": 1,
        "body": {"command": ["x"], "config_digests": {}},
    }
    return Allocation(**(known | more))


def test_handles_are_readable_and_unique() -> None:
    assert handle_of(allocation()) == "orch-shop-we-b-0-a1"
    strange = {handle_of(allocation(id=id)) for id in ("a b", "a/b", "a" * 60, "ä")}
    assert len(strange) == 4
    assert all(len(handle) < 110 and handle.isascii() for handle in strange)


def test_values_of_secrets_are_struck_out() -> None:
    pod = read_pod(allocation(values={"p": "hunter22"}, files={"secrets/q": b"line1\nline2\n"}))
    assert pod.without_secrets("hunter22 line2 ok") == "[secret] [secret] ok"
    assert pod.without_secrets("aHVudGVyMjI= bGluZTEKbGluZTIK") == "[secret] [secret]"
    pod = read_pod(allocation(files={"secrets/q": b"\xff\x00canary"}))
    assert pod.without_secrets("got \ufffd\0canary, /wBjYW5hcnk=") == "got [secret], [secret]"


def test_jobs_are_told_from_services() -> None:
    assert is_job_body({"command": ["x"], "backoff_limit": 3, "completions": 1})
    assert not is_job_body({"command": ["x"], "deploy": {}})
    assert isinstance(read_body({"command": ["x"], "x-more": 1}, job=False), Service)


def service(**body: Any) -> Service:
    return Service.model_validate({"command": ["x"], **body})


def test_capabilities_are_dropped_but_for_those_that_are_kept() -> None:
    kept = dropped(service(cap_drop=["ALL"], cap_add=["CAP_CHOWN", "kill"]))
    assert sorted(set(range(len(CAPABILITIES))) - set(kept)) == [0, 5]
    assert dropped(service(cap_drop=["NET_RAW"])) == [13]
    assert dropped(service()) == []


def test_users_and_signals() -> None:
    assert account("12345:678", ["9"]).groups == [9, 678]
    assert account("root", ()).uid == 0
    with pytest.raises(StartFault, match="this host has no user nobody-here"):
        account("nobody-here", ())
    assert signal_number("sigint") == signal_number("2") == signal_number("INT")
    with pytest.raises(StartFault, match="SIGNOPE is no signal"):
        signal_number("SIGNOPE")


def test_log_bounds() -> None:
    options = {"logging": {"options": {"max-size": "1m", "max-file": "5"}}}
    assert log_bounds(service(**options)) == {"size": 1 << 20, "count": 5}
    assert log_bounds(service()) == {"size": 10 << 20, "count": 3}
    with pytest.raises(StartFault, match=r"logging\.options"):
        log_bounds(service(logging={"options": {"max-size": "much"}}))


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"user": "0:0"}, ["user"]),
        ({"cap_add": ["KILL"]}, ["cap_add"]),
        ({"volumes": [{"type": "tmpfs", "target": "/t"}]}, ["volumes"]),
        ({"configs": [{"source": "c", "target": "/etc/c"}]}, ["configs[0].target"]),
        ({"configs": [{"source": "c", "target": "c"}]}, []),
        ({"secrets": [{"source": "s", "target": "/run/secrets/s"}]}, []),
        ({"hostname": "h"}, ["hostname"]),
        ({"dns": ["192.0.2.1"]}, ["dns"]),
        ({"network_mode": "none"}, ["network_mode"]),
        ({"oom_score_adj": -5}, ["oom_score_adj"]),
        (
            {"deploy": {"resources": {"limits": {"memory": "1Mi", "cpus": "1", "pids": 1}}}},
            [f"deploy.resources.limits.{name}" for name in ("cpus", "memory", "pids")],
        ),
    ],
)
def test_without_root_less_can_be_done(
    body: dict[str, Any], paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orch_native.agent.process_able._myself", lambda: ("1000", "me"))
    assert [path for path, _reason in refusals(service(**body), NOTHING)] == paths
    assert not list(refusals(service(**body), ALL))


def test_references_are_split_for_the_pull() -> None:
    digest = "sha256:" + "0" * 64
    assert _split("docker.io/library/web:1") == ("docker.io/library/web", "1")
    assert _split(f"r:5000/a/web:1@{digest}") == ("r:5000/a/web", digest)
    assert _split("r:5000/a/web") == ("r:5000/a/web", None)
