"""Private images from a real registry: the spec's login, digests, and what a wrong one says."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.conftest import Engine
    from tests.integration.journey.conftest import Orch

pytestmark = [pytest.mark.docker, pytest.mark.slow]

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
SPEC = """
apiVersion: orch/v1
name: private
services:
  web:
    image: {image}
    pull_policy: always
    command: [sleep, "1000"]
    init: true
    stop_signal: SIGKILL
    deploy:
      restart_policy: {{delay: 200ms, max_attempts: 1}}
      update_config: {{monitor: 0s, progress_deadline: 30s}}
{login}
"""
LOGIN = """
registries: {{"{host}": {{username: ci, password: {{secret: registry}}}}}}
secrets: {{registry: {{provider: env, key: REGISTRY_PASSWORD}}}}
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
def registry(
    tmp_path: Path, dockerd: Engine, tool_image: str, free_ports: list[int]
) -> Iterator[Registry]:
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed (Debian: apt-get install docker-registry)")
    folder, port = tmp_path / "registry", free_ports[0]
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
    deadline = time.monotonic() + 20
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


def running(engine: Engine) -> dict[str, Any]:
    """The one container of the app that runs."""
    client = engine.client()
    (found,) = client.api.containers(filters={"label": "orch.app=private"})
    seen: dict[str, Any] = client.api.inspect_container(found["Id"])
    client.close()
    return seen


def test_private_images_are_pulled_as_the_spec_says(
    orch_docker: Orch, registry: Registry, tool_image: str
) -> None:
    orch, right = orch_docker, {"REGISTRY_PASSWORD": PASSWORD}
    spec = orch.folder / "orch.yaml"
    first = registry.push(tool_image, "1", Env=["MADE=first"])
    login = LOGIN.format(host=registry.host)

    spec.write_text(SPEC.format(image=f"{registry.host}/team/tool:1", login=login))
    orch("deploy", env=right)
    assert "MADE=first" in running(registry.engine)["Config"]["Env"]

    second = registry.push(tool_image, "1", Env=["MADE=second"])
    orch("restart", "web")
    assert "MADE=second" in running(registry.engine)["Config"]["Env"], "it is fetched each time"

    assert first != second
    pinned = f"{registry.host}/team/tool:1@{first}"
    spec.write_text(SPEC.format(image=pinned, login=login))
    orch("deploy", env=right)
    assert "MADE=first" in running(registry.engine)["Config"]["Env"], "the digest decides"
    assert running(registry.engine)["Config"]["Image"] == pinned

    _nowhere(orch, PASSWORD)
    orch("down", "--yes")


def test_a_registry_that_refuses_says_what_to_mend(
    orch_docker: Orch, registry: Registry, tool_image: str
) -> None:
    orch = orch_docker
    spec, image = orch.folder / "orch.yaml", f"{registry.host}/team/tool:1"
    registry.push(tool_image, "1")
    login = LOGIN.format(host=registry.host)

    spec.write_text(SPEC.format(image=image, login=login))
    wrong = orch("deploy", env={"REGISTRY_PASSWORD": "canary-wrong"}, code=6)
    assert f"the image {image} can't be pulled" in wrong.stderr
    assert f"{registry.host} does not let the user ci in" in wrong.stderr
    assert f"registries.{registry.host}" in wrong.stderr
    _nowhere(orch, "canary-wrong")

    orch("down", "--yes")
    spec.write_text(SPEC.format(image=image, login=""))
    nobody = orch("deploy", code=6)
    assert f"{registry.host} wants a login" in nobody.stderr
    assert "registries: {" in nobody.stderr

    absent = f"{registry.host}/team/tool:none"
    spec.write_text(SPEC.format(image=absent, login=login))
    unknown = orch("deploy", env={"REGISTRY_PASSWORD": PASSWORD}, code=6)
    assert f"{registry.host} has no such image" in unknown.stderr

    spec.write_text(SPEC.format(image=image, login=login))
    orch("deploy", env={"REGISTRY_PASSWORD": PASSWORD})
    orch("down", "--yes")


def _nowhere(orch: Orch, canary: str) -> None:
    """Neither printed nor kept in the clear."""
    for ran in orch.ran:
        assert canary not in ran.stdout + ran.stderr, ran.command
    for path in orch.state.rglob("*"):
        if path.is_file():
            assert canary.encode() not in path.read_bytes(), path
