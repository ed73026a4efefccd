"""Two running deployments held against each other: a host of our own and a swarm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import TypeAdapter

from orch.cli.render.shapes import SHAPES
from tests.integration.journey.conftest import call_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.conftest import Engine
    from tests.integration.journey.conftest import Orch

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]

SECRET = "s3cret-of-the-shop"
SPEC = """
apiVersion: orch/v1
name: shop
services:
  web:
    image: local/tool:1
    command: [sh, -c, exec sleep 100000]
    environment: {GREETING: "${GREETING:-hello}"}
    secrets: [{source: token, target: token}]
    stop_grace_period: 1s
    deploy: {replicas: 1}
secrets:
  token: {provider: env, key: TOKEN}
"""


@pytest.fixture
def orch(tmp_path: Path, swarm: str, dockerd: Engine, tool_image: str) -> Iterator[Orch]:
    caller = call_in(tmp_path, dockerd.host)
    options = {"host": swarm, "endpoint_mode": "dnsrr", "resolve_image": "never"}
    targets = {
        "host": {"backend": "native", "namespace": "staging"},
        "prod": {"backend": "swarm", "options": options},
    }
    (caller.folder / "targets.yaml").write_text(json.dumps(targets))
    (caller.folder / "orch.yaml").write_text(SPEC)
    try:
        yield caller
    finally:
        for target in targets:
            caller("down", "--target", target, "--yes", env={"TOKEN": SECRET}, timeout=120)
        caller("server", "stop", "--tasks")


def live(orch: Orch, *words: str, code: int = 0) -> dict[str, Any]:
    ran = orch("compare", "--live", *words, "shop", "--exit-code", "--json", code=code)
    TypeAdapter(SHAPES["compare-live"]).validate_json(ran.stdout)
    return dict(ran.data)


def test_deployments_of_two_backends_are_compared(orch: Orch, dockerd: Engine) -> None:
    orch("deploy", "--target", "prod", env={"TOKEN": SECRET}, timeout=120)
    orch("deploy", "--target", "host", env={"TOKEN": SECRET}, timeout=120)
    same = live(orch, "swarm:prod", "native:staging")
    assert not same["differs"]
    assert (same["left"]["backend"], same["right"]["backend"]) == ("swarm", "native")

    orch("deploy", "--target", "host", env={"TOKEN": SECRET, "GREETING": "hi"}, timeout=120)
    orch("scale", "web=2", "--target", "prod", timeout=120)
    other = live(orch, "swarm:prod", "host", code=3)
    changes = {row["path"]: (row.get("old"), row.get("new")) for row in other["changes"]}
    assert changes == {
        "services.web.environment.GREETING": ("hello", "hi"),
        "services.web.deploy.replicas": (2, 1),
    }
    (left,), (right,) = (other[side]["status"]["services"] for side in ("left", "right"))
    assert (left["ready"], right["ready"]) == (2, 1)

    told = orch("compare", "--live", "swarm:prod", "host").stdout
    assert "services.web.environment.GREETING  hello" in told
    assert "2/2" in told
    by_hand(dockerd)
    drifted = live(orch, "swarm:prod", "host", code=3)
    assert drifted["left"]["drifted"] == ["service/web"]
    missing = orch("compare", "--live", "swarm:prod", "native:nowhere", "shop", code=2)
    assert "native/nowhere/shop: nothing is deployed here" in missing.stderr
    unknown = orch("compare", "--live", "prod", "host", "shoe", code=2)
    assert "shoe" in unknown.stderr
    assert SECRET not in "".join(ran.stdout + ran.stderr for ran in orch.ran)


def by_hand(dockerd: Engine) -> None:
    """Scale the service behind orch's back."""
    client = dockerd.client()
    (service,) = client.services.list()
    service.scale(3)
    client.close()


def test_what_docker_deployed_is_read_back(orch: Orch, dockerd: Engine) -> None:
    orch("deploy", "--target", "host", env={"TOKEN": SECRET}, timeout=120)
    client = dockerd.client()
    service = client.services.create(
        "local/tool:1",
        ["sh", "-c", "exec sleep 100000"],
        name="shop_web",
        env=["GREETING=from docker"],
        labels={"com.docker.stack.namespace": "shop"},
        container_labels={"com.docker.stack.namespace": "shop"},
    )
    try:
        seen = live(orch, "host", "prod", code=3)
        assert seen["right"]["revision"] == 0
        changes = {row["path"]: row.get("new") for row in seen["changes"]}
        assert changes["services.web.environment.GREETING"] == "from docker"
        assert "not deployed by orch" in orch("compare", "--live", "host", "prod").stdout
    finally:
        service.remove()
        client.close()
