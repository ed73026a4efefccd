"""Fields that the ledger calls held by containers, seen at the running container."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orch_native.agent.docker_driver import DockerDriver
from orch_native.messages import Entry
from tests.integration.agent.conftest import allocation, await_, fetch, free_port
from tests.integration.agent.test_docker import IMAGE, SLEEP, containers

if TYPE_CHECKING:
    from tests.integration.agent.conftest import Node
    from tests.integration.conftest import Engine

pytestmark = [pytest.mark.docker, pytest.mark.slow]

BODY: dict[str, Any] = {
    "image": IMAGE,
    "platform": "linux/amd64",
    "entrypoint": ["sh", "-c"],
    "command": ["trap 'exit 0' TERM; while :; do sleep 0.1; done", "given"],
    "init": True,
    "tty": True,
    "stdin_open": True,
    "pid": "host",
    "userns_mode": "host",
    "ipc": "shareable",
    "runtime": "runc",
    "annotations": {"note": "kept"},
    "labels": {"team": "storefront"},
    "logging": {"driver": "local", "options": {"max-size": "1m"}},
    "volumes": [
        {"type": "volume", "source": "data", "target": "/www", "volume": {"nocopy": True}},
        {"type": "volume", "source": "filled", "target": "/etc", "read_only": True},
        {"type": "volume", "source": "many", "target": "/many"},
    ],
    "networks": {
        "second": {"driver_opts": {"com.example.way": "b"}},
        "first": {"priority": 10, "aliases": ["www"]},
    },
    "deploy": {"resources": {"limits": {"cpus": "1.5"}}},
}
NETWORKS: dict[str, dict[str, Any]] = {
    "first": {
        "name": "rows_first",
        "driver": "bridge",
        "driver_opts": {"com.docker.network.driver.mtu": "1400"},
        "attachable": True,
        "enable_ipv6": True,
        "ipam": [
            {"subnet": "10.251.9.0/24", "gateway": "10.251.9.77", "ip_range": "10.251.9.128/25"},
            {"subnet": "fd00:251:9::/64"},
        ],
        "labels": {"zone": "a"},
    },
    "second": {"name": "rows_second", "internal": True},
}
VOLUMES: dict[str, dict[str, Any]] = {
    "data": {"name": "rows_data", "labels": {"backup": "yes"}},
    "filled": {"name": "rows_filled"},
    "many": {
        "name": "rows_many",
        "access": "read-only-many",
        "driver": "local",
        "driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"},
    },
}
SEEN: tuple[tuple[str, Any], ...] = (
    ("Config.Entrypoint", ["sh", "-c"]),
    ("Config.Cmd", BODY["command"]),
    ("Config.Tty", True),
    ("Config.OpenStdin", True),
    ("Config.Labels.note", "kept"),
    ("Config.Labels.team", "storefront"),
    ("HostConfig.Init", True),
    ("HostConfig.PidMode", "host"),
    ("HostConfig.UsernsMode", "host"),
    ("HostConfig.IpcMode", "shareable"),
    ("HostConfig.Runtime", "runc"),
    ("HostConfig.NanoCpus", 1_500_000_000),
    ("HostConfig.LogConfig.Type", "local"),
    ("HostConfig.LogConfig.Config.max-size", "1m"),
    ("HostConfig.NetworkMode", "rows_first"),
    ("NetworkSettings.Networks.rows_second.DriverOpts", {"com.example.way": "b"}),
)
SEEN_OF_FIRST: tuple[tuple[str, Any], ...] = (
    ("Options", {"com.docker.network.driver.mtu": "1400"}),
    ("Attachable", True),
    ("EnableIPv6", True),
    ("Labels.zone", "a"),
    ("IPAM.Config.0.Gateway", "10.251.9.77"),
    ("IPAM.Config.0.IPRange", "10.251.9.128/25"),
    ("IPAM.Config.1.Subnet", "fd00:251:9::/64"),
)


def at(found: Any, path: str) -> Any:
    """What stands at a path; labels and options may hold dots, so that the longest key wins."""
    keys = path.split(".")
    while keys:
        step = int(keys[0]) if isinstance(found, list) else keys[0]
        found, keys = found[step], keys[1:]
    return found


def missed(found: Any, rows: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    return {path: at(found, path) for path, wanted in rows if at(found, path) != wanted}


def test_every_setting_is_on_the_container(docker_node: Node, dockerd: Engine) -> None:
    assert docker_node.agent.refusals(BODY) == []
    docker_node.agent.assign([allocation("a1", BODY, networks=NETWORKS, volumes=VOLUMES)])
    docker_node.ready("a1")
    (found,) = containers(dockerd, "orch.allocation=a1", "orch.role=main")
    assert missed(found, SEEN) == {}
    client = dockerd.client()
    first = client.api.inspect_network("rows_first")
    second = client.api.inspect_network("rows_second")
    volumes = {v["Name"]: v for v in client.api.volumes()["Volumes"]}
    client.close()
    assert missed(first, SEEN_OF_FIRST) == {}
    assert second["Internal"]
    assert volumes["rows_data"]["Labels"]["backup"] == "yes"
    assert volumes["rows_many"]["Options"]["o"] == "size=1m"
    _, inside = docker_node.run(
        "a1",
        "sh",
        "-c",
        "exec 2>&1; ls /www | wc -l; ls /etc | wc -l; "
        "touch /etc/x; touch /many/x; df -k /many | tail -1",
    )
    bare, filled, *rest = inside.splitlines()
    assert (bare.strip(), int(filled) > 0) == ("0", True), inside
    assert sum("Read-only file system" in line for line in rest) == 2, inside
    assert rest[-1].split()[1] == "1024", inside
    mine = f"/proc/{os.getpid()}/comm"
    assert docker_node.run("a1", "cat", mine) == (0, Path(mine).read_text()), "the host's own pids"
    docker_node.agent.assign([])
    docker_node.gone()
    for volume in VOLUMES.values():
        docker_node.agent.remove_volume(str(volume["name"]))


def test_what_a_container_alone_may_do(docker_node: Node, dockerd: Engine, tmp_path: Path) -> None:
    profile = tmp_path / "seccomp.json"
    profile.write_text(
        json.dumps(
            {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
            }
        )
    )
    closed = {**SLEEP, "security_opt": [f"seccomp={profile}"], "group_add": ["50"]}
    lifted = {**SLEEP, "privileged": True}
    silent = {**SLEEP, "logging": {"driver": "none"}}
    absent = {**SLEEP, "security_opt": ["seccomp=/nowhere.json"]}
    docker_node.agent.assign(
        [
            allocation("closed", closed, unit="closed"),
            allocation("lifted", lifted, unit="lifted"),
            allocation("silent", silent, unit="silent"),
            allocation("absent", absent, unit="absent"),
        ]
    )
    docker_node.ready("closed", "silent")
    code, text = docker_node.run("closed", "mkdir", "/tmp/x")
    assert (code, "Operation not permitted" in text) == (1, True)
    assert docker_node.run("closed", "touch", "/tmp/y")[0] == 0
    assert "50(staff)" in docker_node.run("closed", "id")[1]
    # Whether the engine may lift all isolation is the host's affair; that it is asked is ours.
    await_(lambda: containers(dockerd, "orch.allocation=lifted"))
    assert containers(dockerd, "orch.allocation=lifted")[0]["HostConfig"]["Privileged"]
    assert docker_node.output("silent") == []
    docker_node.until(lambda: docker_node.state_of("absent") == "backoff")
    told = docker_node.seen["absent"].message
    assert told.startswith("the seccomp profile /nowhere.json: No such file or directory"), told


def test_the_host_s_own_network_and_none(docker_node: Node) -> None:
    target, published, other = (free_port() for _ in range(3))
    serve = ["sh", "-c", f"exec busybox httpd -f -p {target} -h /www"]
    ports = [
        {"target": target, "published": target},
        {"target": target, "published": published},
        {"target": target, "published": other, "mode": "host"},
    ]
    host = {**SLEEP, "command": serve, "network_mode": "host", "ports": ports}
    alone = {**SLEEP, "network_mode": "none"}
    docker_node.agent.assign(
        [allocation("h1", host), allocation("n1", alone, unit="alone", networks={})]
    )
    entry = Entry("default/shop/web", target, published=published)
    docker_node.route(entry, services={})
    docker_node.ready("h1", "n1")
    docker_node.route(entry, services={"default/shop/web": ["h1"]})
    for port in (target, published, other):
        assert fetch(f"http://127.0.0.1:{port}/") == "hello\n"
    assert docker_node.seen["h1"].ready, docker_node.seen["h1"].message
    assert "lo" in docker_node.run("n1", "ip", "-o", "link")[1].split(":")[1]
    assert "eth0" not in docker_node.run("n1", "ip", "-o", "link")[1]


def test_ports_and_probes_of_what_runs_beside(docker_node: Node) -> None:
    inner, published = free_port(), free_port()
    side = {
        "image": IMAGE,
        "init": True,
        "command": ["busybox", "httpd", "-f", "-p", str(inner), "-h", "/www"],
        "ports": [{"name": "beside", "target": inner, "published": published, "mode": "host"}],
        "user": "65534:50",
        "working_dir": "/tmp",
        "read_only": True,
        "resources": {"limits": {"memory": "16Mi"}},
        "ulimits": {"nofile": {"soft": 64, "hard": 64}},
    }
    probe = {"readiness": {"http": {"port": "beside"}, "interval": "200ms"}}
    body = {**SLEEP, "sidecars": {"side": side}, "probes": probe}
    docker_node.agent.assign([allocation("a1", body)])
    docker_node.ready("a1")
    assert fetch(f"http://127.0.0.1:{published}/") == "hello\n"


def test_a_network_of_others_is_joined_and_never_removed(
    docker_node: Node, dockerd: Engine
) -> None:
    client = dockerd.client()
    theirs = client.networks.create("theirs")
    known = {"theirs": {"name": "theirs", "external": True}}
    body = {**SLEEP, "networks": {"theirs": {}}}
    missing = allocation(
        "m1",
        {**SLEEP, "networks": {"no": {}}},
        unit="m",
        networks={"no": {"name": "nowhere", "external": True}},
    )
    try:
        docker_node.agent.assign([allocation("a1", body, networks=known), missing])
        docker_node.ready("a1")
        docker_node.until(lambda: docker_node.state_of("m1") == "backoff")
        assert docker_node.seen["m1"].message.startswith(
            "the network nowhere is external and not on this host"
        )
        docker_node.agent.assign([])
        docker_node.gone()
        theirs.reload()
    finally:
        theirs.remove()
        client.close()


def test_a_network_that_others_use_keeps_no_old_settings_in_silence(
    docker_node: Node, dockerd: Engine
) -> None:
    def joined(id: str, **settings: Any) -> Any:
        networks = {"front": {"name": "rows_front", **settings}}
        return allocation(id, {**SLEEP, "networks": {"front": {}}}, networks=networks)

    client = dockerd.client()
    docker_node.agent.assign([joined("a1")])
    docker_node.ready("a1")
    guest = client.containers.run(
        IMAGE, ["sleep", "1000"], detach=True, network="rows_front", init=True, name="guest"
    )
    try:
        docker_node.agent.assign([])
        await_(lambda: not containers(dockerd, "orch.allocation=a1"))
        docker_node.agent.assign([joined("a2", internal=True)])
        docker_node.until(lambda: docker_node.state_of("a2") == "backoff")
        assert docker_node.seen["a2"].message.startswith(
            "the network rows_front can't be changed: guest uses it; end that"
        )
    finally:
        guest.remove(force=True)
    docker_node.ready("a2")
    assert client.api.inspect_network("rows_front")["Internal"]
    client.close()


def test_what_an_engine_has_is_told(dockerd: Engine, docker_node: Node) -> None:
    client = dockerd.client()
    info = client.info()
    client.close()
    facts = docker_node.agent.facts()
    assert facts.drivers[DockerDriver.name].labels == {"rack": "r1"}, info["Labels"]
    assert facts.devices == {"licence": 2}
