"""The same unchanged file on a bare host and on a swarm: both answer, change and end alike."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.integration.journey.conftest import call_in
from tests.integration.journey.test_compose import lay_out
from tests.integration.swarm.conftest import free_port
from tests.integration.voting import make_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.conftest import Engine
    from tests.integration.journey.conftest import Orch

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(600)]

EXAMPLE = Path(__file__).parents[3] / "specs" / "examples" / "18-guestbook"
TARGETS = ("native", "swarm")
KEY = "canary-77d1"
BROKEN = "services: {web: {command: [sh, -c, 'echo can not start; exit 1']}}\n"

OURS = """
services:
  vote:
    image: "dockersamples/examplevotingapp_vote:${{TAG}}"
    ports: !override [{{target: 80, published: "{vote}", mode: host}}]
    stop_grace_period: 1s
    deploy: {{update_config: {{monitor: 2s, failure_action: rollback}}}}
  result:
    ports: !override [{{target: 80, published: "{result}", mode: host}}]
    stop_grace_period: 1s
  worker: {{stop_grace_period: 1s}}
  redis: {{stop_grace_period: 1s}}
  db: {{stop_grace_period: 1s}}
"""


@pytest.fixture
def orch(tmp_path: Path, swarm: str, dockerd: Engine, tool_archive: Path) -> Iterator[Orch]:
    """A caller with both targets, on an engine with every image that the files name."""
    make_images(dockerd, tool_archive)
    caller = call_in(tmp_path, dockerd.host)
    options = {"host": swarm, "endpoint_mode": "dnsrr", "resolve_image": "never"}
    targets = {
        "native": {"backend": "native"},
        "swarm": {"backend": "swarm", "options": options},
    }
    (caller.folder / "targets.yaml").write_text(json.dumps(targets))
    try:
        yield caller
    finally:
        caller("server", "stop", "--tasks")


def changed(orch: Orch, *words: str, **more: Any) -> list[str]:
    """The services and jobs that a deploy would change."""
    plan = orch("plan", *words, "--output", "json", **more).data
    ids = [a["id"] for a in plan["actions"] if a["operation"] != "no-op"]
    return sorted(id_ for id_ in ids if id_.startswith(("service/", "job/")))


def told(url: str) -> str:
    return httpx.get(url, timeout=5).text


def silent(url: str) -> bool:
    try:
        httpx.get(url, timeout=1)
    except httpx.TransportError:
        return True
    return False


def await_true(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"never saw: {what}"
        time.sleep(0.1)


def health(orch: Orch, *words: str, **more: Any) -> list[tuple[Any, ...]]:
    status = orch("status", *words, "--output", "json", **more).data
    assert status["healthy"]
    return sorted((s["name"], s["kind"], s["wanted"], s["ready"]) for s in status["services"])


def guestbook(orch: Orch, target: str, port: int) -> list[Any]:
    """Everything that is seen from the first deploy to nothing left."""
    page = f"http://127.0.0.1:{port}/cgi-bin/page"
    words = ("-f", "orch.yaml", "--target", target)
    setting = ("--set", f"PORT={port}")
    key, longer = {"SIGNING_KEY": KEY}, {"SIGNING_KEY": KEY * 2}
    seen: list[Any] = []

    seen.append(changed(orch, *words, *setting, env=key))
    orch("deploy", *words, *setting, env=key, timeout=180)
    seen += [told(page), health(orch, *words, *setting)]
    seen.append(changed(orch, *words, *setting, env=key))

    setting = (*setting, "--set", "GREETING=Hello")
    seen.append(changed(orch, *words, *setting, env=key))
    orch("deploy", *words, *setting, env=key, timeout=180)
    seen.append(told(page))

    seen.append(changed(orch, *words, *setting, env=longer))
    orch("deploy", *words, *setting, env=longer, timeout=180)
    seen += [told(page), changed(orch, *words, *setting, env=longer)]

    failed = orch("deploy", *words, "-f", "broken.yaml", *setting, env=longer, code=5, timeout=240)
    assert "can not start" in failed.stderr
    seen += [told(page), health(orch, *words, *setting)]
    seen.append(changed(orch, *words, *setting, env=longer))

    orch("down", *words, *setting, timeout=120)
    await_true(lambda: silent(page), "the port is free again")
    orch("deploy", *words, *setting, env=longer, timeout=180)
    seen.append(told(page))
    orch("down", *words, *setting, "--volumes", "--yes", timeout=120)
    await_true(lambda: silent(page), "the port is free again")
    return seen


def test_an_example_of_ours(orch: Orch, dockerd: Engine) -> None:
    for name in ("orch.yaml", "page.sh"):
        shutil.copy(EXAMPLE / name, orch.folder)
    (orch.folder / "broken.yaml").write_text(BROKEN)
    port = free_port()
    native, swarm = (guestbook(orch, target, port) for target in TARGETS)
    first, *_ = pages = [part for part in native if isinstance(part, str)]
    assert first == f"Welcome\nopened 1 times\nsigned with a key of {len(KEY)} bytes\n"
    assert pages[-1] == f"Hello\nopened 2 times\nsigned with a key of {len(KEY) * 2} bytes\n"
    assert swarm == native
    nothing_left(dockerd)
    assert KEY not in "".join(ran.stdout + ran.stderr for ran in orch.ran)


def voting(orch: Orch, target: str, urls: tuple[str, str]) -> list[Any]:
    """The same for a Compose file: deployed, updated, failed, returned, removed."""
    words = ("-f", "compose.yaml", "-f", "ours.yaml", "--name", "voting", "--target", target)
    seen: list[Any] = []

    def deploy(tag: str, code: int = 0) -> None:
        seen.append(changed(orch, *words, env={"TAG": tag}))
        orch("deploy", *words, env={"TAG": tag}, code=code, timeout=240)
        seen.extend(told(url) for url in urls)
        seen.append(health(orch, *words, env={"TAG": tag}))

    deploy("latest")
    deploy("latest")
    deploy("2")
    deploy("3", code=5)
    seen.append(changed(orch, *words, env={"TAG": "2"}))
    orch("down", *words, "--volumes", "--yes", env={"TAG": "2"}, timeout=240)
    await_true(lambda: all(silent(url) for url in urls), "the ports are free again")
    return seen


def test_a_compose_file_of_another_project(orch: Orch, dockerd: Engine) -> None:
    lay_out(orch)
    vote, result = free_port(), free_port()
    (orch.folder / "ours.yaml").write_text(OURS.format(vote=vote, result=result))
    urls = (f"http://127.0.0.1:{vote}/", f"http://127.0.0.1:{result}/")
    native, swarm = (voting(orch, target, urls) for target in TARGETS)
    assert [part for part in native if isinstance(part, str)] == [
        *("version 1\n", "version 1\n") * 2,
        *("version 2\n", "version 1\n") * 2,
    ]
    assert swarm == native
    nothing_left(dockerd)


def nothing_left(dockerd: Engine) -> None:
    """What the engine and the swarm need themselves stays; nothing else does."""
    client = dockerd.client()
    try:
        await_true(
            lambda: not client.containers.list(all=True, ignore_removed=True), "no container left"
        )
        assert client.services.list() == []
        volumes = client.volumes.list()
        assert [v for v in volumes if v.name.startswith(("default_", "guestbook", "voting"))] == []
        own = {"bridge", "host", "none", "ingress", "docker_gwbridge"}
        assert {network.name for network in client.networks.list()} <= own
    finally:
        client.close()
