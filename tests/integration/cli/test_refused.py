"""Deploys that the built-in scheduler refuses before it touches anything, by the real command."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Ended, Place

MOST = f"{psutil.virtual_memory().total * 6 // 10 >> 20}Mi"
HEAD = "apiVersion: orch/v1\nname: {name}\nservices:\n"
SLEEPER = """\
  {name}:
    command: [sleep, '86400']
    deploy:
      replicas: {replicas}
      update_config: {{monitor: 0s}}
      resources: {{reservations: {{memory: {memory}}}}}
"""


def spec(*names: str, memory: str = MOST, replicas: int = 1, app: str = "shop") -> str:
    units = (SLEEPER.format(name=name, memory=memory, replicas=replicas) for name in names)
    return HEAD.format(name=app) + "".join(units)


@pytest.fixture
def host(place: Place) -> Iterator[Place]:
    """A place on the built-in scheduler, without a Docker engine."""
    place.environment.update(ORCH_BACKEND="native", DOCKER_HOST="unix:///nowhere.sock")
    try:
        yield place
    finally:
        for name in ("shop", "blog"):
            place.run("down", "--name", name, "--timeout", "30s")
        place.run("server", "stop", "--tasks")


def deployed(host: Place, text: str, *arguments: str) -> Ended:
    host.write("orch.yaml", text)
    return host.run("deploy", "--timeout", "50s", *arguments)


def test_what_takes_the_place_of_another_has_the_room_of_that(host: Place) -> None:
    assert deployed(host, spec("one")).code == 0
    refused = deployed(host, spec("two"), "--no-prune")
    assert refused.code == 4, refused
    assert "services.two.deploy.resources.reservations.memory (" in refused.err
    assert "memory ruled out 1 of 1 nodes" in refused.err
    assert "take a larger host" in refused.err
    ended = deployed(host, spec("two"))
    assert ended.code == 0, ended
    services = host.run("ps").out
    assert "two" in services
    assert "one" not in services


def test_what_finds_no_room_is_refused_and_nothing_is_begun(host: Place) -> None:
    for text in (spec("web", replicas=2), spec("one", "two")):
        ended = deployed(host, text)
        assert ended.code == 4, ended
        assert "reservations.memory (" in ended.err
        assert "short" in ended.err
        assert "web" not in host.run("ps", "--name", "shop").out


def test_a_port_that_is_held_is_refused_and_its_holder_named(host: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        publishes = f"    ports: [{{target: 80, published: {port}}}]\n"
        ended = deployed(host, spec("web", memory="1Mi") + publishes)
        assert ended.code == 4, ended
        assert f"port {port} of this host is in use by another program" in ended.err
    assert deployed(host, spec("web", memory="1Mi") + publishes).code == 0
    ended = deployed(host, spec("front", memory="1Mi", app="blog") + publishes)
    assert ended.code == 4, ended
    assert f"port {port}/tcp is published by default/shop/web already" in ended.err
    assert "orch down --name shop --namespace default" in ended.err
    assert "services.front.ports[0].published (orch.yaml:" in ended.err


def test_an_engine_that_does_not_answer_is_unreachable(host: Place) -> None:
    text = HEAD.format(name="shop") + "  web: {image: 'example.com/web:1'}\n"
    ended = deployed(host, text)
    assert ended.code == 9, ended
    assert "services.web.image (orch.yaml:4:" in ended.err
    assert "no Docker engine answers" in ended.err
    assert "systemctl start docker" in ended.err
    assert host.run("plan").code == 9


def test_a_constraint_that_no_node_meets_is_refused(host: Place) -> None:
    text = spec("web", memory="1Mi").replace(
        "      replicas: 1\n", "      placement: {constraints: ['node.labels.tier == web']}\n"
    )
    ended = deployed(host, text)
    assert ended.code == 4, ended
    assert "services.web.deploy.placement.constraints (" in ended.err
    assert "loosen the constraint" in ended.err
