"""Fields that the ledger calls held by processes, seen at the running process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orch_native.messages import Entry
from tests.integration.agent.conftest import allocation, await_, fetch, free_port
from tests.integration.agent.test_process import SLEEP, pid_of, root

if TYPE_CHECKING:
    from tests.integration.agent.conftest import Node

BODY: dict[str, Any] = {
    "entrypoint": ["sleep"],
    "command": ["1000"],
    "working_dir": "/usr",
    "user": "65534:50",
    "group_add": ["60"],
    "init": True,
    "tty": True,
    "pid": "host",
    "userns_mode": "host",
    "ipc": "private",
    "hostname": "webby",
    "domainname": "example.test",
    "environment": {"PLAIN": "a b", "PW": {"secret": "pw"}},
    "extra_hosts": {"elsewhere": "192.0.2.77", "here": "host-gateway"},
    "dns": ["192.0.2.53"],
    "dns_search": ["example.test"],
    "dns_opt": ["ndots:3"],
    "oom_score_adj": 300,
    "cap_drop": ["NET_RAW"],
    "security_opt": ["no-new-privileges"],
    "ulimits": {"nofile": {"soft": 100, "hard": 200}, "core": {"soft": 0, "hard": -1}},
    "volumes": [
        {"type": "volume", "source": "data", "target": "/data", "volume": {"subpath": "inner"}},
        {"type": "volume", "source": "many", "target": "/many"},
        {"type": "bind", "source": "/etc/hostname", "target": "/their-name", "read_only": True},
        {"type": "tmpfs", "target": "/scratch", "tmpfs": {"size": "1Mi", "mode": "0700"}},
    ],
    "configs": [{"source": "app", "target": "/etc/app.toml", "mode": "0440", "gid": "50"}],
    "secrets": [{"source": "pw", "target": "pw", "mode": "0400", "uid": "65534"}],
    "networks": {"front": {"aliases": ["www"]}},
    "deploy": {
        "resources": {
            "limits": {"memory": "32Mi", "cpus": "0.5", "pids": 20},
            "reservations": {"cpus": "0.25"},
        }
    },
}
STATUS = {
    "Uid": "65534\t65534\t65534\t65534",
    "Gid": "50\t50\t50\t50",
    "Groups": "50 60 ",
    "NoNewPrivs": "1",
}
LIMITS = {
    "Max open files": ["100", "200"],
    "Max core file size": ["0", "unlimited"],
}
CGROUPS = {
    ("memory", "memory.limit_in_bytes", "memory.max"): f"{32 << 20}",
    ("cpu", "cpu.cfs_quota_us", "cpu.max"): "50000",
    ("cpu", "cpu.shares", "cpu.weight"): "256",
    ("pids", "pids.max", "pids.max"): "20",
}


def facts_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def bounds_of(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return {
        name: line.removeprefix(name).split()[:2]
        for line in lines
        for name in LIMITS
        if line.startswith(name)
    }


def group_of(pid: int, controller: str) -> tuple[Path, bool]:
    """The folder of its control group, and whether it is one of version 2."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _number, names, path = line.split(":", 2)
        if controller in names.split(","):
            mounts = (entry.split() for entry in Path("/proc/self/mounts").read_text().splitlines())
            where = next(m[1] for m in mounts if m[2] == "cgroup" and controller in m[3].split(","))
            return Path(where + path), False
    path = Path(f"/proc/{pid}/cgroup").read_text().split("::", 1)[1].strip()
    return Path("/sys/fs/cgroup" + path), True


@root
def test_every_setting_is_on_the_process(node: Node) -> None:
    features = node.agent.facts().drivers["process"].features
    if not {"mounts", "limits-memory", "limits-cpu", "limits-pids"} <= features:
        pytest.skip("no private mounts or no control groups here")
    assert node.agent.refusals(BODY) == []
    one = allocation(
        "a1",
        BODY,
        files={"configs/app": b"answer = 42\n", "secrets/pw": b"canary-77"},
        values={"pw": "canary-77"},
        volumes={
            "data": {"name": "rows_data"},
            "many": {"name": "rows_many", "access": "read-only-many"},
        },
    )
    node.agent.assign([one])
    node.ready("a1")
    pid = pid_of(node, "a1")
    process = Path(f"/proc/{pid}")
    assert (process / "cmdline").read_bytes() == b"sleep\x001000\x00"
    assert (process / "cwd").readlink() == Path("/usr")
    assert (process / "oom_score_adj").read_text() == "300\n"
    assert str((process / "fd/0").readlink()).startswith("/dev/pts/")
    found = facts_of(pid)
    assert {key: found[key] for key in STATUS} == STATUS
    assert not int(found["CapBnd"], 16) >> 13 & 1, "NET_RAW is dropped"
    assert bounds_of(pid) == LIMITS
    environ = (process / "environ").read_bytes().split(b"\0")
    assert {b"PLAIN=a b", b"PW=canary-77", b"TERM=xterm"} <= set(environ)
    for name in ("mnt", "uts", "ipc"):
        assert (process / "ns" / name).readlink() != Path(f"/proc/self/ns/{name}").readlink(), name
    for name in ("pid", "user", "net"):
        assert (process / "ns" / name).readlink() == Path(f"/proc/self/ns/{name}").readlink(), name
    for (controller, first, second), wanted in CGROUPS.items():
        folder, unified = group_of(pid, controller)
        held = (folder / (second if unified else first)).read_text().split()[0]
        assert held == wanted or (unified and second == "cpu.weight"), (first, held)
    _look_inside(node)
    node.agent.assign([])
    node.gone()
    for volume in ("rows_data", "rows_many"):
        node.agent.remove_volume(volume)


def _look_inside(node: Node) -> None:
    script = (
        "uname -n; cat /proc/sys/kernel/domainname; cat /etc/app.toml /run/secrets/pw; echo;"
        "cat /etc/hosts /etc/resolv.conf; stat -c '%a %U' /etc/app.toml /run/secrets/pw /scratch;"
        "df -k /scratch; touch /many/x /their-name; touch /data/x 2>&1; ls -d /data"
    )
    code, text = node.run("a1", "sh", "-c", script)
    for expected in (
        "webby\nexample.test\n",
        "answer = 42\ncanary-77\n",
        "192.0.2.77 elsewhere\n",
        "127.0.0.1 here\n",
        "nameserver 192.0.2.53\nsearch example.test\noptions ndots:3\n",
        "440 root\n400 nobody\n700 root\n",
        " 1024 ",
        "/many/x': Read-only file system",
    ):
        assert expected in text, (code, expected, text)
    assert " www\n" in text or " www " in text, text


def test_output_that_nobody_wants_is_not_kept(node: Node) -> None:
    body = {"command": ["sh", "-c", "echo told; exec sleep 1000"], "logging": {"driver": "none"}}
    heard = {"command": ["sh", "-c", "echo told; exec sleep 1000"], "logging": {"driver": "local"}}
    node.agent.assign([allocation("a1", body), allocation("a2", heard, index=1)])
    node.ready("a1", "a2")
    await_(lambda: node.output("a2") == ["told"])
    assert node.output("a1") == []


@root
def test_a_network_of_nobody_has_a_loopback(node: Node) -> None:
    if "mounts" not in node.agent.facts().drivers["process"].features:
        pytest.skip("no namespaces of its own here")
    body = {**SLEEP, "network_mode": "none"}
    node.agent.assign([allocation("a1", body)])
    node.ready("a1")
    seen = node.run("a1", "cat", "/proc/net/dev")[1]
    assert [line.split(":")[0].strip() for line in seen.splitlines()[2:]] == ["lo"]
    answer = (
        "import socket; s = socket.create_server(('127.0.0.1', 7777));"
        " c = socket.create_connection(('127.0.0.1', 7777)); s.accept()[0].send(b'hello');"
        " print(c.recv(9))"
    )
    assert node.run("a1", "python3", "-c", answer)[1] == "b'hello'\n"


def test_the_host_s_own_network(node: Node) -> None:
    target, published, other = (free_port() for _ in range(3))
    ports = [
        {"target": target, "published": target},
        {"target": target, "published": published},
        {"target": target, "published": other, "mode": "host"},
    ]
    script = (
        "mkdir -p www && echo own > www/index.html &&"
        f" exec python3 -m http.server {target} --bind $ORCH_ADDRESS --directory www"
    )
    body = {"command": ["sh", "-c", script], "network_mode": "host", "ports": ports}
    entry = Entry("default/shop/web", target, published=published)
    node.agent.assign([allocation("a1", body)])
    node.route(entry, services={})
    node.ready("a1")
    node.route(entry, services={"default/shop/web": ["a1"]})
    for port in (target, published, other):
        assert fetch(f"http://127.0.0.1:{port}/") == "own\n"
    assert node.seen["a1"].ready, node.seen["a1"].message


def test_a_probe_may_name_a_port_of_what_runs_beside(node: Node) -> None:
    port = free_port()
    script = f"exec python3 -m http.server {port} --bind $ORCH_ADDRESS --directory /usr"
    body = {
        **SLEEP,
        "probes": {"readiness": {"tcp": {"port": "beside"}, "interval": "200ms"}},
        "sidecars": {
            "side": {
                "command": ["sh", "-c", script],
                "ports": [{"name": "beside", "target": port}],
            }
        },
    }
    node.agent.assign([allocation("a1", body)])
    node.ready("a1")


@pytest.mark.skipif(os.geteuid() != 0, reason="an agent of another user is made by root")
def test_without_root_nothing_is_gained_back(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    driver = node.agent._process
    monkeypatch.setattr(driver, "_able", replace(driver._able, root=False, mounts=False))
    hooked = {**SLEEP, "post_start": [{"command": ["true"], "user": "nobody"}]}
    assert [path for path, _ in node.agent.refusals(hooked)] == ["post_start[0].user"]
    node.agent.assign([allocation("a1", {**SLEEP, "cap_drop": ["ALL"]})])
    node.ready("a1")
    assert facts_of(pid_of(node, "a1"))["NoNewPrivs"] == "1"
