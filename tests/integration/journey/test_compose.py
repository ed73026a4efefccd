"""A real Compose file, unchanged, on the Docker driver: from the first deploy to nothing left."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.integration.voting import make_images

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker

    from tests.integration.conftest import Engine
    from tests.integration.journey.conftest import Orch

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(400)]

CORPUS = Path(os.environ.get("ORCH_CORPUS", Path(__file__).parents[4] / "shared" / "corpus"))
VOTING_APP = "compose/dockersamples+example-voting-app/docker-compose.images.yml"
OURS = """
services:
  vote:
    image: dockersamples/examplevotingapp_vote:{tag}
    ports: !override ["127.0.0.1:{vote}:80"]
    deploy: {{replicas: 2, update_config: {{order: start-first, monitor: 2s}}}}
  result:
    ports: !override ["127.0.0.1:{result}:80"]
"""


@pytest.fixture
def images(dockerd: Engine, tool_archive: Path) -> None:
    """The images that the file names, made here: each answers as its namesake would."""
    make_images(dockerd, tool_archive)


def lay_out(orch: Orch) -> None:
    source = CORPUS / VOTING_APP
    if not source.exists():
        pytest.skip(f"the corpus is not at {CORPUS}; ORCH_CORPUS names its place")
    shutil.copy(source, orch.folder / "compose.yaml")
    checks = orch.folder / "healthchecks"
    checks.mkdir()
    for name in ("redis.sh", "postgres.sh"):
        (checks / name).write_text("#!/bin/sh\ntest -e /proc/1/stat\n")
        (checks / name).chmod(0o755)


def write_ours(orch: Orch, ports: list[int], tag: str) -> None:
    text = OURS.format(tag=tag, vote=ports[0], result=ports[1])
    (orch.folder / "ours.yaml").write_text(text)


def await_true(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"never saw: {what}"
        time.sleep(0.1)


def changes_of(plan: Any, id_: str) -> dict[str, tuple[Any, Any]]:
    (action,) = [a for a in plan["actions"] if a["id"] == id_]
    return {c["path"]: (c.get("old"), c.get("new")) for c in action["changes"]}


def containers_of(client: docker.DockerClient, service: str) -> list[Any]:
    return [c for c in client.containers.list(ignore_removed=True) if service in c.name]


def test_voting_app(
    orch_docker: Orch, images: None, dockerd: Engine, free_ports: list[int]
) -> None:
    orch, files = orch_docker, ("-f", "compose.yaml", "-f", "ours.yaml", "--name", "vote")
    lay_out(orch)
    client = dockerd.client()

    write_ours(orch, free_ports, "latest")
    orch("deploy", *files, timeout=180)
    status = orch("status", *files, "--output", "json").data
    assert status["healthy"]
    assert {s["name"] for s in status["services"]} == {"vote", "result", "worker", "redis", "db"}
    vote, result = (f"http://127.0.0.1:{port}/" for port in free_ports[:2])
    assert httpx.get(vote).text == "version 1\n"
    assert httpx.get(result).text == "version 1\n"
    assert not orch("plan", *files, "--exit-code", "--output", "json").data["pending"]

    write_ours(orch, free_ports, "2")
    plan = orch("plan", *files, "--exit-code", "--output", "json", code=3).data
    assert [a["id"] for a in plan["actions"] if a["operation"] != "no-op"] == ["service/vote"]
    assert changes_of(plan, "service/vote") == {
        "image": (
            "dockersamples/examplevotingapp_vote:latest",
            "dockersamples/examplevotingapp_vote:2",
        )
    }
    orch("deploy", *files, timeout=180)
    await_true(lambda: httpx.get(vote).text == "version 2\n", "version 2 alone answers")
    orch("plan", *files, "--exit-code")

    write_ours(orch, free_ports, "3")
    plan = orch("plan", *files, "--exit-code", "--output", "json", code=3).data
    assert list(changes_of(plan, "service/vote")) == ["image"]
    failed = orch("deploy", *files, code=5, timeout=240)
    assert "vote" in failed.stdout + failed.stderr
    assert orch("status", *files, "--output", "json").data["healthy"]
    assert {httpx.get(vote).text for _ in range(6)} == {"version 2\n"}

    write_ours(orch, free_ports, "2")
    assert not orch("plan", *files, "--exit-code", "--output", "json").data["pending"]

    before = {c.id for c in containers_of(client, "vote")}
    victim = orch("ps", "vote", *files, "--output", "json").data["replicas"][0]
    orch_containers = client.containers.list(ignore_removed=True)
    (container,) = [c for c in orch_containers if victim["id"] in {*c.labels.values(), c.name}]
    container.kill()
    await_true(
        lambda: len(ready(orch, files)) == 2 and container.id not in running(client),
        "another replica in its place",
    )
    assert len(before) >= 2

    orch("down", *files, "--volumes", "--yes", timeout=120)
    await_true(
        lambda: not client.containers.list(all=True, ignore_removed=True), "no container left"
    )
    assert not client.volumes.list()
    left = {n.name for n in client.networks.list()} - {"bridge", "host", "none"}
    assert not left
    client.close()


def ready(orch: Orch, files: tuple[str, ...]) -> list[Any]:
    replicas = orch("ps", "vote", *files, "--output", "json").data["replicas"]
    return [r for r in replicas if r["ready"]]


def running(client: docker.DockerClient) -> set[str]:
    return {c.id for c in client.containers.list(ignore_removed=True)}
