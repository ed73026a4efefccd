"""Private images from a real registry: the spec's login, digests, and what a wrong one says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.registries import PASSWORD, registry

if TYPE_CHECKING:
    from tests.integration.conftest import Engine
    from tests.integration.journey.conftest import Orch
    from tests.integration.registries import Registry

__all__ = ["registry"]
pytestmark = [pytest.mark.docker, pytest.mark.slow]

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
