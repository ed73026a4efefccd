"""How a manager is reached: TLS, SSH, contexts; and what is said when it can't be, or denies it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orch.errors import Denied, Unreachable, UsageFault
from orch_swarm.backend import SwarmBackend
from tests.integration.swarm.conftest import free_port
from tests.integration.swarm.guarded import guarded_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.conftest import Engine
    from tests.integration.swarm.guarded import Guarded

pytestmark = [pytest.mark.docker, pytest.mark.root]
NOBODY = 65534


def ask(**options: str) -> str:
    """The id of the node that is reached so."""
    backend = SwarmBackend(options)
    try:
        return backend.client.node_id()
    finally:
        backend.close()


# -- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded_engine(tmp_path_factory.mktemp("guarded"), free_port()) as engine:
        yield engine


def test_with_the_right_certificates_the_engine_answers(guarded: Guarded) -> None:
    with pytest.raises(Unreachable, match="in no swarm") as fault:
        ask(host=guarded.host, tls=str(guarded.good))
    assert "docker swarm init" in fault.value.mend


def test_an_engine_of_another_authority_is_not_trusted(guarded: Guarded, tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        shutil.copy(guarded.good / name, tmp_path)
    shutil.copy(guarded.foreign / "ca.pem", tmp_path)
    with pytest.raises(Unreachable, match="certificate verify failed") as fault:
        ask(host=guarded.host, tls=str(tmp_path))
    assert fault.value.exit_code == 9
    assert "TLS" in fault.value.mend


def test_certificates_that_the_engine_does_not_know_are_told(
    guarded: Guarded, tmp_path: Path
) -> None:
    for name in ("cert.pem", "key.pem"):
        shutil.copy(guarded.foreign / name, tmp_path)
    shutil.copy(guarded.good / "ca.pem", tmp_path)
    with pytest.raises(Unreachable, match=r"(?i)alert|certificate") as fault:
        ask(host=guarded.host, tls=str(tmp_path))
    assert "TLS" in fault.value.mend


def test_an_engine_that_wants_certificates_is_told_from_one_that_is_away(guarded: Guarded) -> None:
    with pytest.raises(Unreachable, match="HTTPS") as fault:
        ask(host=guarded.host)
    assert "tls" in fault.value.mend


def test_missing_certificates_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match=r"ca\.pem"):
        ask(host="tcp://127.0.0.1:2376", tls=str(tmp_path))


# -- denied and away -----------------------------------------------------------------------------


def test_what_the_engine_denies_is_told_in_its_words(guarded: Guarded) -> None:
    guarded.denied.append("GET .*/info")
    try:
        with pytest.raises(Denied, match="visitors may only look") as fault:
            ask(host=guarded.host, tls=str(guarded.good))
    finally:
        guarded.denied.clear()
    assert fault.value.exit_code == 9


def test_a_socket_that_the_user_may_not_open_is_denied(dockerd: Engine) -> None:
    os.seteuid(NOBODY)
    try:
        with pytest.raises(Denied, match="may not speak") as fault:
            ask(host=dockerd.host)
    finally:
        os.seteuid(0)
    assert "docker group" in fault.value.mend


def test_an_engine_that_is_away_is_unreachable() -> None:
    host = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match="Connection refused") as fault:
        ask(host=host)
    assert (fault.value.exit_code, fault.value.place) == (9, host)


# -- contexts and SSH ----------------------------------------------------------------------------


@pytest.fixture
def docker_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return tmp_path / "docker"


def docker(*args: str) -> None:
    subprocess.run(["docker", *args], check=True, capture_output=True)


@pytest.mark.usefixtures("docker_folder")
def test_contexts_are_taken_as_docker_takes_them(
    swarm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker("context", "create", "lab", "--docker", f"host={swarm}")
    wanted = ask(host=swarm)
    assert ask(context="lab") == wanted
    monkeypatch.setenv("DOCKER_CONTEXT", "lab")
    assert ask() == wanted
    monkeypatch.delenv("DOCKER_CONTEXT")
    docker("context", "use", "lab")
    assert ask() == wanted
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(Unreachable, match="No such file"):
        ask()
    assert ask(context="lab") == wanted
    with pytest.raises(UsageFault, match="no docker context 'elsewhere'"):
        ask(context="elsewhere")


@pytest.mark.usefixtures("docker_folder")
def test_the_certificates_of_a_context_are_used(guarded: Guarded) -> None:
    files = ",".join(f"{key}={guarded.good}/{key}.pem" for key in ("ca", "cert", "key"))
    docker("context", "create", "safe", "--docker", f"host={guarded.host},{files}")
    with pytest.raises(Unreachable, match="in no swarm"):
        ask(context="safe")


@pytest.fixture
def ssh_host(tmp_path: Path, swarm: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A host that is reached through a real sshd; docker there means the swarm's engine."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("sshd is not installed (Debian: apt-get install openssh-server)")
    Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    for name in ("host_key", "user_key"):
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name]
        subprocess.run(made, check=True)
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host_key\n"
        f"AuthorizedKeysFile {tmp_path}/user_key.pub\nStrictModes no\nUsePAM no\n"
        f"PasswordAuthentication no\nPidFile none\nSetEnv DOCKER_HOST={swarm} "
        f"PATH={os.environ['PATH']}\n"
    )
    # The user's own ssh is asked: what it knows of the host stands in front of it in PATH.
    front = tmp_path / "bin"
    front.mkdir()
    said = f"-i {tmp_path}/user_key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    (front / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -q {said} "$@"\n')
    (front / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{front}:{os.environ['PATH']}")
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [program, "-D", "-e", "-f", str(tmp_path / "sshd_config")], stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + 60
        while "listening" not in (tmp_path / "log").read_text():
            ended = server.poll() is not None or time.monotonic() > end
            assert not ended, (tmp_path / "log").read_text()
            time.sleep(0.05)
        yield f"ssh://root@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


@pytest.mark.usefixtures("docker_folder")
def test_a_manager_is_reached_through_ssh(swarm: str, ssh_host: str) -> None:
    wanted = ask(host=swarm)
    assert ask(host=ssh_host) == wanted
    docker("context", "create", "far", "--docker", f"host={ssh_host}")
    assert ask(context="far") == wanted
