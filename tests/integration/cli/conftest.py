"""The command as users run it: a process of its own, in a folder and home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ORCH = str(Path(sys.executable).with_name("orch"))
PATIENCE = 60


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Place:
    """A folder to work in, and the surroundings of commands that run there."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, stdin: str = "", **more: str) -> Ended:
        """Run `orch` to its end."""
        ended = subprocess.run(
            [ORCH, *arguments],
            cwd=self.folder,
            env=self.environment | more,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def shell(self, command: str, **more: str) -> Ended:
        """Run a line of shell to its end."""
        ended = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def start(self, *arguments: str, **streams: int) -> subprocess.Popen[str]:
        """Run `orch` and go on."""
        return subprocess.Popen(
            [ORCH, *arguments], cwd=self.folder, env=self.environment, text=True, **streams
        )

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)


def surroundings(folder: Path) -> dict[str, str]:
    """Only what a command needs; nothing of the caller's own settings."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {
        "PATH": f"{Path(ORCH).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_RUNTIME_DIR": str(home),
        "ORCH_STATE": str(folder / "native"),
        "ORCH_BACKEND": "double",
        "ORCH_WHO": "ann@desk",
        "PYTHONPATH": str(HERE / "double"),
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty folder; the default backend keeps its platform in a file there."""
    work = tmp_path / "work"
    work.mkdir()
    return Place(work, surroundings(tmp_path))


SHOP = """\
apiVersion: orch/v1
name: shop
services:
  db:
    image: postgres:17
    probes: {readiness: {tcp: {port: 5432}}}
    volumes: [{type: volume, source: data, target: /data}]
  web:
    image: "acme/web:${TAG:-1}"
    ports: [{target: 80, published: 8080}]
    environment: {A: b}
    depends_on: {db: {condition: service_healthy}}
    deploy: {replicas: 2}
volumes: {data: {}}
"""


@pytest.fixture
def shop(place: Place) -> Place:
    """The same, with an application."""
    place.write("orch.yaml", SHOP)
    place.write("bad.yaml", "services: {web: {environment: {FAIL: '1'}}}\n")
    place.write("hold.yaml", "services: {db: {environment: {HOLD: '1'}}}\n")
    return place
