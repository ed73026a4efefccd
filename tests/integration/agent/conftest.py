"""A node under test: a real agent in a scratch folder, and what it reported."""

from __future__ import annotations

import contextlib
import faulthandler
import socket
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orch_native.agent import LocalAgent
from orch_native.messages import Allocation, Desired, Endpoint, Entry, Observation, Routing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

PATIENCE = 60.0
NOWHERE = "unix:///nowhere/docker.sock"


def allocation(id: str, body: Mapping[str, Any], **settings: Any) -> Allocation:
    """One allocation of the app `shop`; `unit` and the like may be given."""
    known: dict[str, Any] = {
        "namespace": "default",
        "app": "shop",
        "unit": "web",
        "kind": "service",
        "index": 0,
        "revision": 1,
        "networks": {"default": {"name": "default_shop_default"}},
    }
    return Allocation(id=id, body=body, **(known | settings))


class Node:
    """Keeps an agent's reports, and the server's part: the routing that follows from them."""

    def __init__(self, state: Path, docker_host: str) -> None:
        self.state, self.docker_host = state, docker_host
        self.seen: dict[str, Observation] = {}
        self.history: list[Observation] = []
        self.news = threading.Condition()
        self.version = 0
        self.agent = self._agent()

    def _agent(self) -> LocalAgent:
        return LocalAgent(self.state, self._report, docker_host=self.docker_host)

    def _report(self, observations: Sequence[Observation]) -> None:
        with self.news:
            for observation in observations:
                self.seen[observation.id] = observation
                self.history.append(observation)
            self.news.notify_all()

    def restart(self) -> None:
        """Another agent takes the state over."""
        self.agent.close()
        self.seen.clear()
        self.history.clear()
        self.agent = self._agent()

    def until(self, holds: Callable[[], Any], seconds: float = PATIENCE) -> None:
        """Wait for reports until something holds."""
        with self.news:
            assert self.news.wait_for(holds, seconds), [*self.seen.values()]

    def ready(self, *ids: str) -> None:
        self.until(lambda: all(id in self.seen and self.seen[id].ready for id in ids))

    def state_of(self, id: str) -> str:
        return self.seen[id].state.value if id in self.seen else ""

    def route(self, *entries: Entry, services: Mapping[str, Sequence[str]]) -> None:
        """Send traffic to allocations, by service."""
        self.version += 1
        endpoints = {
            service: tuple(Endpoint(id, self.seen[id].address, self.seen[id].ports) for id in ids)
            for service, ids in services.items()
        }
        self.agent.route(Routing(self.version, endpoints, entries))

    def gone(self) -> None:
        """Wait until nothing of any allocation is left on the node."""
        await_(lambda: not [*(self.state / "tasks").iterdir()])
        await_(lambda: not [*(self.state / "allocations").iterdir()])

    def run(self, id: str, *command: str, tty: bool = False) -> tuple[int, str]:
        session = self.agent.exec(id, command, tty=tty)
        try:
            text = b"".join(data for _stream, data in session.output())
            return session.exit_code(), text.decode()
        finally:
            session.close()

    def output(self, id: str) -> list[str]:
        return [line.text for line in self.agent.logs(id, follow=False, since=None, tail=None)]

    def close(self) -> None:
        """Remove all of it, and end the proxy: with an empty table it ends by itself."""
        self.agent.assign([])
        self.agent.route(Routing(self.version + 1))
        self.gone()
        self.agent.close()
        await_(lambda: not (self.state / "proxy.sock").exists())


def await_(holds: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait until something holds that nobody announces."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            faulthandler.dump_traceback()
            raise AssertionError("waited in vain")
        time.sleep(0.02)


def fetch(url: str, host: str | None = None) -> str:
    """The body of an HTTP answer; tried again while nobody listens yet."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    found: list[str] = []

    def answered() -> bool:
        with (
            contextlib.suppress(ConnectionError, urllib.error.URLError),
            urllib.request.urlopen(request, timeout=5) as answer,
        ):
            found.append(answer.read().decode())
        return bool(found)

    await_(answered)
    return found[0]


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def stopped(allocation: Allocation) -> Allocation:
    return replace(allocation, desired=Desired.STOP)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node with nothing but processes."""
    found = Node(tmp_path / "node", NOWHERE)
    yield found
    found.close()


@pytest.fixture
def docker_node(tmp_path: Path, dockerd: Any, tool_image: str) -> Iterator[Node]:
    """A node with a Docker engine that has the tool image."""
    found = Node(tmp_path / "node", dockerd.host)
    yield found
    found.close()
