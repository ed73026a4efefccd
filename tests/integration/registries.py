"""A real registry that wants a password, and images that are pushed to it."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from socket import socket
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.conftest import Engine

USER, PASSWORD = "ci", "canary-b7-registry"
HASHED = "$2b$04$PdK3reA/.aY1kEOThemn6.Kx.dxgOnOAOIUF2.O4WNtIFJF/Z9dj."
"""The password as bcrypt has it, the only form that the registry takes."""
SETTINGS = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: tests, path: {folder}/htpasswd}}}}
"""


@dataclass(frozen=True)
class Registry:
    """A registry that wants a password, and the engine that images are pushed from."""

    host: str
    engine: Engine

    def push(self, source: str, tag: str, **changes: Any) -> str:
        """Push an image with a change of its settings, and forget it here; its digest."""
        client = self.engine.client()
        name = f"{self.host}/team/tool"
        built = client.containers.create(source, ["true"], network_mode="none")
        built.commit(repository=name, tag=tag, conf=changes)
        built.remove()
        auth = {"username": USER, "password": PASSWORD}
        said = list(client.images.push(name, tag, auth_config=auth, stream=True, decode=True))
        assert not [step for step in said if "error" in step], said
        digest = next(step["aux"]["Digest"] for step in said if "aux" in step)
        client.images.remove(f"{name}:{tag}")
        client.close()
        return str(digest)


@pytest.fixture
def registry(tmp_path: Path, dockerd: Engine) -> Iterator[Registry]:
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed (Debian: apt-get install docker-registry)")
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "htpasswd").write_text(f"{USER}:{HASHED}\n")
    (folder / "config.yml").write_text(SETTINGS.format(folder=folder, port=port))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )
    try:
        _await_registry(f"http://127.0.0.1:{port}/v2/", process, folder / "log")
        yield Registry(f"127.0.0.1:{port}", dockerd)
    finally:
        process.terminate()
        process.wait(timeout=20)
        _forget(dockerd, f"127.0.0.1:{port}/")


def _await_registry(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while not _asks_who_we_are(url):
        ended = process.poll() is not None or time.monotonic() > deadline
        assert not ended, log.read_text()
        time.sleep(0.05)


def _asks_who_we_are(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as answer:
        answer.close()
        return answer.code == 401
    except urllib.error.URLError:
        return False
    return False


def _forget(engine: Engine, prefix: str) -> None:
    client = engine.client()
    for image in client.images.list():
        names = [*image.tags, *(image.attrs.get("RepoDigests") or ())]
        if any(name.startswith(prefix) for name in names):
            client.images.remove(image.id, force=True)
    client.close()
