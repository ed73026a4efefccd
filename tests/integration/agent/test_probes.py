"""Probes against real servers, and what follows from them."""

from __future__ import annotations

import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.integration.agent.conftest import allocation, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.agent.conftest import Node

Serving = health_pb2.HealthCheckResponse


def sleeper(probes: dict[str, Any], **deploy: Any) -> dict[str, Any]:
    """A process that shares the host's network, so that servers of the test answer for it."""
    policy = {"delay": "100ms"}
    return {
        "command": ["sleep", "1000"],
        "network_mode": "host",
        "probes": probes,
        "deploy": {"restart_policy": policy | deploy},
    }


@pytest.fixture
def health_server() -> Iterator[tuple[int, health.HealthServicer]]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port, servicer
    server.stop(None).wait()


def test_grpc_readiness_follows_the_service(node: Node, health_server: Any) -> None:
    port, servicer = health_server
    servicer.set("shop.Web", Serving.NOT_SERVING)
    probe = {"grpc": {"port": port, "service": "shop.Web"}, "interval": "100ms"}
    node.agent.assign([allocation("a1", sleeper({"readiness": probe}))])
    node.until(lambda: "a1" in node.seen and "NOT_SERVING" in node.seen["a1"].message)
    assert not node.seen["a1"].ready
    servicer.set("shop.Web", Serving.SERVING)
    node.ready("a1")
    servicer.set("shop.Web", Serving.NOT_SERVING)
    node.until(lambda: not node.seen["a1"].ready)
    assert node.seen["a1"].restarts == 0, "readiness alone restarts nothing"


def test_grpc_of_an_unknown_service_and_of_no_grpc(node: Node, health_server: Any) -> None:
    port, _servicer = health_server
    unknown = {"grpc": {"port": port, "service": "nobody"}, "interval": "100ms"}
    node.agent.assign([allocation("a1", sleeper({"readiness": unknown}))])
    node.until(lambda: "a1" in node.seen and "gRPC status 5" in node.seen["a1"].message)


class Answers(BaseHTTPRequestHandler):
    """Answers with the status that the path asks for, or not at all."""

    def do_GET(self) -> None:
        if self.path == "/hang":
            time.sleep(3)
            return
        status = int(self.path.rpartition("/")[2])
        self.send_response(200 if self.headers.get("X-Pass") else status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def http_server() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def http(port: int, path: str, **more: Any) -> dict[str, Any]:
    timing = {k: more.pop(k) for k in ("timeout", "failure_threshold") if k in more}
    return {"http": {"port": port, "path": path, **more}, "interval": "100ms", **timing}


def test_http_statuses(node: Node, http_server: int) -> None:
    node.agent.assign(
        [
            allocation("ok", sleeper({"readiness": http(http_server, "/204")}), unit="a"),
            allocation("moved", sleeper({"readiness": http(http_server, "/302")}), unit="b"),
            allocation("bad", sleeper({"readiness": http(http_server, "/503")}), unit="c"),
            allocation(
                "slow",
                sleeper({"readiness": http(http_server, "/hang", timeout="200ms")}),
                unit="d",
            ),
            allocation(
                "head",
                sleeper({"readiness": http(http_server, "/503", headers={"X-Pass": "1"})}),
                unit="e",
            ),
        ]
    )
    node.ready("ok", "moved", "head")
    node.until(lambda: node.seen["bad"].message == "readiness probe: HTTP status 503")
    node.until(lambda: node.seen["slow"].message == "readiness probe: no answer within 200ms")


def test_startup_holds_liveness_back(node: Node) -> None:
    port = free_port()
    probes = {
        "startup": {
            "exec": {"command": ["test", "-e", "up"]},
            "interval": "50ms",
            "failure_threshold": 200,
        },
        "liveness": {"tcp": {"port": port}, "interval": "100ms", "failure_threshold": 2},
    }
    node.agent.assign([allocation("a1", sleeper(probes))])
    node.until(lambda: "a1" in node.seen and "startup probe" in node.seen["a1"].message)
    assert not node.seen["a1"].started
    assert not node.seen["a1"].ready
    assert node.run("a1", "touch", "up")[0] == 0
    node.until(lambda: node.seen["a1"].started or node.seen["a1"].restarts)
    node.until(lambda: node.seen["a1"].restarts == 1)
    assert any(o.message.startswith("liveness probe failed: ") for o in node.history)


def test_a_startup_that_never_comes_is_given_up(node: Node) -> None:
    probe = {"exec": {"command": ["false"]}, "interval": "50ms", "failure_threshold": 2}
    node.agent.assign([allocation("a1", sleeper({"startup": probe}, condition="none"))])
    node.until(lambda: node.state_of("a1") == "failed")
    assert node.seen["a1"].message == "startup probe failed: exit code 1"


def test_a_hanging_command_is_killed_and_blocks_no_other(node: Node) -> None:
    slow = {"exec": {"command": ["sleep", "77"]}, "interval": "100ms", "timeout": "300ms"}
    quick = {"exec": {"command": ["true"]}, "interval": "100ms"}
    slow_ones = [allocation(f"s{n}", sleeper({"readiness": slow}), unit=f"s{n}") for n in range(8)]
    began = time.monotonic()
    node.agent.assign(
        [*slow_ones, allocation("quick", sleeper({"readiness": quick}), unit="quick")]
    )
    node.ready("quick")
    assert time.monotonic() - began < 5
    node.until(lambda: all("no answer" in node.seen[a.id].message for a in slow_ones))
