"""An agent as it is in a plain container: root by name, with nothing that root could do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.agent.conftest import NOWHERE, await_

SCRIPT = Path(__file__).with_name("crashing_agent.py")
TAKEN = "-sys_admin,-sys_resource,-net_admin"


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can take rights away, with setpriv (Debian: util-linux)",
)
def test_configs_and_secrets_are_found_by_variables(tmp_path: Path) -> None:
    script = "cat $ORCH_CONFIG_DIR/app.toml $ORCH_SECRETS_DIR/pw; echo $ORCH_ADDRESS; sleep 1000"
    body = {
        "command": ["sh", "-c", script],
        "configs": [{"source": "app", "target": "app.toml"}],
        "secrets": [{"source": "pw", "target": "pw"}],
    }
    one = {
        "id": "a1", "namespace": "default", "app": "shop", "unit": "web", "kind": "service",
        "index": 0, "revision": 1, "body": body,
        "files": {"configs/app": "answer = 42\n", "secrets/pw": "hidden\n"},
    }  # fmt: skip
    assignment, reports = tmp_path / "assignment", tmp_path / "reports"

    def run(assigned: list[object]) -> subprocess.Popen[str]:
        assignment.write_text(json.dumps(assigned))
        command = [sys.executable, str(SCRIPT), str(tmp_path / "node"), NOWHERE, str(assignment)]
        return subprocess.Popen(
            ["setpriv", f"--bounding-set={TAKEN}", "--inh-caps=-sys_admin", *command, str(reports)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    agent = run([one])
    log = tmp_path / "node/tasks/orch-shop-web-0-a1/log"
    await_(lambda: log.exists() and log.read_text().count("\n") == 3)
    lines = [line.split(" ", 2)[2] for line in log.read_text().splitlines()]
    assert lines[:2] == ["answer = 42", "hidden"]
    assert lines[2].startswith("127.")
    agent.communicate("")
    agent = run([])
    await_(lambda: not [*(tmp_path / "node/tasks").iterdir()])
    agent.communicate("")
