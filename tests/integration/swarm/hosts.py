"""Several hosts on one machine: each has namespaces and an engine of its own, on one bridge.

A host lives as long as the shell that is its process 1, and that shell as long as this process
holds its standard input: whatever becomes of a test run, nothing of it stays behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import psutil
import pytest
import requests

from tests.integration.conftest import answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    T = TypeVar("T")

PROGRAMS = ("dockerd", "ip", "iptables", "nsenter", "unshare")
NETWORK = "10.77.0"
POOL = "10.78.0.0/16"
SECONDS = 120.0
ASKED = 5.0
"""Seconds for an answer of an engine that may ask a leader that is gone."""
NO_ANSWER = (docker.errors.APIError, requests.RequestException)
ELECTION_TICKS = 3
"""Seconds of silence after which managers vote: ten by default."""
HEARTBEAT = 1.0
"""Seconds; a silent node is found five times sooner than by default."""
OPEN = ("unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
START = """
hostname "$1" && ip link set lo up && mount --bind "$2" /etc/resolv.conf || exit
echo ready
read
"""


def eventually(what: str, holds: Callable[[], T], patience: float = SECONDS) -> T:
    """Look again until something holds, which is returned; fails the test after `patience`."""
    end = time.monotonic() + patience
    while not (seen := holds()):
        if time.monotonic() > end:
            pytest.fail(f"{what}: not within {patience:g} s")
        time.sleep(0.1)
    return seen


def command(*words: str | Path) -> str:
    """Run a command to its end; what it printed. Fails the test when it fails."""
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        pytest.fail(f"{' '.join(done.args)} exited {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


class Machine:
    """Namespaces of their own, for as long as they are switched on."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        folder.mkdir()
        self._shell: subprocess.Popen[bytes] | None = None
        self.pid = 0

    @property
    def is_on(self) -> bool:
        return self._shell is not None

    def switch_on(self) -> None:
        """Returns when its own shell answers."""
        # Nobody answers there, and at once: no test waits for names to time out.
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        words = [*OPEN, "bash", "-c", START, "bash", self.name, f"{self.folder}/resolv.conf"]
        self._shell = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._shell.stdout is not None
        assert self._shell.stdout.readline() == b"ready\n", "namespaces can't be made"
        (first,) = psutil.Process(self._shell.pid).children()
        self.pid = first.pid

    def switch_off(self) -> None:
        """Everything in it dies at once, as when the power fails."""
        if self._shell is None:
            return
        with contextlib.suppress(ProcessLookupError):
            psutil.Process(self.pid).kill()
        self._shell.wait(timeout=30)
        for stream in (self._shell.stdin, self._shell.stdout):
            if stream is not None:
                stream.close()
        self._shell = None

    def inside(self, *words: str | Path) -> list[str]:
        """The command that runs a command in it."""
        spaces = ("--net", "--uts", "--mount", "--pid")
        return ["nsenter", f"--target={self.pid}", *spaces, *(str(word) for word in words)]

    def run(self, *words: str | Path) -> str:
        """Run a command in it to its end."""
        return command(*self.inside(*words))


class Host(Machine):
    """A machine on a bridge with an engine, reached through a socket below `folder`."""

    def __init__(self, name: str, number: int, folder: Path, bridge: Machine) -> None:
        super().__init__(name, folder)
        self.address = f"{NETWORK}.{number}"
        self._bridge, self._cable = bridge, f"to-{name}"
        self._parent = f"orch-test-{os.getpid()}-{name}"
        self._engine: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> str:
        """What DOCKER_HOST would hold."""
        return f"unix://{self.folder}/docker.sock"

    @contextlib.contextmanager
    def connected(self, timeout: float = SECONDS) -> Iterator[docker.DockerClient]:
        """A connection to its engine, which has `timeout` seconds for each answer."""
        client = docker.DockerClient(base_url=self.socket, timeout=timeout)
        try:
            yield client
        finally:
            client.close()

    def plug(self) -> None:
        """Join it to the bridge."""
        words = ["ip", "link", "add", "eth0", "netns", str(self.pid), "type", "veth"]
        command(*words, "peer", "name", self._cable, "netns", str(self._bridge.pid))
        self._bridge.run("ip", "link", "set", self._cable, "master", "br0", "up")
        self.run("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "add", "default", "via", f"{NETWORK}.254")

    def unplug(self) -> None:
        """Nobody hears of it any more, nor it of anybody, until it is plugged in anew."""
        if self._bridge.is_on:
            self._bridge.run("bash", "-c", f"ip link del {self._cable} 2>/dev/null || true")

    def set_cable(self, state: str) -> None:
        """`down` cuts it off while all of it runs on, `up` mends that."""
        self._bridge.run("ip", "link", "set", self._cable, state)

    def start_engine(self) -> None:
        """Returns at once; `await_engine` returns when it answers."""
        # On a real host these are gone after a restart.
        shutil.rmtree(self.folder / "exec", ignore_errors=True)
        for name in ("docker.pid", "docker.sock"):
            (self.folder / name).unlink(missing_ok=True)
        words = self.inside(
            "dockerd",
            f"--host={self.socket}",
            f"--data-root={self.folder}/data",
            f"--exec-root={self.folder}/exec",
            f"--pidfile={self.folder}/docker.pid",
            f"--cgroup-parent=/{self._parent}",
            "--bridge=none",
            "--log-level=warn",
        )
        with (self.folder / "dockerd.log").open("ab") as log:
            self._engine = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def await_engine(self) -> None:
        """Fails the test, with the engine's log, when it does not answer."""
        end = time.monotonic() + SECONDS
        while not answers(self.socket):
            if time.monotonic() > end:
                log = (self.folder / "dockerd.log").read_text(errors="replace")
                pytest.fail(f"the engine of {self.name} does not answer:\n{log[-3000:]}")
            time.sleep(0.1)

    def nodes(self) -> dict[str, dict[str, Any]]:
        """What its engine says of the swarm's nodes; nothing when it can't tell."""
        if not (self.is_on and answers(self.socket)):
            return {}
        with self.connected(ASKED) as client, contextlib.suppress(*NO_ANSWER):
            rows = [node.attrs for node in client.nodes.list()]
            return {row["Description"]["Hostname"]: row for row in rows}
        return {}

    def is_manager(self) -> bool:
        """Whether its engine says that it manages the swarm."""
        with self.connected() as client:
            return bool(client.info()["Swarm"]["ControlAvailable"])

    def kill_engine(self) -> None:
        """The engine alone dies; containers go on by themselves."""
        pid = (self.folder / "docker.pid").read_text()
        self.run("kill", "-9", pid)
        self._reap()

    def switch_off(self) -> None:
        # First the cable: what dies without power says goodbye to nobody.
        self.unplug()
        super().switch_off()
        self._reap()

    def clear(self) -> None:
        """Remove what the engine left on the disk, and its control groups."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for root in Path("/sys/fs/cgroup").rglob(self._parent):
            for found in (*sorted(root.rglob("*/"), reverse=True), root):
                with contextlib.suppress(OSError):
                    found.rmdir()

    def _reap(self) -> None:
        if self._engine is not None:
            self._engine.wait(timeout=30)
            self._engine = None


class Cluster:
    """Three hosts whose engines are the managers of one swarm."""

    def __init__(self, folder: Path) -> None:
        self._bridge = Machine("bridge", folder / "bridge")
        self.hosts = [Host(f"h{n}", n, folder / f"h{n}", self._bridge) for n in (1, 2, 3)]

    def __getitem__(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    def others(self, *hosts: Host) -> list[Host]:
        """All hosts but these."""
        return [one for one in self.hosts if one not in hosts]

    # -- machines ------------------------------------------------------------------------------

    def switch_on(self) -> None:
        """Everything, with engines that answer."""
        self._bridge.switch_on()
        self._bridge.run("ip", "link", "add", "br0", "type", "bridge")
        self._bridge.run("ip", "addr", "add", f"{NETWORK}.254/24", "dev", "br0")
        self._bridge.run("ip", "link", "set", "br0", "up")
        self.boot(*self.hosts)

    def boot(self, *hosts: Host) -> None:
        """Switch hosts on, or on again."""
        for host in hosts:
            host.switch_on()
            host.plug()
            host.start_engine()
        for host in hosts:
            host.await_engine()

    def switch_off(self) -> None:
        """Everything dies, and what it had on the disk goes."""
        for machine in (*self.hosts, self._bridge):
            machine.switch_off()
        for host in self.hosts:
            host.clear()

    def outside(self, *words: str | Path) -> list[str]:
        """The command that runs a command beside the hosts, as a user of what they serve."""
        return self._bridge.inside(*words)

    # -- the swarm -----------------------------------------------------------------------------

    def found_swarm(self, archive: Path, image: str, heartbeat: float = HEARTBEAT) -> None:
        """Three managers, each with the image; nodes tell of themselves every `heartbeat` s."""
        first, *rest = self.hosts
        with first.connected() as client:
            client.swarm.init(
                advertise_addr=first.address,
                listen_addr=f"{first.address}:2377",
                default_addr_pool=[POOL],
                dispatcher_heartbeat_period=int(heartbeat * 1e9),
                election_tick=ELECTION_TICKS,
            )
            token = client.swarm.attrs["JoinTokens"]["Manager"]
        for host in rest:
            with host.connected() as client:
                client.swarm.join(
                    [f"{first.address}:2377"], token, f"{host.address}:2377", host.address
                )
        repository, _, tag = image.partition(":")
        for host in self.hosts:
            with host.connected() as client:
                client.api.import_image(str(archive), repository=repository, tag=tag)
        self.await_whole()

    def nodes(self) -> dict[str, dict[str, Any]]:
        """What the swarm says of its nodes, by host name; nothing while nobody leads it."""
        seen = (view for host in self.hosts if (view := host.nodes()))
        return next(seen, {})

    def leader(self) -> Host:
        """The manager that leads; the test waits for one."""
        return self[eventually("somebody leads", lambda: _leader_in(self.nodes()))]

    def update(self, host: Host, **spec: Any) -> None:
        """Change what the swarm is told of a node: `Availability`, `Labels` or `Role`."""

        def send() -> bool:
            row = self.nodes().get(host.name)
            with self.leader().connected() as client, contextlib.suppress(*NO_ANSWER):
                return row is not None and client.api.update_node(
                    row["ID"], row["Version"]["Index"], {**row["Spec"], **spec}
                )
            return False

        eventually(f"{host.name} is changed", send)

    def state_of(self, host: Host) -> str:
        """`ready`, `down` or `unknown`; empty while nobody leads."""
        row = self.nodes().get(host.name)
        return row["Status"]["State"] if row else ""

    def restore(self) -> None:
        """Whatever a test did: three hosts that are on, and active managers."""
        off = [host for host in self.hosts if not host.is_on or not answers(host.socket)]
        for host in off:
            host.switch_off()
        for host in self.others(*off):
            host.set_cable("up")
        self.boot(*off)
        self.leader()
        for name, row in self.nodes().items():
            if (row["Spec"]["Availability"], row["Spec"]["Role"]) != ("active", "manager"):
                # A change of role is made by the node, in its own time.
                self.update(self[name], Availability="active", Role="manager")
        self.await_whole()

    def await_whole(self) -> None:
        """Until every manager says that every node is ready, and they agree on who leads."""

        def is_whole() -> bool:
            views = [host.nodes() for host in self.hosts]
            well = all(len(v) == len(views) and all(map(_is_well, v.values())) for v in views)
            return well and len({_leader_in(view) for view in views}) == 1

        eventually("the swarm is whole", is_whole)


def _leader_in(view: dict[str, dict[str, Any]]) -> str:
    """The name of the node that leads, empty when there is none."""
    leads = (n for n, row in view.items() if (row.get("ManagerStatus") or {}).get("Leader"))
    return next(leads, "")


def _is_well(row: dict[str, Any]) -> bool:
    reached = (row.get("ManagerStatus") or {}).get("Reachability") == "reachable"
    return reached and row["Status"]["State"] == "ready"
