"""The real command, in a folder, a state and a daemon of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.conftest import Engine

ORCH = Path(sys.executable).parent / "orch"


@dataclass(frozen=True)
class Ran:
    """What a command printed, and its exit code."""

    command: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    @property
    def data(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.stdout)


@dataclass
class Orch:
    """Calls `orch` from `folder`; `ran` keeps every call."""

    folder: Path
    state: Path
    environment: dict[str, str]
    ran: list[Ran] = field(default_factory=list)

    def __call__(
        self,
        *words: str,
        code: int | None = 0,
        env: dict[str, str] | None = None,
        timeout: int = 90,
    ) -> Ran:
        """Run it. A code other than the one wanted fails the test; None takes any."""
        done = subprocess.run(
            [ORCH, *words],
            cwd=self.folder,
            env={**self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        ran = Ran(words, done.returncode, done.stdout, done.stderr)
        self.ran.append(ran)
        if code is not None and ran.code != code:
            pytest.fail(
                f"orch {' '.join(words)} exited {ran.code}, not {code}\n"
                f"-- stdout\n{ran.stdout[-4000:]}\n-- stderr\n{ran.stderr[-4000:]}"
                f"\n-- daemon\n{self.daemon_log()[-3000:]}",
                pytrace=False,
            )
        return ran

    def daemon_log(self) -> str:
        """What the daemon has logged so far."""
        return "".join(p.read_text(errors="replace") for p in self.state.rglob("daemon.log"))


def call_in(folder: Path, docker_host: str) -> Orch:
    """A new caller in a folder of its own."""
    work, state = folder / "work", folder / "state"
    work.mkdir()
    (folder / "run").mkdir(mode=0o700)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "ORCH_STATE": str(state),
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "DOCKER_HOST": docker_host,
    }
    return Orch(work, state, environment)


@pytest.fixture
def orch(tmp_path: Path) -> Iterator[Orch]:
    """Without containers."""
    caller = call_in(tmp_path, f"unix://{tmp_path}/no-engine.sock")
    try:
        yield caller
    finally:
        caller("server", "stop", "--tasks")


@pytest.fixture
def orch_docker(tmp_path: Path, dockerd: Engine, tool_image: str) -> Iterator[Orch]:
    """With an engine that holds the tool image."""
    caller = call_in(tmp_path, dockerd.host)
    try:
        yield caller
    finally:
        caller("server", "stop", "--tasks")


@pytest.fixture
def free_ports() -> list[int]:
    """Eight ports that nothing listened on a moment ago."""
    sockets = [socket.socket() for _ in range(8)]
    try:
        for made in sockets:
            made.bind(("127.0.0.1", 0))
        return [made.getsockname()[1] for made in sockets]
    finally:
        for made in sockets:
            made.close()
