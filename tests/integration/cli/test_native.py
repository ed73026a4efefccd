"""The verbs on the built-in scheduler: real processes, a real port, a real terminal."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Place

ORCH = str(Path(sys.executable).with_name("orch"))
APP = """\
apiVersion: orch/v1
name: hello
services:
  web:
    command: [sh, -c, 'echo serving $$TITLE; {before} exec {python} -u -m http.server 8080
      --bind "$$ORCH_ADDRESS"']
    environment: {{TITLE: one}}
    ports: [{{target: 8080, published: {port}}}]
    probes: {{readiness: {{http: {{path: /, port: 8080}}, interval: 500ms}}}}
    stop_signal: SIGKILL
    deploy: {{replicas: 2, update_config: {{progress_deadline: 20s, monitor: 1s}}}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def hello(place: Place) -> Iterator[Place]:
    place.environment.update(ORCH_BACKEND="native", DOCKER_HOST="unix:///nowhere.sock")
    port = free_port()
    place.environment["PORT_OF_TEST"] = str(port)
    place.write("orch.yaml", APP.format(port=port, python=sys.executable, before=""))
    try:
        yield place
    finally:
        place.run("down", "--name", "hello", "--timeout", "30s")
        place.run("server", "stop", "--tasks")


def answer(place: Place) -> str:
    with urlopen(f"http://127.0.0.1:{place.environment['PORT_OF_TEST']}/", timeout=10) as reply:
        page: str = reply.read().decode()
        return page


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_day_with_native(hello: Place) -> None:
    ended = hello.run("deploy", "--timeout", "60s")
    assert ended.code == 0, ended
    assert "Directory listing" in answer(hello)
    assert hello.run("plan", "--exit-code").code == 0
    seen = json.loads(hello.run("status", "--json").out)
    assert seen["healthy"]
    assert seen["services"][0]["ready"] == 2
    assert seen["services"][0]["endpoints"]
    assert "web[0] | serving one" in hello.run("logs", "web").out
    with_command(hello)
    with_kill(hello)
    bad = APP.format(
        port=hello.environment["PORT_OF_TEST"],
        python=sys.executable,
        before="echo no database >&2; exit 3;",
    )
    hello.write("bad.yaml", bad)
    ended = hello.run("deploy", "-f", "bad.yaml", "--timeout", "90s")
    assert ended.code == 5, ended
    assert "no database" in ended.err
    assert "rolled back" in ended.err
    assert "Directory listing" in answer(hello)
    assert hello.run("plan", "--exit-code").code == 0
    ended = hello.run("down", "--timeout", "60s")
    assert ended.code == 0, ended
    assert "not deployed" in hello.run("status").out


def with_command(hello: Place) -> None:
    ended = hello.run(
        "exec", "web", "--", "sh", "-c", "cat; echo out; echo err >&2; exit 7", stdin="piped\n"
    )
    assert (ended.code, ended.out) == (7, "piped\nout\n"), ended
    assert "err" in ended.err
    shell = [ORCH, "exec", "web", "sh"]
    with Terminal(shell, hello.folder, hello.environment, columns=97) as terminal:
        terminal.see("#")
        terminal.press("stty size; tty\n")
        terminal.see("30 97")
        # A shell's builtin may be cut before its next program has the terminal: ask a program.
        wait = "import time; print('be' + 'fore', flush=True); time.sleep(60)"
        terminal.press(f'{sys.executable} -c "{wait}"\n')
        terminal.see("before\n")
        terminal.press("\x03")
        terminal.press("exit 5\n")
        assert terminal.end() == 5


def listener(address: str) -> int:
    """The process that serves at this address, by its command line."""
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        words = line.read_bytes().split(b"\0")
        if address.encode() in words and b"http.server" in words:
            return int(line.parent.name)
    raise AssertionError(f"nobody serves at {address}")


def with_kill(hello: Place) -> None:
    """A replica that is killed comes back, and the service answers."""
    address = json.loads(hello.run("ps", "--json").out)["replicas"][0]["address"].partition(":")[0]
    os.kill(listener(address), signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        replicas = json.loads(hello.run("ps", "--json").out)["replicas"]
        if sum(r["restarts"] for r in replicas) and hello.run("wait", "--timeout", "30s").code == 0:
            break
    else:
        pytest.fail(f"no replica was restarted: {replicas}")
    assert "Directory listing" in answer(hello)
