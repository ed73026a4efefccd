"""Real parts for integration tests: a Docker engine of its own, and an image made on this host."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOL_IMAGE = "local/tool:1"
PROGRAMS = ("busybox", "bash", "curl")
APPLETS = [
    "sh",
    "ls",
    "cat",
    "sha256sum",
    "echo",
    "sleep",
    "httpd",
    "nc",
    "ps",
    "id",
    "hostname",
    "ip",
    "nslookup",
    "date",
    "seq",
    "wc",
    "grep",
    "kill",
    "mkdir",
    "rm",
    "touch",
    "head",
    "tail",
    "stat",
    "free",
    "dd",
    "true",
    "false",
    "env",
    "nproc",
    "awk",
    "sed",
    "ping",
    "netstat",
    "wget",
    "chmod",
    "df",
    "mount",
    "printenv",
    "tr",
    "cut",
    "sort",
    "test",
    "expr",
    "whoami",
    "pwd",
    "uname",
    "trap",
    "yes",
]
RESOLVER_LIBRARIES = ("libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2")
ENGINE_START_SECONDS = 60


@dataclass(frozen=True)
class Engine:
    """A running Docker engine: `host` is what DOCKER_HOST would hold."""

    host: str
    folder: Path
    pid: int

    def client(self) -> docker.DockerClient:
        """A new connection to it; close it after use."""
        return docker.DockerClient(base_url=self.host, timeout=60)


def engine_program() -> str:
    """Path of dockerd; the test is skipped where none can be started."""
    program = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        pytest.skip("dockerd is not installed (Debian: apt-get install docker.io)")
    if os.geteuid() != 0:
        pytest.skip("a Docker engine of its own needs root")
    return program


@pytest.fixture(scope="session")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A Docker engine in a scratch folder: no default bridge, no firewall rules of its own.

    Published ports work through the engine's own proxy, and bridges are reachable from the host,
    so that several such engines run side by side on one machine.
    """
    program = engine_program()
    folder = tmp_path_factory.mktemp("engine")
    with (folder / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(
            _engine_command(program, folder), stdout=log, stderr=log, start_new_session=True
        )
    engine = Engine(f"unix://{folder}/docker.sock", folder, process.pid)
    try:
        _await_engine(engine, process)
        yield engine
    finally:
        _stop_engine(engine, process)


def _engine_command(program: str, folder: Path) -> list[str]:
    pool = 64 + os.getpid() % 128
    return [
        program,
        f"--host=unix://{folder}/docker.sock",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/docker.pid",
        f"--default-address-pool=base=10.{pool}.0.0/16,size=24",
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--log-level=warn",
        "--label=rack=r1",
        "--node-generic-resource=licence=2",
    ]


def _await_engine(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + ENGINE_START_SECONDS
    while not answers(engine.host):
        if process.poll() is not None or time.monotonic() > deadline:
            log = (engine.folder / "dockerd.log").read_text(errors="replace")
            pytest.fail(f"dockerd did not start:\n{log[-3000:]}")
        time.sleep(0.1)


def answers(host: str) -> bool:
    """Whether an engine answers at a unix socket."""
    # Asked without the SDK, which leaves a socket open when it can't connect.
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(host.removeprefix("unix://"))
            line.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in line.recv(4096)
        except OSError:
            return False


def _stop_engine(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        _remove_everything(engine)
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    # Mounts that outlive their engine would stand in the way of whoever clears the folder.
    for name in (engine.folder / "exec/netns").glob("*"):
        subprocess.run(["umount", "--lazy", name], capture_output=True, check=False)
    shutil.rmtree(engine.folder, ignore_errors=True)


def _remove_everything(engine: Engine) -> None:
    client = engine.client()
    for container in client.containers.list(all=True, ignore_removed=True):
        try:
            container.remove(force=True, v=True)
        except docker.errors.APIError:
            continue
    client.networks.prune()
    client.close()


@pytest.fixture(scope="session")
def tool_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system with busybox, bash and curl of this host, as a tar file."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"the test image needs {', '.join(missing)} on this host")
    root = tmp_path_factory.mktemp("rootfs")
    for folder in ("bin", "etc", "tmp", "www", "proc", "sys", "dev", "var", "run", "root"):
        (root / folder).mkdir()
    (root / "tmp").chmod(0o1777)
    for program in PROGRAMS:
        _install_program(root, Path(str(shutil.which(program))).resolve(), program)
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    for library in RESOLVER_LIBRARIES:
        for found in Path("/lib").glob(f"*-linux-gnu/{library}"):
            _install_file(root, found)
    (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
    )
    (root / "etc/group").write_text("root:x:0:\nnobody:x:65534:\nstaff:x:50:\n")
    (root / "www/index.html").write_text("hello\n")
    archive = tmp_path_factory.mktemp("image") / "tool.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(root, arcname=".")
    shutil.rmtree(root)
    return archive


def _install_program(root: Path, program: Path, name: str) -> None:
    shutil.copy(program, root / "bin" / name)
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    for word in linked.split():
        if word.startswith("/"):
            _install_file(root, Path(word))


def _install_file(root: Path, source: Path) -> None:
    target = root / source.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source.resolve(), target)


@pytest.fixture(scope="session")
def tool_image(dockerd: Engine, tool_archive: Path) -> str:
    """The name of an image with busybox's tools, bash and curl, present in `dockerd`."""
    client = dockerd.client()
    repository, _, tag = TOOL_IMAGE.partition(":")
    client.api.import_image(str(tool_archive), repository=repository, tag=tag)
    client.close()
    return TOOL_IMAGE
