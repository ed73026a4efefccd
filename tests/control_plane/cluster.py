"""A whole Kubernetes cluster of one node in namespaces of its own, raised from built programs.

`python -m tests.control_plane.cluster FOLDER PROGRAMS ROOTFS.tar` raises one for people, prints
where its kubeconfig is, and stops it when it is interrupted or terminated.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.control_plane import settings
from tests.control_plane.certificates import Authority, new_key
from tests.control_plane.image import pack
from tests.control_plane.load_balancer import LoadBalancer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
CGROUPS = Path("/sys/fs/cgroup")
MARK = "orch-kubernetes"
START_SECONDS = 120
STOP_SECONDS = 30
# Who asks the API for what: a file of keys, the user's name and group.
USERS = {
    "admin": ("kubernetes-admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", None),
    "kube-scheduler": ("system:kube-scheduler", None),
    "kube-proxy": ("system:kube-proxy", None),
    "kubelet": (f"system:node:{settings.NODE}", "system:nodes"),
}


class ClusterFault(Exception):
    """The cluster did not come up; says which program failed and how its log ends."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster: its folder, the first process of its node, and where its API listens."""

    folder: Path
    process: subprocess.Popen[bytes]
    first: int
    address: str
    cgroup: str

    @property
    def kubeconfig(self) -> Path:
        """An administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    def enter(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the node; what it prints is kept, a failure is an error."""
        entered = ["nsenter", f"--target={self.first}", "--mount", "--net", "--pid", "--"]
        return subprocess.run(
            [*entered, "/usr/bin/env", f"PATH=/mnt/programs:{os.environ['PATH']}", *command],
            check=True,
            capture_output=True,
            text=True,
        )

    def load_image(self, name: str, root: Path, *command: str) -> None:
        """Make an image of the root file system in the tar file `root`, and give it to the node."""
        pack(name, root, self.folder / "image.tar", command)
        self.enter("ctr", "--namespace=k8s.io", "images", "import", "/mnt/image.tar")
        (self.folder / "image.tar").unlink()

    def make_ready(self, root: Path) -> None:
        """Return when pods can run, in images made of the root file system in the tar file."""
        self.wait("an answer of the API", self.answers)
        self.ask("/apis/storage.k8s.io/v1/storageclasses", settings.STORAGE_CLASS)
        self.load_image(settings.PAUSE_IMAGE, root, "tail", "-f", "/dev/null")
        self.load_image(settings.TOOL_IMAGE, root, "sh")
        self.wait("a ready node", self.node_ready)

    def ask(self, path: str, body: object = None, method: str | None = None) -> bytes:
        """What the API answers an administrator at `path`; a body is posted, or merged by PATCH."""
        keys = self.folder / "keys"
        context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
        context.load_cert_chain(keys / "admin.crt", keys / "admin.key")
        data = None if body is None else json.dumps(body).encode()
        url = f"https://{self.address}:{settings.API_PORT}{path}"
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return bytes(answer.read())

    def answers(self) -> bool:
        """Whether the API is up, with all that it makes for itself at its start."""
        try:
            return self.ask("/readyz") == b"ok"
        except OSError:
            return False

    def node_ready(self) -> bool:
        """Whether the node has joined and says that it is ready."""
        try:
            node = json.loads(self.ask(f"/api/v1/nodes/{settings.NODE}"))
        except OSError:
            return False
        conditions = node.get("status", {}).get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def wait(self, what: str, done: Callable[[], bool]) -> None:
        """Return when `done` says yes; a ClusterFault tells how the logs end."""
        deadline = time.monotonic() + START_SECONDS
        while not done():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ClusterFault(f"{what} did not come about\n{self.last_words()}")
            time.sleep(0.1)

    def last_words(self) -> str:
        """The ends of the logs of all the node's programs."""
        logs = sorted(self.folder.glob("log/*"))
        return "\n".join(f"--- {log.name}\n{log.read_text()[-1500:]}" for log in logs)

    def stop(self) -> None:
        """End every process of the cluster and leave nothing of it behind."""
        if self.process.poll() is None:
            os.kill(self.first, signal.SIGKILL)  # all others in its namespace end before it does
            self.process.wait(STOP_SECONDS)
        for hierarchy in _hierarchies():
            _remove_cgroup(hierarchy / self.cgroup)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def raised(folder: Path, programs: Path, root: Path) -> Iterator[Cluster]:
    """A cluster in the new `folder`, from the folder of built `programs`; stopped at the end.

    `root` is a tar file of the root file system that its images are made of.
    """
    cluster = start(folder, programs)
    balancer = LoadBalancer(cluster.ask, cluster.address)
    try:
        cluster.make_ready(root)
        balancer.start()
        yield cluster
    finally:
        balancer.stop()
        cluster.stop()


def start(folder: Path, programs: Path) -> Cluster:
    """Start every program of a cluster, and link its network to this host's."""
    number = _claim()
    cgroup, gateway, address = f"{MARK}-{number}", f"10.250.{number}.1", f"10.250.{number}.2"
    folder.mkdir(parents=True)
    _write(folder, address, minor_version(programs), cgroup)
    process = _unshare(folder, programs, address)
    cluster = Cluster(folder, process, _first_child(process, folder), address, cgroup)
    try:
        _link(cluster.first, f"orchk{number}", gateway)
    except BaseException:
        cluster.stop()
        raise
    return cluster


def minor_version(programs: Path) -> int:
    """The minor version of the Kubernetes whose programs these are."""
    said = subprocess.run(
        [programs / "kube-apiserver", "--version"], check=True, capture_output=True, text=True
    ).stdout
    return int(re.findall(r"\d+", said)[1])


def _write(folder: Path, address: str, minor: int, cgroup: str) -> None:
    for name in ("keys", "log", "cni", "programs", "volume-plugins"):
        (folder / name).mkdir()
    keys = folder / "keys"
    authority = Authority.make(keys)
    new_key(keys / "service-accounts.key")
    for user, (name, group) in USERS.items():
        authority.issue(keys / user, name, group)
        (keys / f"{user}.json").write_text(settings.kubeconfig(keys, user, address))
    hosts = (address, "127.0.0.1", "10.96.0.1", "kubernetes.default.svc")
    authority.issue(keys / "kube-apiserver", "kube-apiserver", hosts=hosts)
    shutil.copy(keys / "admin.json", folder / "kubeconfig")
    (folder / "cni/pods.conflist").write_text(json.dumps(settings.pod_network()))
    (folder / "containerd.toml").write_text(settings.containerd(minor))
    (folder / "kubelet.json").write_text(json.dumps(settings.kubelet(cgroup, minor)))
    (folder / "kube-proxy.json").write_text(json.dumps(settings.kube_proxy()))
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    lines = settings.commands(address, minor).items()
    (folder / "commands").write_text("".join(f"{name} {' '.join(a)}\n" for name, a in lines))


def _claim() -> int:
    """A number that no other cluster on this host has, claimed by making its cgroups."""
    first, *others = _hierarchies()
    for number in range(256):
        try:
            (first / f"{MARK}-{number}").mkdir()
        except FileExistsError:
            continue
        for hierarchy in others:
            (hierarchy / f"{MARK}-{number}").mkdir(exist_ok=True)
        return number
    raise ClusterFault(f"{first} holds 256 cgroups {MARK}-N; remove those of stopped clusters")


def _unshare(folder: Path, programs: Path, address: str) -> subprocess.Popen[bytes]:
    # Should this program be killed, the node goes too.
    bound = ["setpriv", "--pdeathsig", "KILL", "unshare", "--fork", "--kill-child"]
    apart = ["--mount", "--net", "--pid", "--uts", "--ipc", "--mount-proc"]
    with (folder / "log/node").open("wb") as log:
        return subprocess.Popen(
            [*bound, *apart, HERE / "node", folder, programs, address],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _first_child(process: subprocess.Popen[bytes], folder: Path) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        found = children.read_text().split()
        if found:
            return int(found[0])
        time.sleep(0.01)
    raise ClusterFault(f"the node did not start: {(folder / 'log/node').read_text()}")


def _link(first: int, name: str, gateway: str) -> None:
    for words in (
        f"link add {name} type veth peer name eth0 netns {first}",
        f"addr add {gateway}/30 dev {name}",
        f"link set {name} up",
    ):
        subprocess.run(["ip", *words.split()], check=True, capture_output=True)


def _hierarchies() -> list[Path]:
    """The roots of the cgroup trees that hold controllers: one in version 2, several in 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return sorted(tree for tree in CGROUPS.iterdir() if not tree.is_symlink())


def _remove_cgroup(top: Path) -> None:
    for folder, _, _ in os.walk(top, topdown=False):
        Path(folder).rmdir()


def main() -> None:
    """Raise a cluster for people, until the program is told to end."""
    folder, programs, root = (Path(word).absolute() for word in sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with raised(folder, programs, root) as cluster:
        print(f"export KUBECONFIG={cluster.kubeconfig}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
