"""Plain processes of the host, run by a real agent."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import Conflict
from orch_native.agent import LocalAgent
from orch_native.messages import Entry
from tests.integration.agent.conftest import (
    NOWHERE,
    allocation,
    await_,
    fetch,
    free_port,
    stopped,
)

if TYPE_CHECKING:
    from tests.integration.agent.conftest import Node

root = pytest.mark.skipif(os.geteuid() != 0, reason="private mounts and users need root")
BAD = ["sh", "-c", "echo why; exit 3"]
SLEEP = {"command": ["sleep", "1000"]}
QUICK = {"restart_policy": {"delay": "100ms"}}
CANARY = "canary-5f3a9c"


def serve(port: int = 8080, text: str = "hello") -> dict[str, Any]:
    script = (
        f"mkdir -p www && echo {text} > www/index.html && "
        f"exec python3 -m http.server {port} --bind $ORCH_ADDRESS --directory www"
    )
    return {
        "command": ["sh", "-c", script],
        "ports": [{"name": "http", "target": port}],
        "probes": {"readiness": {"http": {"port": "http"}, "interval": "200ms"}},
        "deploy": QUICK,
    }


def can(node: Node, feature: str) -> bool:
    return feature in node.agent.facts().drivers["process"].features


def pid_of(node: Node, id: str) -> int:
    found = next((node.state / "tasks").glob(f"*-{id}/run.json"))
    return int(json.loads(found.read_text())["pid"])


def test_a_process_runs_and_is_removed(node: Node) -> None:
    node.agent.assign([allocation("a1", SLEEP)])
    node.ready("a1")
    pid = pid_of(node, "a1")
    assert Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    node.agent.assign([])
    node.gone()
    assert not Path(f"/proc/{pid}").exists()


def test_a_killed_process_comes_back(node: Node) -> None:
    node.agent.assign([allocation("a1", {**SLEEP, "deploy": QUICK})])
    node.ready("a1")
    before = pid_of(node, "a1")
    os.kill(before, signal.SIGKILL)
    node.until(lambda: node.seen["a1"].restarts == 1 and node.seen["a1"].ready)
    assert pid_of(node, "a1") != before
    assert node.seen["a1"].exit_code == 137


def test_a_restart_waits_longer_each_time(node: Node) -> None:
    body = {"command": ["false"], "deploy": {"restart_policy": {"delay": "200ms"}}}
    node.agent.assign([allocation("a1", body)])
    node.until(lambda: node.seen.get("a1") and node.seen["a1"].restarts >= 3)
    pauses = [o.message for o in node.history if o.state == "backoff"]
    assert list(dict.fromkeys(pauses))[:3] == [
        "exit code 1; starts again in 0.2s",
        "exit code 1; starts again in 0.4s",
        "exit code 1; starts again in 0.8s",
    ]


def test_a_job_ends_well_or_badly(node: Node) -> None:
    node.agent.assign(
        [
            allocation("good", {"command": ["true"]}, unit="good", kind="job"),
            allocation("bad", {"command": BAD}, unit="bad", kind="job"),
            allocation("late", {**SLEEP, "timeout": "300ms"}, unit="late", kind="job"),
        ]
    )
    node.until(lambda: node.state_of("good") == "completed")
    node.until(lambda: node.state_of("bad") == "failed" and node.state_of("late") == "failed")
    assert node.seen["bad"].message == "exit code 3: why"
    assert node.seen["late"].message == "timed out after 0.3s"
    node.restart()
    assert node.state_of("good") == ""
    node.agent.assign([allocation("good", {"command": ["true"]}, unit="good", kind="job")])
    node.until(lambda: node.state_of("good") == "completed")
    assert len([o for o in node.history if o.id == "good"]) == 1, "it must not run twice"


def test_a_command_that_is_not_there_says_so(node: Node) -> None:
    body = {"command": ["no-such-program"], "deploy": {"restart_policy": {"condition": "none"}}}
    node.agent.assign([allocation("a1", body)])
    node.until(lambda: node.state_of("a1") == "failed")
    expected = "can't start no-such-program: no-such-program: No such file or directory"
    assert node.seen["a1"].message == expected


def test_stop_gives_time_then_kills_the_whole_family(node: Node) -> None:
    script = "trap 'echo asked' TERM; sleep 1001 & while :; do sleep 0.1; done"
    body = {"command": ["bash", "-c", script], "stop_grace_period": "500ms"}
    one = allocation("a1", body)
    node.agent.assign([one])
    node.ready("a1")
    session = os.getsid(pid_of(node, "a1"))
    node.agent.assign([stopped(one)])
    node.until(lambda: node.state_of("a1") == "stopped")
    assert node.seen["a1"].exit_code == 137
    assert "asked" in node.output("a1")
    left = [p for p in Path("/proc").glob("[0-9]*/stat") if _session(p) == session]
    assert not left


def _session(stat: Path) -> int:
    try:
        return int(stat.read_bytes().rpartition(b")")[2].split()[3])
    except OSError:
        return 0


def test_a_new_agent_takes_running_ones_over(node: Node) -> None:
    one = allocation("a1", serve())
    node.agent.assign([one])
    node.ready("a1")
    before = pid_of(node, "a1")
    node.restart()
    node.agent.assign([one])
    node.ready("a1")
    assert pid_of(node, "a1") == before
    assert node.seen["a1"].restarts == 0
    assert next(o.ready for o in node.history if o.id == "a1"), "readiness must not flicker"


def test_an_end_that_nobody_saw_is_acted_upon_once(node: Node) -> None:
    one = allocation("a1", {**SLEEP, "deploy": QUICK})
    node.agent.assign([one])
    node.ready("a1")
    pid = pid_of(node, "a1")
    node.agent.close()
    os.kill(pid, signal.SIGKILL)
    await_(lambda: not Path(f"/proc/{pid}").exists())
    node.seen.clear()
    node.agent = LocalAgent(node.state, node._report, docker_host=NOWHERE)
    node.agent.assign([one])
    node.ready("a1")
    assert node.seen["a1"].restarts == 1


def test_what_an_earlier_agent_left_is_removed(node: Node) -> None:
    node.agent.assign([allocation("a1", SLEEP), allocation("a2", SLEEP, index=1)])
    node.ready("a1", "a2")
    pid = pid_of(node, "a2")
    node.restart()
    node.agent.assign([allocation("a1", SLEEP)])
    await_(lambda: not Path(f"/proc/{pid}").exists())
    node.ready("a1")


def test_one_folder_holds_one_agent(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orch_native.agent.local.LOCK_SECONDS", 0.1)
    with pytest.raises(Conflict, match="another agent works there"):
        LocalAgent(node.state, lambda _seen: None, docker_host=NOWHERE)


@root
def test_configs_secrets_and_volumes_are_where_the_spec_says(node: Node) -> None:
    if not can(node, "mounts"):
        pytest.skip("nothing can be mounted without CAP_SYS_ADMIN")
    script = "cat /etc/shop/app.toml /run/secrets/pw; id -u; touch /data/mark; sleep 1000"
    body = {
        "command": ["sh", "-c", script],
        "configs": [{"source": "app", "target": "/etc/shop/app.toml"}],
        "secrets": [{"source": "pw", "target": "pw", "mode": "0400", "uid": "65534"}],
        "environment": {"PW": {"secret": "pw"}},
        "volumes": [
            {"type": "volume", "source": "data", "target": "/data"},
            {"type": "tmpfs", "target": "/scratch", "tmpfs": {"size": "1Mi"}},
        ],
        "user": "nobody",
        "hostname": "webby",
    }
    one = allocation(
        "a1",
        body,
        files={"configs/app": b"answer = 42\n", "secrets/pw": f"{CANARY}\n".encode()},
        values={"pw": CANARY},
        volumes={"data": {"name": "shop_data"}},
    )
    assert node.agent.refusals(body) == []
    node.agent.assign([one])
    node.ready("a1")
    await_((node.state / "volumes/shop_data/mark").exists)
    assert node.output("a1")[:3] == ["answer = 42", CANARY, "65534"]
    code, text = node.run("a1", "sh", "-c", "hostname; df /scratch | tail -1; echo $PW; exit 4")
    assert code == 4
    assert text.startswith("webby\n")
    assert CANARY in text
    assert not Path("/etc/shop").exists(), "the host's own folders stay as they are"
    _no_canary(node.state, Path("/proc"))
    node.agent.remove_volume("shop_data")
    assert not (node.state / "volumes/shop_data").exists()


@root
def test_what_stands_at_the_root_is_in_a_root_of_its_own(node: Node) -> None:
    if not can(node, "mounts"):
        pytest.skip("nothing can be mounted without CAP_SYS_ADMIN")
    script = (
        "cat $ORCH_CONFIG_DIR/zz-app.toml /zz-made/deep/two.toml; touch /zz-data/mark; "
        "test -e /zz-scratch && cat /zz-up.toml; exec sleep 1000"
    )
    body = {
        "command": ["sh", "-c", script],
        "configs": [
            {"source": "app", "target": "zz-app.toml"},
            {"source": "app", "target": "/zz-made/deep/two.toml"},
            {"source": "app", "target": "../zz-up.toml"},
        ],
        "volumes": [
            {"type": "volume", "source": "data", "target": "/zz-data"},
            {"type": "tmpfs", "target": "/zz-scratch/inner"},
        ],
        "user": "nobody",
    }
    files, volumes = {"configs/app": b"answer = 42\n"}, {"data": {"name": "shop_data"}}
    assert node.agent.refusals(body) == []
    nowhere = {**SLEEP, "configs": [{"source": "app", "target": "/proc/zz"}]}
    assert node.agent.refusals(nowhere) == [("configs[0].target", "no file can be put there")]
    before = sorted(os.listdir("/"))  # noqa: PTH208
    node.agent.assign([allocation("a1", body, files=files, volumes=volumes)])
    node.ready("a1")
    await_(lambda: node.output("a1") == ["answer = 42"] * 3)
    await_((node.state / "volumes/shop_data/mark").exists)
    assert sorted(os.listdir("/")) == before  # noqa: PTH208
    code, text = node.run("a1", "sh", "-c", "cat /zz-app.toml; ls -d /etc /proc/self")
    assert (code, text.split("\n")[0]) == (0, "answer = 42")
    assert "/proc/self" in text
    node.agent.assign([])
    node.gone()
    assert sorted(os.listdir("/")) == before  # noqa: PTH208
    node.agent.remove_volume("shop_data")


def _no_canary(state: Path, proc: Path) -> None:
    logs = {p for p in state.rglob("log*") if p.is_file()}
    for path in state.rglob("*"):
        if path.is_file() and path not in logs:
            assert CANARY.encode() not in path.read_bytes(), path
    for path in proc.glob("[0-9]*/cmdline"):
        try:
            assert CANARY.encode() not in path.read_bytes()
        except OSError:
            continue


@root
def test_limits_hold(node: Node) -> None:
    if not {"limits-memory", "limits-pids"} <= node.agent.facts().drivers["process"].features:
        pytest.skip("no control groups can be written here")
    body = {
        "command": ["sleep", "1000"],
        "ulimits": {"nofile": {"soft": 100, "hard": 200}},
        "deploy": {
            "resources": {"limits": {"memory": "32Mi", "pids": 20, "cpus": "0.5"}},
            "restart_policy": {"condition": "none"},
        },
    }
    greedy = {**body, "command": ["sh", "-c", "x=$(head -c 100000000 /dev/zero | tr '\\0' a)"]}
    node.agent.assign([allocation("a1", body), allocation("a2", greedy, index=1)])
    node.ready("a1")
    assert node.run("a1", "sh", "-c", "ulimit -n")[1] == "100\n"
    groups = Path(f"/proc/{pid_of(node, 'a1')}/cgroup").read_text()
    memory = next(line.split(":")[2] for line in groups.splitlines() if ":memory:" in line)
    bound = Path("/sys/fs/cgroup/memory" + memory) / "memory.limit_in_bytes"
    assert bound.read_text() == f"{32 << 20}\n"
    node.until(lambda: node.state_of("a2") == "failed", 60)
    assert node.seen["a2"].exit_code != 0
    assert "more memory than its limit; raise limits.memory" in node.seen["a2"].message
    code, text = node.run("a1", "bash", "-c", "for i in {1..40}; do sleep 5 & done; wait")
    assert "Resource temporarily unavailable" in text, code
    assert node.agent.stats()["a1"]["memory"] < 32 << 20


@root
def test_privileges_are_taken_away(node: Node) -> None:
    body = {
        "command": ["sleep", "1000"],
        "cap_drop": ["ALL"],
        "cap_add": ["NET_BIND_SERVICE"],
        "security_opt": ["no-new-privileges:true"],
        "group_add": ["50"],
        "oom_score_adj": 500,
    }
    node.agent.assign([allocation("a1", body)])
    node.ready("a1")
    status = Path(f"/proc/{pid_of(node, 'a1')}/status").read_text()
    assert f"CapEff:\t{1 << 10:016x}" in status
    assert "NoNewPrivs:\t1" in status
    assert "Groups:\t0 50" in status
    assert Path(f"/proc/{pid_of(node, 'a1')}/oom_score_adj").read_text() == "500\n"
    assert f"CapEff:\t{1 << 10:016x}" in node.run("a1", "cat", "/proc/self/status")[1]


def test_published_ports_balance_over_ready_replicas(node: Node) -> None:
    port = free_port()
    web = {**serve(port, "one"), "ports": [{"name": "http", "target": port, "published": port}]}
    two = {**serve(port, "two"), "ports": web["ports"]}
    ones = [allocation("a1", web), allocation("a2", two, index=1)]
    node.agent.assign(ones)
    node.until(lambda: "is not open yet" in getattr(node.seen.get("a1"), "message", ""))
    assert not node.seen["a1"].ready, "its probe is content, but nobody can reach it"
    entry = Entry("default/shop/web", port, published=port)
    node.route(entry, services={})
    node.ready("a1", "a2")
    node.route(entry, services={"default/shop/web": ["a1", "a2"]})
    url = f"http://127.0.0.1:{port}/"
    assert {fetch(url) for _ in range(6)} == {"one\n", "two\n"}
    node.agent.assign([ones[0], stopped(ones[1])])
    node.until(lambda: node.state_of("a2") == "stopped")
    assert {fetch(url) for _ in range(6)} == {"one\n"}
    node.restart()
    assert fetch(url) == "one\n", "traffic flows while no agent is told anything"
    node.agent.assign([ones[0]])
    node.ready("a1")
    told = [seen.message for seen in node.history if not seen.ready]
    assert not any("not open" in message for message in told), "what was reached is not held again"


def test_services_find_each_other(node: Node) -> None:
    port = free_port()
    node.agent.assign([allocation("d1", serve(port, "data"), unit="db")])
    node.ready("d1")
    get = "import urllib.request as r; print(r.urlopen('http://$ORCH_SERVICE_DB_HTTP/').read())"
    ask = f'until python3 -c "{get}"; do sleep 0.1; done'
    client = {"command": ["sh", "-c", f"{ask}; cat /etc/hosts; sleep 1000"]}
    both = [allocation("d1", serve(port, "data"), unit="db"), allocation("c1", client, unit="cl")]
    node.route(Entry("default/shop/db", port), services={"default/shop/db": ["d1"]})
    node.agent.assign(both)
    node.ready("c1")
    await_(lambda: "b'data\\n'" in node.output("c1"))
    if can(node, "hosts-file"):
        await_(lambda: any(line.endswith("db db.shop.internal") for line in node.output("c1")))


def test_a_taken_port_is_told(node: Node) -> None:
    import socket

    with socket.create_server(("0.0.0.0", 0)) as other:
        port = other.getsockname()[1]
        body = {**SLEEP, "ports": [{"target": 9999, "published": port}]}
        ((path, reason),) = node.agent.refusals(body)
        assert path == "ports[0].published"
        assert f"port {port} of this host is in use" in reason
        node.agent.assign([allocation("a1", body)])
        node.route(Entry("default/shop/web", 9999, published=port), services={})
        told = "can't be opened: it is in use by another program"
        node.until(lambda: told in getattr(node.seen.get("a1"), "message", ""))
        assert not node.seen["a1"].ready
    node.until(lambda: node.seen["a1"].ready)


def test_logs_follow_over_a_restart(node: Node) -> None:
    body = {"command": ["sh", "-c", "echo start; sleep 1000"], "deploy": QUICK}
    node.agent.assign([allocation("a1", body)])
    node.ready("a1")
    lines = node.agent.logs("a1", follow=True, since=None, tail=None)
    assert next(lines).text == "start"
    os.kill(pid_of(node, "a1"), signal.SIGKILL)
    assert next(lines).text == "start"
    lines.close()
    assert len(node.output("a1")) == 2
    tail = list(node.agent.logs("a1", follow=False, since=None, tail=1))
    assert [line.text for line in tail] == ["start"]
    assert list(node.agent.logs("a1", follow=False, since=time.time(), tail=None)) == []


def test_logs_are_turned_over(node: Node) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line-$i; done; sleep 1000"
    body = {
        "command": ["bash", "-c", script],
        "logging": {"options": {"max-size": "16k", "max-file": "2"}},
    }
    node.agent.assign([allocation("a1", body)])
    node.ready("a1")
    await_(lambda: "line-3000" in node.output("a1"))
    found = node.output("a1")
    assert found == [f"line-{n}" for n in range(3001 - len(found), 3001)]
    folder = next((node.state / "tasks").iterdir())
    assert sorted(p.name for p in folder.glob("log*")) == ["log", "log.1"]


def test_a_terminal(node: Node) -> None:
    node.agent.assign([allocation("a1", SLEEP)])
    node.ready("a1")
    session = node.agent.exec("a1", ["bash", "-c", "tty; stty size; exit 5"], tty=True)
    session.resize(33, 44)
    text = b"".join(data for _stream, data in session.output()).decode()
    assert text.startswith("/dev/pts/")
    assert session.exit_code() == 5
    session.close()


def test_inits_sidecars_and_hooks(node: Node) -> None:
    body = {
        "command": ["sh", "-c", "sleep 1000"],
        "pre_start": [{"command": ["sh", "-c", "echo first"]}, {"command": ["true"]}],
        "sidecars": {"side": {"command": ["sh", "-c", "echo beside; sleep 1000"]}},
        "post_start": [{"command": ["sh", "-c", "echo up > started"]}],
        "pre_stop": [{"command": ["sh", "-c", "echo down > stopping"]}],
    }
    one = allocation("a1", body)
    node.agent.assign([one])
    node.ready("a1")
    await_(lambda: sorted(node.output("a1")) == ["beside", "first"])
    data = next((node.state / "tasks").glob("*-a1/data"))
    assert (data / "started").read_text() == "up\n"
    node.agent.assign([stopped(one)])
    node.until(lambda: node.state_of("a1") == "stopped")
    assert (data / "stopping").read_text() == "down\n"


def test_an_init_that_fails_holds_the_start(node: Node) -> None:
    body = {**SLEEP, "pre_start": [{"command": ["sh", "-c", "echo no; exit 7"]}]}
    node.agent.assign([allocation("a1", body)])
    node.until(lambda: node.state_of("a1") == "backoff")
    assert node.seen["a1"].message.startswith("pre_start[0] failed: exit code 7: no; starts again")


def test_what_a_process_cannot_have_is_refused(node: Node) -> None:
    body = {
        "command": ["true"],
        "read_only": True,
        "sysctls": {"net.core.somaxconn": "1"},
        "deploy": {"resources": {"limits": {"ephemeral_storage": "1Gi"}}},
        "logging": {"driver": "gelf"},
    }
    assert [path for path, _reason in node.agent.refusals(body)] == [
        "read_only",
        "sysctls",
        "logging.driver",
        "deploy.resources.limits.ephemeral_storage",
    ]
    ((path, reason),) = node.agent.refusals({"image": "x/y:1"})
    assert path == "image"
    assert "no Docker engine answers at unix:///nowhere/docker.sock" in reason


def test_output_of_old_ends_is_forgotten(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orch_native.agent.local.FINISHED_KEPT", 2)
    jobs = [
        allocation(f"j{n}", {"command": ["sh", "-c", f"echo {n}"]}, unit=f"j{n}", kind="job")
        for n in range(4)
    ]
    for number in range(4):
        node.agent.assign(jobs[: number + 1])
        node.until(lambda id=f"j{number}": node.state_of(id) == "completed")
    await_(lambda: len([*(node.state / "tasks").iterdir()]) == 2)
    assert node.output("j3") == ["3"]
    assert node.output("j0") == []
    assert node.state_of("j0") == "completed"
