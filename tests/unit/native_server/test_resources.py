from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import Conflict, OrchError, Refused, UsageFault
from orch_native.api import Put, RolloutPhase
from orch_native.server import refusals, sights
from orch_native.server.bodies import Asked, Wanted
from orch_native.server.model import App, Key
from tests.unit.native_server.harness import SHOP, service

if TYPE_CHECKING:
    from orch_native.api import Refusal
    from tests.unit.native_server.harness import Plane

FAST = {"update_config": {"monitor": "0s"}}


def against(plane: Plane, name: str, body: dict[str, Any], kind: str = "service") -> list[Refusal]:
    """What stands against one unit."""
    asked = Asked([Wanted(kind, name, body)])
    return plane.ask(lambda r: refusals.refusals(r.world, plane.controller, SHOP, asked))


def allocation(plane: Plane, name: str = "web") -> Any:
    (alloc,) = [a for a in plane.allocs(name) if not a.gone]
    return plane.agent.tasks[alloc.id].allocation


def mounted(**more: Any) -> dict[str, Any]:
    return service(
        "ok",
        deploy=FAST,
        configs=[{"source": "conf", "target": "/conf"}],
        secrets=[{"source": "pw", "target": "pw"}],
        environment={"PW": {"secret": "pw"}, "PLAIN": "x"},
        **more,
    )


def put_files(plane: Plane, content: str, password: str, version: str) -> None:
    plane.put("conf", {"content": content}, "config")
    plane.put("pw", {"version": version}, "secret", secrets={"pw": password.encode()})


def test_files_and_values_reach_the_agent(plane: Plane) -> None:
    put_files(plane, "a = 1", "canary-7f3a", "v1")
    plane.put("web", mounted())
    plane.run(5)
    made = allocation(plane)
    assert made.files == {"configs/conf": b"a = 1", "secrets/pw": b"canary-7f3a"}
    assert made.values == {"pw": "canary-7f3a"}


def test_secret_values_are_nowhere_in_the_clear(plane: Plane) -> None:
    put_files(plane, "a = 1", "canary-7f3a", "v1")
    plane.put("web", mounted())
    plane.run(5)
    shown = plane.ask(lambda r: [sights.stored(r.world, row) for row in r.world.of_app(SHOP)])
    assert "canary-7f3a" not in repr(shown) + repr(plane.status("web")) + repr(plane.events())
    assert "canary-7f3a" not in repr(allocation(plane))
    assert "canary-7f3a" not in repr(Put({}, secrets={"pw": b"canary-7f3a"}))
    plane.store.close()
    for path in plane.folder.iterdir():
        assert b"canary-7f3a" not in path.read_bytes(), path
    assert (plane.folder / "key").stat().st_mode & 0o777 == 0o600
    plane.crash()


def test_rolled_back_replica_gets_the_files_it_went_with(plane: Plane) -> None:
    put_files(plane, "a = 1", "old-password", "v1")
    plane.put("web", mounted())
    plane.run(5)
    put_files(plane, "a = 2", "new-password", "v2")
    plane.put("web", mounted() | {"command": ["unstartable"]}, revision=2)
    plane.run(30)
    assert plane.rollout().phase is RolloutPhase.ROLLED_BACK
    made = allocation(plane)
    assert made.files == {"configs/conf": b"a = 1", "secrets/pw": b"old-password"}


def test_changed_file_restarts_what_mounts_it_and_old_contents_are_dropped(plane: Plane) -> None:
    put_files(plane, "a = 1", "old", "v1")
    plane.put("web", mounted())
    plane.run(5)
    first = allocation(plane).id
    put_files(plane, "a = 2", "new", "v2")
    plane.put("web", mounted() | {"config_digests": {"conf": "2"}}, revision=2)
    plane.run(5)
    plane.run(1000)
    assert allocation(plane).id != first
    assert list(plane.controller._world.contents.values()) == [b"a = 2"]
    kept = plane.controller._world.secrets
    assert [version for *_, version in kept] == ["v1", "v2"], "a release may name it still"
    plane.ask(lambda r: r.forget_secrets(SHOP, {"pw": ["v1"]}))
    assert [version for *_, version in kept] == ["v1", "v2"], "and what runs needs the other"
    plane.ask(lambda r: r.forget_secrets(SHOP, {}))
    assert [version for *_, version in kept] == ["v2"]


def test_values_go_with_the_last_of_their_app(plane: Plane) -> None:
    put_files(plane, "a = 1", "old", "v1")
    put_files(plane, "a = 1", "new", "v2")
    for kind, name in (("secret", "pw"), ("config", "conf")):
        plane.delete(name, kind=kind)
    plane.run(5)
    assert plane.controller._world.secrets == {}


def test_what_a_volume_is_made_with_stays_while_it_is_used(plane: Plane) -> None:
    mount = {"type": "volume", "source": "data", "target": "/data"}
    plane.put("data", {"driver_opts": {"type": "nfs"}}, kind="volume")
    plane.put("web", service("ok", volumes=[mount]))
    plane.run(5)

    def stand_against(body: dict[str, Any]) -> list[str]:
        return [refusal.path for refusal in against(plane, "data", body, "volume")]

    assert stand_against({"driver_opts": {"type": "nfs"}, "labels": {"a": "b"}}) == []
    assert stand_against({"driver_opts": {"type": "tmpfs"}}) == ["driver_opts"]
    plane.delete("web")
    plane.run(30)
    assert stand_against({"driver_opts": {"type": "tmpfs"}}) == []


def test_missing_config_is_told_and_nothing_is_begun(plane: Plane) -> None:
    with pytest.raises(UsageFault, match="there is no config 'conf'"):
        plane.put("web", mounted())
    assert plane.ask(lambda r: list(r.world.of_app(SHOP))) == []


def test_external_secret_is_another_app_s_of_the_namespace(plane: Plane) -> None:
    key = Key(App("default", "vault"), "secret", "shared")
    put = Put({"version": "v1"}, secrets={"shared": b"from-there"})
    plane.ask(lambda r: r.put(key, put))
    plane.put("pw", {"external": True, "name": "shared"}, "secret")
    plane.put("conf", {"content": "x"}, "config")
    plane.put("web", mounted())
    plane.run(5)
    assert allocation(plane).values == {"pw": "from-there"}


@pytest.mark.parametrize("value", [bytes(range(256)), b"text with a \0 in it"])
def test_bytes_of_a_secret_reach_the_agent_and_are_no_variable(plane: Plane, value: bytes) -> None:
    key = Key(App("default", "vault"), "secret", "shared")
    plane.ask(lambda r: r.put(key, Put({"version": "v1"}, secrets={"shared": value})))
    plane.put("pw", {"external": True, "name": "shared"}, "secret")
    plane.put("conf", {"content": "x"}, "config")
    with pytest.raises(UsageFault, match="'pw' is not UTF-8 text") as caught:
        plane.put("web", mounted())
    assert "list it under `secrets`" in caught.value.mend
    assert plane.ask(lambda r: r.world.find(Key(SHOP, "service", "web"))) is None
    plane.put("web", {**mounted(), "environment": {}})
    plane.run(5)
    assert allocation(plane).files["secrets/pw"] == value


def test_a_login_that_becomes_no_text_is_told(plane: Plane) -> None:
    plane.put("pw", {"version": "v1"}, "secret", secrets={"pw": b"\xff"})
    login = {"username": "ci", "password": {"secret": "pw"}}
    plane.put("ghcr.io", login, "registry")
    plane.put("web", service("ok"))
    plane.run(5)
    assert "'pw' is not UTF-8 text" in plane.status("web")["message"]


def test_expected_version_is_compared(plane: Plane) -> None:
    with pytest.raises(Conflict, match="it is not there"):
        plane.put("web", service("ok"), expect_version="3")
    row = plane.put("web", service("ok"), expect_version="")
    with pytest.raises(Conflict):
        plane.put("web", service("ok", "2"), expect_version="")
    plane.put("web", service("ok", "2"), expect_version=str(row.version))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("service", {"replicas": 2}),
        ("service", {"deploy": {"replicas": -1}}),
        ("job", {"backoff_limit": "many"}),
        ("config", {"content": "?", "encoding": "base64"}),
        ("volume", {"access": "everybody"}),
        ("pod", {}),
    ],
)
def test_body_that_is_not_valid_is_refused(plane: Plane, kind: str, body: dict[str, Any]) -> None:
    with pytest.raises(UsageFault):
        plane.put("web", body, kind)
    assert plane.ask(lambda r: list(r.world.of_app(SHOP))) == []


def test_published_port_of_another_app_is_refused(plane: Plane) -> None:
    ports = [{"target": 80, "published": 8080}]
    plane.put("web", {**service("ok"), "ports": ports})
    other = Key(App("default", "blog"), "service", "front")
    with pytest.raises(Refused, match="default/shop/web"):
        plane.ask(lambda r: r.put(other, Put({**service("ok"), "ports": ports})))


def test_volume_goes_when_its_last_user_has_gone(plane: Plane) -> None:
    plane.put("data", {}, "volume")
    mounts = [{"type": "volume", "source": "data", "target": "/data"}]
    plane.put("web", service("ok", volumes=mounts, deploy=FAST))
    plane.run(5)
    assert allocation(plane).volumes["data"]["name"] == "default_shop_data"
    plane.delete("data", "volume")
    plane.run(1)
    assert plane.rollout("data", "volume").phase is RolloutPhase.PROGRESSING
    plane.delete("web")
    plane.run(5)
    assert "volume default_shop_data" in plane.agent.removed
    assert plane.rollout("data", "volume").phase is RolloutPhase.GONE


def test_each_replica_has_its_own_volume_and_all_are_removed(plane: Plane) -> None:
    plane.put("data", {"per_replica": True}, "volume")
    mounts = [{"type": "volume", "source": "data", "target": "/data"}]
    plane.put("web", service("ok", replicas=2, volumes=mounts, deploy=FAST))
    plane.run(5)
    names = {task.allocation.volumes["data"]["name"] for task in plane.agent.tasks.values()}
    assert names == {"default_shop_data-web-0", "default_shop_data-web-1"}
    plane.crash()
    plane.delete("web")
    plane.run(5)
    plane.delete("data", "volume")
    plane.run(1)
    assert {f"volume {name}" for name in names} <= set(plane.agent.removed)


def test_routing_has_entries_for_ports_and_routes(plane: Plane) -> None:
    ports = [{"name": "http", "target": 8080, "published": 80}]
    plane.put("web", {**service("ok", deploy=FAST), "ports": ports})
    plane.put("any", {"path": "/", "service": "web", "port": "http", "host": "a.example"}, "route")
    plane.run(5)
    entries = plane.agent.routing.entries
    assert {(e.service, e.target, e.published) for e in entries if not e.routes} == {
        ("default/shop/web", 8080, 0),
        ("default/shop/web", 8080, 80),
    }
    (route,) = next(e.routes for e in entries if e.routes)
    assert (route["host"], route["service"], route["target"]) == (
        "a.example",
        "default/shop/web",
        8080,
    )


def test_a_route_has_its_certificate_as_the_secrets_hold_it(plane: Plane) -> None:
    port = {"name": "http", "target": 8080}
    plane.put("web", service("ok", ports=[port]))
    for name in ("crt", "key"):
        plane.put(name, {"version": "v1"}, "secret", secrets={name: f"pem of {name}".encode()})
    pair = {"cert": {"secret": "crt"}, "key": {"secret": "key"}}
    plane.put("any", {"path": "/", "service": "web", "port": "http", "tls": pair}, "route")
    plane.run(3)
    (route,) = next(entry.routes for entry in plane.agent.routing.entries if entry.routes)
    assert (route["cert"], route["key"]) == (b"pem of crt", b"pem of key")


def test_changing_a_published_port_restarts_nobody(plane: Plane) -> None:
    plane.put("web", {**service("ok", deploy=FAST), "ports": [{"target": 80, "published": 80}]})
    plane.run(5)
    first = allocation(plane).id
    plane.put(
        "web",
        {**service("ok", deploy=FAST), "ports": [{"target": 80, "published": 81}]},
        revision=2,
    )
    plane.run(5)
    assert allocation(plane).id == first
    assert 81 in {entry.published for entry in plane.agent.routing.entries}


def test_what_does_not_fit_waits_and_says_by_how_much(plane: Plane) -> None:
    asked = {"resources": {"reservations": {"memory": "5Gi"}}, **FAST}
    plane.put("web", service("ok", replicas=2, deploy=asked))
    plane.run(5)
    assert plane.ready() == 1
    told = " ".join(plane.why("web"))
    assert "memory ruled out 1 of 1 nodes" in told
    assert "5Gi wanted, 3Gi free of 8Gi: 2Gi short" in told
    plane.agent.memory = 16 << 30
    plane.controller._facts = None
    plane.run(10)
    assert plane.ready() == 2


def test_refusals_tell_before_anything_is_done(plane: Plane) -> None:
    def asked(body: dict[str, Any]) -> list[str]:
        found = against(plane, "web", body)
        return [f"{refusal.path}: {refusal.reason}" for refusal in found]

    assert asked(service("ok")) == []
    many = service("ok", replicas=3, deploy={"resources": {"reservations": {"cpus": "2"}}})
    assert asked(many) == [
        (
            "deploy.resources.reservations.cpus: only 2 of 3 replicas fit: cpus ruled out 1 of 1"
            " nodes (host: 2 wanted, 0 free of 4: 2 short)"
        )
    ]
    nowhere = service("ok", deploy={"placement": {"constraints": ["node.labels.tier == db"]}})
    assert "node.labels.tier is 'web', wanted == db" in asked(nowhere)[0]
    host = {"ports": [{"target": 80, "published": 80, "mode": "host"}]}
    overlap = service("ok", deploy={"update_config": {"order": "start-first"}}) | host
    assert asked(overlap)[0].startswith("deploy.update_config.order: ")
    assert asked(service("ok", replicas=2) | host)[0].startswith("ports: only 1 of 2")


def test_full_disk_refuses_the_write_and_keeps_what_was(plane: Plane) -> None:
    plane.put("web", service("ok", deploy=FAST))
    plane.run(5)
    (pages,) = plane.store._writing.execute("PRAGMA page_count").fetchone()
    plane.store._writing.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OrchError, match="full"):
        plane.ask(lambda r: r.put(Key(SHOP, "config", "big"), Put({"content": "x" * 10**6})))
    plane.store._writing.execute("PRAGMA max_page_count = 1000000")
    assert plane.ask(lambda r: [row.key.id for row in r.world.of_app(SHOP)]) == ["service/web"]


def test_agent_that_fails_is_told_again(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    assign, calls = plane.agent.assign, []

    def fail_once(allocations: Any) -> None:
        calls.append(len(allocations))
        if len(calls) == 1:
            raise FileNotFoundError("gone meanwhile")
        assign(allocations)

    monkeypatch.setattr(plane.agent, "assign", fail_once)
    plane.put("web", service("ok", deploy=FAST))
    plane.run(5)
    assert plane.rollout().phase is RolloutPhase.HEALTHY


def test_stopping_all_tasks_replaces_none_of_them(plane: Plane) -> None:
    plane.put("web", service("ok", replicas=2, deploy=FAST))
    plane.run(5)
    started = list(plane.agent.started)
    plane.controller.stop_tasks()
    plane.run(20)
    assert plane.live() == {}
    assert plane.agent.started == started
    plane.controller._stopping_tasks = False
    plane.crash()
    plane.run(5)
    assert plane.ready() == 2


@pytest.mark.parametrize(
    ("reason", "way"),
    [
        ("no Docker engine answers at unix:///x: No such file or directory", "start it"),
        ("no Docker engine answers at unix:///x: Permission denied", "let this user use it"),
    ],
)
def test_an_engine_that_is_away_is_told_once_with_the_way_to_get_it(
    plane: Plane, reason: str, way: str
) -> None:
    plane.agent.away = {"docker": reason}
    plane.agent.refused = [("image", reason)]
    body = {"image": "example.com/web:1", "deploy": {"replicas": 2}}
    (found,) = against(plane, "web", body)
    assert (found.path, found.reason) == ("image", reason)
    assert way in found.mend
    plane.agent.away, plane.agent.refused = {}, []
    plane.controller._facts_at -= 0.6
    assert not against(plane, "web", body)


def test_more_replicas_than_a_node_can_run_are_refused_at_once(plane: Plane) -> None:
    body = service("ok", replicas=10**20)
    (found,) = against(plane, "web", body)
    assert found.path == "deploy.replicas"
    assert "more than one node can run" in found.reason
    assert found.mend == "write 10000 or fewer"


TWO_CPUS = {"resources": {"reservations": {"cpus": "2"}}, **FAST}
THREE_CPUS = {"resources": {"reservations": {"cpus": "3"}}, **FAST}


def told(plane: Plane, units: dict[str, Any], leaving: tuple[str, ...] = ()) -> list[Refusal]:
    asked = Asked([Wanted("service", *unit) for unit in units.items()], list(leaving))
    return plane.ask(lambda r: refusals.refusals(r.world, plane.controller, SHOP, asked))


def test_room_that_leaving_ones_give_back_counts_and_they_are_named(plane: Plane) -> None:
    for name in ("old", "aside"):
        plane.put(name, service("ok", deploy=TWO_CPUS))
    plane.run(5)
    new = {"new": service("ok", deploy=THREE_CPUS), "aside": service("ok", deploy=FAST)}
    (found,) = told(plane, new)
    assert found.unit == "service/new"
    assert found.freed_by == []
    assert "cpus" in found.reason
    assert "or take a larger host" in found.mend
    (found,) = told(plane, new, ("service/old",))
    assert found.freed_by == ["service/old"]


def test_only_those_are_waited_for_that_must_go(plane: Plane) -> None:
    plane.put("big", service("ok", deploy=THREE_CPUS))
    plane.put("small", service("ok", deploy={**FAST}))
    plane.run(5)
    new = {"new": service("ok", deploy=TWO_CPUS)}
    (found,) = told(plane, new, ("service/small", "service/big"))
    assert found.freed_by == ["service/big"]
    assert told(plane, {"new": service("ok")}, ("service/small", "service/big")) == []


def test_units_that_fit_alone_and_not_together_are_refused(plane: Plane) -> None:
    two = {"one": service("ok", deploy=THREE_CPUS), "two": service("ok", deploy=THREE_CPUS)}
    (found,) = told(plane, two)
    assert found.unit == "service/two"
    assert told(plane, {"one": two["one"]}) == told(plane, {"two": two["two"]}) == []


def test_what_shrinks_gives_room_to_the_others(plane: Plane) -> None:
    plane.put("one", service("ok", deploy=THREE_CPUS))
    plane.run(5)
    less = {"one": service("ok", deploy=FAST), "two": service("ok", deploy=THREE_CPUS)}
    assert told(plane, less) == []
    same = {"one": service("ok", deploy=THREE_CPUS), "two": service("ok", deploy=THREE_CPUS)}
    assert [refusal.unit for refusal in told(plane, same)] == ["service/two"]


def test_a_port_of_another_app_names_its_holder_and_the_way_to_free_it(plane: Plane) -> None:
    theirs = service("ok") | {"ports": [{"target": 80, "published": 8080}]}
    key = Key(App("default", "blog"), "service", "front")
    plane.ask(lambda r: r.put(key, Put(theirs)))
    (found,) = told(plane, {"web": theirs})
    assert "is published by default/blog/front already" in found.reason
    assert "orch down --name blog --namespace default" in found.mend
