"""`orch server` and `orch why` as a person runs them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from orch_native import daemon

ORCH = Path(sys.executable).parent / "orch"
SPEC = """
apiVersion: orch/v1
name: shop
services:
  web:
    command: [sh, -c, "exec sleep 864066"]
    deploy: {replicas: 1, update_config: {monitor: 0s}}
"""


def orch(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ORCH_STATE": str(folder / "state")}
    return subprocess.run(
        [ORCH, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_server_is_started_shown_and_ended(tmp_path: Path) -> None:
    absent = orch(tmp_path, "server", "status")
    assert (absent.returncode, "orch server" in absent.stderr) == (9, True)
    try:
        assert "started" in orch(tmp_path, "server").stdout
        assert "runs already" in orch(tmp_path, "server").stdout
        shown = json.loads(orch(tmp_path, "server", "status", "--output", "json").stdout)
        assert shown["server"]["state"] == str(tmp_path / "state")
        assert shown["node"]["drivers"]["process"]["available"]
    finally:
        assert "has ended" in orch(tmp_path, "server", "stop").stdout
    assert daemon.running_pid(tmp_path / "state") is None
    assert "no server runs" in orch(tmp_path, "server", "stop").stdout


def test_why_explains_a_service_and_names_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "orch.yaml").write_text(SPEC)
    try:
        deployed = orch(tmp_path, "deploy")
        assert deployed.returncode == 0, deployed.stderr
        told = orch(tmp_path, "why", "web")
        assert "1 of 1 ready" in told.stdout
        shape = json.loads(orch(tmp_path, "why", "web", "--output", "json").stdout)
        assert shape["version"] == 1
        unknown = orch(tmp_path, "why", "nobody")
        assert unknown.returncode == 2
        assert "orch ps" in unknown.stderr
        refused = orch(tmp_path, "promote", "web")
        assert refused.returncode == 2
        assert "canary" in refused.stderr
    finally:
        orch(tmp_path, "down", "--yes")
        orch(tmp_path, "server", "stop", "--tasks")


def test_stop_with_its_tasks_frees_the_published_ports(tmp_path: Path) -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = "[sh, -c, 'exec python3 -m http.server 8000 --bind \"$$ORCH_ADDRESS\"']"
    published = f"    command: {serve}\n    ports: [{{target: 8000, published: {port}}}]\n"
    ready = "    probes: {readiness: {tcp: {port: 8000}, interval: 1s}}\n"
    (tmp_path / "orch.yaml").write_text(
        f"apiVersion: orch/v1\nname: shop\nservices:\n  web:\n{published}{ready}"
    )
    try:
        deployed = orch(tmp_path, "deploy")
        assert deployed.returncode == 0, deployed.stderr
        assert answers(port)
    finally:
        orch(tmp_path, "server", "stop", "--tasks")
    end = time.monotonic() + 60
    while answers(port):
        assert time.monotonic() < end, "the proxy still holds the port"
        time.sleep(0.1)


def answers(port: int) -> bool:
    with closing(socket.socket()) as line:
        return line.connect_ex(("127.0.0.1", port)) == 0
