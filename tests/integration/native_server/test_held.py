"""What the ledger calls held and the server does: seen from outside, with real processes."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from tests.integration.native_server.test_commands import orch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWNER = """
apiVersion: orch/v1
name: owner
configs: {greeting: {content: hello from owner, name: shared-greeting}}
secrets: {word: {provider: file, path: word.txt}}
services:
  keeper:
    command: [sleep, "1000"]
    configs: [{source: greeting, target: greeting}]
    deploy: {update_config: {monitor: 0s}}
"""
USER = """
apiVersion: orch/v1
name: user
configs: {theirs: {external: true, name: shared-greeting}}
secrets: {word: {external: true}}
services:
  reader:
    command: [sh, -c, "cat $$ORCH_CONFIG_DIR/theirs; echo; echo $$WORD | wc -c; exec sleep 1000"]
    configs: [{source: theirs, target: theirs}]
    environment: {WORD: {secret: word}}
    deploy: {update_config: {monitor: 0s}}
"""
BESIDE = """
apiVersion: orch/v1
name: beside
services:
  web:
    command: [sleep, "1000"]
    sidecars:
      front:
        command: [sh, -c, "mkdir -p www; echo beside > www/index.html;
          exec python3 -m http.server 8080 --bind $$ORCH_ADDRESS --directory www"]
        ports: [{name: http, target: 8080, published: %d}]
        probes: {readiness: {http: {port: http}, interval: 200ms}}
    deploy: {update_config: {monitor: 0s}, placement: {constraints: ["node.labels.tier == web"]}}
"""


def free_port() -> int:
    with closing(socket.socket()) as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for name in ("user", "owner", "beside"):
        orch(tmp_path, "down", "--backend", "native", "--name", name, "--yes")
    orch(tmp_path, "server", "stop", "--tasks")


def told(folder: Path, *words: str) -> str:
    ended = orch(folder, *words, "--backend", "native")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr


def asked(port: int) -> bytes:
    with urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return bytes(answer.read())


def test_what_another_app_keeps_is_used_and_its_absence_refused(place: Path) -> None:
    (place / "word.txt").write_text("canary-66\n")
    (place / "owner.yaml").write_text(OWNER)
    (place / "user.yaml").write_text(USER)
    early = orch(place, "deploy", "-f", "user.yaml", "--backend", "native")
    assert early.returncode == 4, early.stderr
    for name in ("shared-greeting", "word"):
        assert f"'{name}' can't be resolved: no app has one in this namespace" in early.stderr
    told(place, "deploy", "-f", "owner.yaml")
    told(place, "deploy", "-f", "user.yaml")
    deadline = time.monotonic() + 60
    while "hello from owner" not in (seen := told(place, "logs", "reader", "-f", "user.yaml")):
        assert time.monotonic() < deadline, seen
    assert "canary-66" not in seen
    assert told(place, "plan", "-f", "user.yaml", "--exit-code")


def test_ports_of_what_runs_beside_and_labels_of_the_host(place: Path) -> None:
    port = free_port()
    (place / "beside.yaml").write_text(BESIDE % port)
    stuck = orch(place, "deploy", "-f", "beside.yaml", "--backend", "native")
    assert stuck.returncode == 4, stuck.stderr
    assert "node.labels.tier is '', wanted" in stuck.stderr
    assert "has ended" in orch(place, "server", "stop").stdout
    wrong = orch(place, "server", "--label", "tier")
    assert (wrong.returncode, "write NAME=VALUE" in wrong.stderr) == (2, True)
    assert "started" in orch(place, "server", "--label", "tier=web").stdout
    late = orch(place, "server", "--label", "tier=other")
    assert (late.returncode, "orch server stop" in late.stderr) == (2, True)
    told(place, "deploy", "-f", "beside.yaml")
    assert asked(port) == b"beside\n", "what is told as healthy answers at once"
    other = (BESIDE % port).replace("name: beside", "name: user")
    (place / "user.yaml").write_text(other)
    taken = orch(place, "deploy", "-f", "user.yaml", "--backend", "native")
    assert taken.returncode == 4, taken.stderr
    assert f"port {port}/tcp is published by default/beside/web already" in taken.stderr
    assert "has ended" in orch(place, "server", "stop").stdout
    assert "healthy" in told(place, "status", "-f", "beside.yaml"), "its labels outlive the server"
