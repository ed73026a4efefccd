"""Containers on a real Docker engine, run by a real agent."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from docker.errors import NotFound

from orch.errors import Refused
from orch_native.messages import Entry
from tests.integration.agent.conftest import (
    allocation,
    await_,
    fetch,
    free_port,
    stopped,
)

if TYPE_CHECKING:
    from tests.integration.agent.conftest import Node
    from tests.integration.conftest import Engine

pytestmark = [pytest.mark.docker, pytest.mark.slow]

IMAGE = "local/tool:1"
QUICK = {"restart_policy": {"delay": "100ms"}}
SLEEP = {"image": IMAGE, "command": ["sleep", "1000"], "init": True, "deploy": QUICK}
CANARY = "canary-91b2ee"


def containers(dockerd: Engine, *labels: str) -> list[dict[str, Any]]:
    client, found = dockerd.client(), []
    try:
        for listed in client.api.containers(all=True, filters={"label": list(labels)}):
            with suppress(NotFound):  # one can go between the list and the look
                found.append(client.api.inspect_container(listed["Id"]))
    finally:
        client.close()
    return found


def kill(dockerd: Engine, id: str) -> None:
    client = dockerd.client()
    labels = [f"orch.allocation={id}", "orch.role=main"]
    for container in client.api.containers(filters={"label": labels}):
        client.api.kill(container["Id"])
    client.close()


def test_what_the_spec_says_is_what_runs(docker_node: Node, dockerd: Engine) -> None:
    body = {
        **SLEEP,
        "working_dir": "/tmp",
        "user": "65534:50",
        "group_add": ["0"],
        "environment": {"PLAIN": "a b", "PW": {"secret": "pw"}},
        "cap_drop": ["ALL"],
        "cap_add": ["NET_BIND_SERVICE"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "ulimits": {"nofile": {"soft": 100, "hard": 200}},
        "sysctls": {"net.ipv4.ip_unprivileged_port_start": "80"},
        "shm_size": "8Mi",
        "devices": [{"source": "/dev/null", "target": "/dev/nothing"}],
        "volumes": [
            {"type": "volume", "source": "data", "target": "/data"},
            {"type": "bind", "source": "/etc/hostname", "target": "/their-name", "read_only": True},
            {"type": "tmpfs", "target": "/scratch", "tmpfs": {"size": "1Mi", "mode": "0700"}},
        ],
        "configs": [{"source": "app", "target": "/etc/shop/app.toml", "mode": "0440", "gid": "50"}],
        "secrets": [{"source": "pw", "target": "pw", "mode": "0400", "uid": "65534"}],
        "hostname": "webby",
        "domainname": "example.test",
        "extra_hosts": {"elsewhere": "192.0.2.77"},
        "dns": ["192.0.2.53"],
        "dns_search": ["example.test"],
        "dns_opt": ["ndots:3"],
        "ipc": "private",
        "oom_score_adj": 500,
        "stop_signal": "SIGINT",
        "labels": {"team": "storefront"},
        "annotations": {"note": "kept"},
        "networks": {"back": {"aliases": ["www"], "ipv4_address": "10.251.7.9"}},
        "deploy": {
            "resources": {
                "limits": {"memory": "32Mi", "swap": "0", "cpus": "0.5", "pids": 20},
                "reservations": {"memory": "16Mi", "cpus": "0.25"},
            }
        },
    }
    back = {"name": "shop_back", "ipam": [{"subnet": "10.251.7.0/24"}], "internal": True}
    one = allocation(
        "a1",
        body,
        files={"configs/app": b"answer = 42\n", "secrets/pw": CANARY.encode()},
        values={"pw": CANARY},
        volumes={"data": {"name": "shop_data", "labels": {"kept": "yes"}}},
        networks={"back": back},
    )
    assert docker_node.agent.refusals(body) == []
    docker_node.agent.assign([one])
    docker_node.ready("a1")
    code, text = docker_node.run(
        "a1",
        "sh",
        "-c",
        "id; pwd; hostname; ulimit -n; cat /etc/shop/app.toml /run/secrets/pw; echo; "
        "cat /etc/hosts /etc/resolv.conf; df /scratch /dev/shm; ls -l /dev/nothing; touch /x; "
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; grep Cap /proc/self/status",
    )
    for expected in (
        "uid=65534(nobody) gid=50(staff) groups=0(root),50(staff)",
        "/tmp\nwebby",
        "\n100\n",
        "answer = 42",
        CANARY,
        "192.0.2.77\telsewhere",
        "search example.test",
        "Read-only file system",
        "\n80\n",
        f"CapBnd:\t{1 << 10:016x}",
    ):
        assert expected in text, (code, expected, text)
    (found,) = containers(dockerd, "orch.allocation=a1")
    host = found["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (
        32 << 20,
        32 << 20,
        500_000_000,
        20,
    )
    assert (host["MemoryReservation"], host["CpuShares"]) == (16 << 20, 256)
    assert (host["ShmSize"], host["OomScoreAdj"]) == (8 << 20, 500)
    assert found["Config"]["StopSignal"] == "SIGINT"
    assert found["Config"]["Labels"]["team"] == "storefront"
    assert found["NetworkSettings"]["Networks"]["shop_back"]["IPAddress"] == "10.251.7.9"
    assert docker_node.seen["a1"].address == "10.251.7.9"
    docker_node.agent.assign([])
    docker_node.gone()
    client = dockerd.client()
    assert not client.networks.list(names=["shop_back"])
    assert [v.name for v in client.volumes.list()] == ["shop_data"]
    docker_node.agent.remove_volume("shop_data")
    assert not client.volumes.list()
    client.close()


def test_a_secret_as_a_file_is_nowhere_else(docker_node: Node, dockerd: Engine) -> None:
    body = {**SLEEP, "secrets": [{"source": "pw", "target": "pw"}]}
    docker_node.agent.assign([allocation("a1", body, files={"secrets/pw": CANARY.encode()})])
    docker_node.ready("a1")
    assert docker_node.run("a1", "cat", "/run/secrets/pw") == (0, CANARY)
    assert CANARY not in json.dumps(containers(dockerd, "orch.allocation=a1"))
    for path in docker_node.state.rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path


def test_a_killed_container_comes_back_and_keeps_its_output(
    docker_node: Node, dockerd: Engine
) -> None:
    body = {**SLEEP, "command": ["sh", "-c", "echo up; sleep 1000"]}
    docker_node.agent.assign([allocation("a1", body)])
    docker_node.ready("a1")
    lines = docker_node.agent.logs("a1", follow=True, since=None, tail=None)
    assert next(lines).text == "up"
    kill(dockerd, "a1")
    docker_node.until(lambda: docker_node.seen["a1"].restarts == 1)
    assert next(lines).text == "up"
    lines.close()
    docker_node.ready("a1")
    assert docker_node.output("a1") == ["up", "up"]


def test_a_new_agent_takes_containers_over(docker_node: Node, dockerd: Engine) -> None:
    one = allocation("a1", SLEEP)
    docker_node.agent.assign([one])
    docker_node.ready("a1")
    (before,) = containers(dockerd, "orch.allocation=a1")
    docker_node.restart()
    docker_node.agent.assign([one])
    docker_node.ready("a1")
    (after,) = containers(dockerd, "orch.allocation=a1")
    assert (before["Id"], before["State"]["Pid"]) == (after["Id"], after["State"]["Pid"])
    docker_node.restart()
    docker_node.agent.assign([])
    await_(lambda: not containers(dockerd, "orch.allocation=a1"))


def test_containers_of_others_are_left_alone(docker_node: Node, dockerd: Engine) -> None:
    client = dockerd.client()
    labels = {"orch.agent": "another", "orch.allocation": "zz", "orch.handle": "x"}
    other = client.containers.run(
        IMAGE, ["sleep", "1000"], detach=True, network_mode="none", labels=labels, init=True
    )
    docker_node.agent.assign([allocation("a1", SLEEP)])
    docker_node.ready("a1")
    docker_node.agent.assign([])
    docker_node.gone()
    other.reload()
    assert other.status == "running"
    other.remove(force=True)
    client.close()


def test_names_balance_and_published_ports(docker_node: Node) -> None:
    port = free_port()
    script = "hostname > /www/index.html; exec busybox httpd -f -p 8080 -h /www"
    web = {
        "image": IMAGE,
        "command": ["sh", "-c", script],
        "init": True,
        "ports": [{"name": "http", "target": 8080, "published": port}],
        "probes": {"readiness": {"http": {"port": "http"}, "interval": "200ms"}},
        "deploy": QUICK,
        "networks": {"front": {"aliases": ["www"]}},
    }
    nets = {"front": {"name": "shop_front"}}
    both = [allocation(f"w{n}", web, index=n, networks=nets) for n in range(2)]
    client = {**SLEEP, "networks": {"front": {}}}
    caller = allocation("c1", client, unit="cl", networks=nets)
    docker_node.agent.assign([*both, caller])
    entry = Entry("default/shop/web", 8080, published=port)
    docker_node.route(entry, services={})
    docker_node.ready("w0", "w1", "c1")
    _, text = docker_node.run("c1", "sh", "-c", "nslookup web; nslookup www; curl -s web-1:8080")
    addresses = {docker_node.seen[id].address for id in ("w0", "w1")}
    assert all(text.count(address) >= 2 for address in addresses)
    docker_node.route(entry, services={"default/shop/web": ["w0", "w1"]})
    assert len({fetch(f"http://127.0.0.1:{port}/") for _ in range(6)}) == 2
    docker_node.agent.assign([both[0], stopped(both[1]), caller])
    docker_node.until(lambda: docker_node.state_of("w1") == "stopped")
    assert len({fetch(f"http://127.0.0.1:{port}/") for _ in range(6)}) == 1


def test_ports_of_mode_host_are_the_engines(docker_node: Node) -> None:
    port = free_port()
    body = {
        "image": IMAGE,
        "command": ["busybox", "httpd", "-f", "-p", "8080", "-h", "/www"],
        "init": True,
        "ports": [{"target": 8080, "published": port, "mode": "host"}],
    }
    docker_node.agent.assign([allocation("a1", body)])
    docker_node.ready("a1")
    assert fetch(f"http://127.0.0.1:{port}/") == "hello\n"


def test_inits_sidecars_and_hooks(docker_node: Node) -> None:
    body = {
        **SLEEP,
        "command": ["sh", "-c", "cat /shared/made; exec busybox httpd -f -p 8080 -h /www"],
        "volumes": [{"type": "volume", "source": "shared", "target": "/shared"}],
        "pre_start": [
            {
                "image": IMAGE,
                "command": ["sh", "-c", "echo prepared > /shared/made"],
                "volumes": [{"type": "volume", "source": "shared", "target": "/shared"}],
            }
        ],
        "sidecars": {
            "side": {
                "image": IMAGE,
                "init": True,
                "command": ["sh", "-c", "sleep 0.3; curl -s localhost:8080; sleep 1000"],
            }
        },
        "post_start": [
            {"command": ["sh", "-c", "echo $HOOK > /tmp/up"], "environment": {"HOOK": "x"}}
        ],
        "pre_stop": [{"command": ["sh", "-c", "echo bye > /shared/stopping"]}],
    }
    one = allocation("a1", body, volumes={"shared": {"name": "shop_shared"}})
    docker_node.agent.assign([one])
    docker_node.ready("a1")
    assert docker_node.run("a1", "cat", "/tmp/up") == (0, "x\n")
    await_(lambda: sorted(docker_node.output("a1")) == ["hello", "prepared"])
    reader = {**SLEEP, "volumes": body["volumes"]}
    docker_node.agent.assign(
        [stopped(one), allocation("r1", reader, volumes=one.volumes, unit="r")]
    )
    docker_node.until(lambda: docker_node.state_of("a1") == "stopped")
    docker_node.ready("r1")
    assert docker_node.run("r1", "cat", "/shared/stopping") == (0, "bye\n")
    docker_node.agent.assign([])
    docker_node.gone()
    docker_node.agent.remove_volume("shop_shared")


def test_a_removed_container_is_missed_at_once(docker_node: Node, dockerd: Engine) -> None:
    docker_node.agent.assign([allocation("a1", SLEEP)])
    docker_node.ready("a1")
    client = dockerd.client()
    for _ in range(5):
        seen = len(docker_node.history)
        (found,) = containers(dockerd, "orch.allocation=a1", "orch.role=main")[-1:]
        client.api.remove_container(found["Id"], force=True)
        docker_node.until(
            lambda seen=seen: any(o.state == "backoff" for o in docker_node.history[seen:]),  # type: ignore[misc]
            3,
        )
        docker_node.ready("a1")
    client.close()


def test_a_program_that_no_image_holds(docker_node: Node) -> None:
    docker_node.agent.assign([allocation("a1", SLEEP)])
    docker_node.ready("a1")
    for program, words in (("nosuch", "executable file not found"), ("/no/such", "no such file")):
        code, text = docker_node.run("a1", program)
        assert (code, text.startswith(f"{program}: ")) == (127, True), text
        assert words in text
        assert "run what the image holds" in text
        assert "OCI" not in text
    assert docker_node.run("a1", "sh", "-c", "exit 126")[0] == 126


def test_a_volume_in_use_says_by_whom(docker_node: Node, dockerd: Engine) -> None:
    body = {**SLEEP, "volumes": [{"type": "volume", "source": "d", "target": "/d"}]}
    one = allocation("a1", body, volumes={"d": {"name": "shop_d"}})
    docker_node.agent.assign([one])
    docker_node.ready("a1")
    docker_node.agent.assign([stopped(one)])
    docker_node.until(lambda: docker_node.state_of("a1") == "stopped")
    client = dockerd.client()
    stranger = client.containers.create(
        IMAGE, ["true"], name="stranger", network_mode="none", volumes=["shop_d:/x"]
    )
    with pytest.raises(Refused, match="it is in use by stranger") as caught:
        docker_node.agent.remove_volume("shop_d")
    assert caught.value.mend == "docker rm --force stranger"
    stranger.remove()
    docker_node.agent.remove_volume("shop_d")
    assert not client.volumes.list(filters={"name": "shop_d"})
    client.close()


def test_too_much_memory_is_told(docker_node: Node) -> None:
    body = {
        "image": IMAGE,
        "command": ["sh", "-c", "x=$(head -c 100000000 /dev/zero | tr '\\0' a); echo survived"],
        "deploy": {
            "resources": {"limits": {"memory": "16Mi", "swap": "0"}},
            "restart_policy": {"condition": "none"},
        },
    }
    docker_node.agent.assign([allocation("a1", body)])
    docker_node.until(lambda: docker_node.state_of("a1") == "failed", 60)
    assert "more memory than its limit; raise limits.memory" in docker_node.seen["a1"].message


def test_missing_images_are_told(docker_node: Node) -> None:
    never = {**SLEEP, "image": "local/none:1", "pull_policy": "never"}
    pulled = {**SLEEP, "image": "localhost:1/none:1"}
    docker_node.agent.assign([allocation("a1", never), allocation("a2", pulled, index=1)])
    docker_node.until(lambda: docker_node.state_of("a1") == "backoff")
    docker_node.until(lambda: docker_node.state_of("a2") == "backoff")
    assert docker_node.seen["a1"].message.startswith(
        "the image local/none:1 is not on this host, and pull_policy is never"
    )
    assert docker_node.seen["a2"].message.startswith(
        "the image localhost:1/none:1 can't be pulled: "
    )


def test_liveness_restarts_and_a_terminal(docker_node: Node) -> None:
    body = {
        **SLEEP,
        "command": ["sh", "-c", "touch /tmp/alive; sleep 1000"],
        "probes": {
            "startup": {"exec": {"command": ["test", "-e", "/tmp/alive"]}, "interval": "100ms"},
            "liveness": {
                "exec": {"command": ["test", "-e", "/tmp/alive"]},
                "interval": "100ms",
                "failure_threshold": 2,
            },
        },
    }
    docker_node.agent.assign([allocation("a1", body)])
    docker_node.ready("a1")
    session = docker_node.agent.exec("a1", ["sh"], tty=True)
    session.write(b"rm /tmp/alive; exit 6\n")
    assert b"rm /tmp/alive" in b"".join(data for _stream, data in session.output())
    assert session.exit_code() == 6
    session.close()
    docker_node.until(lambda: docker_node.seen["a1"].restarts == 1)
    assert any("liveness probe failed: exit code 1" in o.message for o in docker_node.history)
    docker_node.ready("a1")
    assert docker_node.agent.stats()["a1"]["memory"] > 0


def test_an_engine_cannot_do_everything(docker_node: Node) -> None:
    body = {
        **SLEEP,
        "runtime": "kata",
        "deploy": {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"]}]}}},
        "volumes": [
            {"type": "volume", "source": "d", "target": "/d", "volume": {"subpath": "inner"}}
        ],
    }
    found = dict(docker_node.agent.refusals(body))
    assert set(found) == {
        "runtime",
        "deploy.resources.reservations.devices[0]",
        "volumes[0].volume.subpath",
    }
