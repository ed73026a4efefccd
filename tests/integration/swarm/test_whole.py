"""Everything that Swarm holds, on a real swarm: sent, running, and with nothing left to change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orch_swarm.names import real_name

if TYPE_CHECKING:
    from orch.testing.conformance import Trial
    from orch_swarm.backend import SwarmBackend

pytestmark = [pytest.mark.docker, pytest.mark.root]


def everything(trial: Trial) -> dict[str, Any]:
    web = trial.web_service("one", replicas=2)
    web |= {
        "working_dir": "/tmp",
        "user": "0:0",
        "group_add": ["50"],
        "init": True,
        "read_only": False,
        "cap_add": ["NET_ADMIN", "CAP_SYS_TIME"],
        "cap_drop": ["MKNOD"],
        "ulimits": {"nofile": {"soft": 512, "hard": 1024}},
        "sysctls": {"net.core.somaxconn": 512},
        "shm_size": "16M",
        "stop_signal": "SIGINT",
        "hostname": "front",
        "extra_hosts": {"legacy.example.com": "192.0.2.7"},
        "dns_search": ["example.com"],
        "dns_opt": ["timeout:1"],
        "labels": {"team": "storefront"},
        "annotations": {"contact": "storefront"},
        "logging": {"driver": "json-file", "options": {"max-size": "1m"}},
        "configs": [{"source": "page", "target": "/etc/page.txt", "mode": "0440", "uid": "1000"}],
        "secrets": [{"source": "token", "target": "token", "mode": "0400"}],
        "networks": {"front": {"aliases": ["www"]}, "back": {}},
        "volumes": [
            {"type": "volume", "source": "data", "target": "/data"},
            {"type": "tmpfs", "target": "/scratch", "tmpfs": {"size": "8M", "mode": "1777"}},
            {"type": "bind", "source": "/usr", "target": "/host", "read_only": True},
        ],
    }
    web["probes"]["startup"] = {"tcp": {"port": 8080}, "interval": "1s", "failure_threshold": 5}
    web["deploy"] |= {
        "labels": {"tier": "front"},
        "resources": {
            "limits": {"cpus": "0.5", "memory": "64M", "pids": 100},
            "reservations": {"cpus": "0.1", "memory": "16M"},
        },
        "placement": {
            "constraints": ["node.role == manager", "node.labels.gone != yes"],
            "preferences": [{"spread": "node.labels.zone"}],
            "max_replicas_per_node": 5,
        },
        "restart_policy": {"condition": "any", "delay": "1s", "max_attempts": 3, "window": "1m"},
        "rollback_config": {"parallelism": 0, "monitor": "1s"},
    }
    every = {**trial.shell("sleep 600"), "deploy": {"mode": "global"}, "networks": {"front": {}}}
    return {
        "labels": {"owner": "shop"},
        "services": {
            "web": web,
            "every": every,
        },
        "jobs": {"once": trial.shell("echo done", completions=2, parallelism=2)},
        "configs": {"page": {"content": "hello\n", "labels": {"kind": "page"}}},
        "secrets": {"token": {"provider": "env", "key": "TOKEN"}},
        "volumes": {"data": {"access": "shared", "labels": {"backup": "nightly"}}},
        "networks": {
            "front": {"attachable": True, "labels": {"side": "out"}},
            "back": {
                "internal": True,
                "encrypted": True,
                "ipam": [{"subnet": "10.206.0.0/24"}],
            },
        },
    }


def test_every_field_arrives_and_a_second_plan_is_empty(
    trial: Trial, backend: SwarmBackend, capfd: pytest.CaptureFixture[str]
) -> None:
    trial.secrets.values["token"] = "canary-5e1f"
    document = everything(trial)
    trial.deployed(document)
    changes = {a.id: a.changes for a in trial.plan(document).plan.pending}
    assert changes == {}
    assert trial.session().drift() == ()
    looks = {
        "test $(cat /etc/page.txt) = hello": "config",
        "test $(stat -c %a /etc/page.txt) = 440": "mode of the config",
        "test $(cat /run/secrets/token) = canary-5e1f": "secret",
        # That of the service itself: runc may raise the one of a command that joins it.
        "grep -q 'Max open files  *512  *1024' /proc/1/limits": "ulimit",
        "test $(hostname) = front": "hostname",
        "grep -q legacy.example.com /etc/hosts": "extra_hosts",
        "grep -q 'search example.com' /etc/resolv.conf": "dns_search",
        "df /dev/shm | grep -q 16384": "shm_size",
        "test $(cat /proc/sys/net/core/somaxconn) = 512": "sysctl",
        "test -d /host/bin && ! touch /host/x 2>/dev/null": "read-only bind",
        "test $(pwd) = /tmp": "working_dir",
        "touch /data/x && touch /scratch/x": "volumes",
        "id -G | grep -q 50": "group_add",
    }
    missing = [noun for script, noun in looks.items() if trial.exec(script) != 0]
    assert missing == [], capfd.readouterr()
    assert trial.exec("nslookup www && nslookup web", "every") == 0, capfd.readouterr()
    assert trial.exec("nslookup wwx", "every") != 0
    back = backend.client.one("networks", real_name(trial.instance, "back"))
    assert back is not None
    assert "encrypted" in back["Options"]
    row = backend.client.one("services", real_name(trial.instance, "web"))
    assert row is not None
    assert "canary-5e1f" not in json.dumps(row)


def test_configs_and_secrets_change_and_earlier_ones_are_collected(
    trial: Trial, backend: SwarmBackend
) -> None:
    def document(text: str) -> dict[str, Any]:
        web = trial.web_service("one")
        web["configs"] = [{"source": "page", "target": "/page"}]
        web["secrets"] = [{"source": "token", "target": "token"}]
        return {
            "services": {"web": web},
            "configs": {"page": {"content": text}},
            "secrets": {"token": {"provider": "env", "key": "TOKEN"}},
        }

    def held(kind: str) -> list[str]:
        prefix = real_name(trial.instance, "x")[:-1]
        rows = (row.get("Spec", row) for row in backend.client.listed(kind))
        return [row["Name"] for row in rows if row["Name"].startswith(prefix)]

    for number in range(3):
        trial.secrets.values["token"] = f"value {number}"
        trial.deployed(document(f"text {number}"))
        assert trial.pending(document(f"text {number}")) == []
        assert trial.exec(f"test \"$(cat /page)\" = 'text {number}'") == 0
        assert trial.exec(f"test \"$(cat /run/secrets/token)\" = 'value {number}'") == 0
    # The newest one, and the one that the engine itself would roll back to.
    assert len(held("configs")) <= 2, held("configs")
    assert len(held("secrets")) == 3, "a release that is kept can be returned to"
    newest = trial.session().releases()[0].versions
    backend.forget_secrets(trial.instance, {key: [value] for key, value in newest.items()})
    assert len(held("secrets")) == 2, held("secrets")
    trial.down()
    for kind in ("configs", "secrets", "networks", "services"):
        assert held(kind) == []
