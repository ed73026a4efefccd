"""Routes on a real swarm: a proxy that answers with TLS, and keeps all lines as routes change."""

from __future__ import annotations

import ctypes
import http.client
import socket
import ssl
import subprocess
import threading
import time
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orch.testing.conformance import Trial
from orch.testing.workloads import Containers
from orch_swarm.backend import SwarmBackend
from orch_swarm.names import real_name
from tests.integration.conftest import TOOL_IMAGE, Engine
from tests.integration.swarm.conftest import OPTIONS
from tests.integration.swarm.hosts import POOL, Host, Machine
from tests.integration.swarm.images import TRAEFIK_IMAGE, traefik_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


pytestmark = [pytest.mark.docker, pytest.mark.root]
IMAGES = {"routes_image": TRAEFIK_IMAGE, "routes_table_image": TOOL_IMAGE}
SHOP, ADMIN = "shop.example.test", "admin.example.test"


HTTP, HTTPS = 80, 443
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, tool_archive: Path) -> Iterator[Host]:
    """A host of its own with an engine, whose ports no other engine's containers answer on."""
    folder = tmp_path_factory.mktemp("routes")
    bridge = Machine("bridge", folder / "bridge")
    made = Host("h1", 1, folder / "h1", bridge)
    try:
        bridge.switch_on()
        bridge.run("ip", "link", "add", "br0", "type", "bridge")
        bridge.run("ip", "link", "set", "br0", "up")
        made.switch_on()
        made.plug()
        made.start_engine()
        made.await_engine()
        engine = Engine(made.socket, made.folder, made.pid)
        with made.connected() as client:
            client.swarm.init(advertise_addr=made.address, default_addr_pool=[POOL])
            repository, _, tag = TOOL_IMAGE.partition(":")
            client.api.import_image(str(tool_archive), repository=repository, tag=tag)
        traefik_image(engine, folder)
        yield made
    finally:
        made.switch_off()
        bridge.switch_off()
        made.clear()


@pytest.fixture
def backend(host: Host) -> Iterator[SwarmBackend]:
    made = SwarmBackend({"host": host.socket, **OPTIONS, **IMAGES})
    yield made
    made.close()


@pytest.fixture
def trial(backend: SwarmBackend) -> Iterator[Trial]:
    made = Trial(backend, Containers(TOOL_IMAGE), "tests", f"t{uuid.uuid4().hex[:8]}")
    yield made
    made.session().unlock()
    made.down()


def connect(host: Host, port: int) -> socket.socket:
    """A connection of this process to a port of a host, made within it."""
    with (
        Path("/proc/thread-self/ns/net").open("rb") as here,
        Path(f"/proc/{host.pid}/ns/net").open("rb") as there,
    ):
        _enter(there.fileno())
        try:
            return socket.create_connection(("127.0.0.1", port), 10)
        finally:
            _enter(here.fileno())


def _enter(space: int) -> None:
    """The calling thread goes on in another network."""
    if _libc.setns(space, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@dataclass
class Client:
    """A visitor of the routes, who trusts one certificate."""

    host: Host
    trust: ssl.SSLContext | None = None

    def line(self, name: str) -> http.client.HTTPConnection:
        """A new connection; with TLS when a certificate is trusted."""
        made = http.client.HTTPConnection(name, timeout=10)
        if self.trust is None:
            made.sock = connect(self.host, HTTP)
        else:
            plain = connect(self.host, HTTPS)
            made.sock = self.trust.wrap_socket(plain, server_hostname=name)
        return made

    def get(self, name: str, path: str) -> str:
        """Status and text of an answer to a connection of its own."""
        with closing(self.line(name)) as line:
            return ask(line, path)

    def until(self, name: str, path: str, wanted: str, seconds: float = 60) -> None:
        """Ask again until the answer is the wanted one."""
        end, seen = time.monotonic() + seconds, ""
        while seen != wanted:
            assert time.monotonic() < end, seen
            try:
                seen = self.get(name, path)
            except OSError as fault:
                seen = str(fault)
            time.sleep(0.05)


def ask(line: http.client.HTTPConnection, path: str) -> str:
    """Status and text of an answer to a connection that stays open."""
    line.request("GET", path)
    answer = line.getresponse()
    return f"{answer.status} {answer.read().decode().strip()}".strip()


def certificate(folder: Path, *hosts: str) -> tuple[str, str, ssl.SSLContext]:
    """A certificate of its own, its key, and a context that trusts it alone."""
    names = ",".join(f"DNS:{host}" for host in hosts)
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    files = ["-subj", f"/CN={hosts[0]}", "-addext", f"subjectAltName={names}"]
    subprocess.run(
        [*command.split(), *files, "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True,
        capture_output=True,
    )
    trust = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    return (folder / "cert.pem").read_text(), (folder / "key.pem").read_text(), trust


def shop(trial: Trial, *routes: dict[str, Any], **texts: str) -> dict[str, Any]:
    """Services by name and what they answer, with routes to them."""
    update = {"order": "start-first", "parallelism": 1}
    services = {name: trial.web_service(text, update_config=update) for name, text in texts.items()}
    named = {one["tls"][k]["secret"] for one in routes if "tls" in one for k in ("cert", "key")}
    secrets = {name: {"provider": "env", "key": name.upper()} for name in named}
    return {"services": services, "routes": list(routes), "secrets": secrets}


def route(service: str, **more: Any) -> dict[str, Any]:
    return {"service": service, "port": "http", **more}


TLS = {"cert": {"secret": "cert"}, "key": {"secret": "key"}}


def task_of(backend: SwarmBackend, trial: Trial, service: str) -> set[str]:
    found = backend.client.listed("tasks", service=[real_name(trial.instance, service)])
    return {task["ID"] for task in found if task["Status"]["State"] == "running"}


@contextmanager
def visitors(*visits: Callable[[], str]) -> Iterator[list[str]]:
    """Ask in loops, each in a thread of its own, and keep every answer or fault."""
    told: list[str] = []
    over = threading.Event()

    def loop(visit: Callable[[], str]) -> None:
        while not over.is_set():
            try:
                told.append(visit())
            except (OSError, http.client.HTTPException) as fault:
                told.append(repr(fault))
            time.sleep(0.005)

    threads = [threading.Thread(target=loop, args=(visit,)) for visit in visits]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_hosts_and_paths_lead_to_services_with_tls(
    trial: Trial, host: Host, tmp_path: Path
) -> None:
    cert, key, trust = certificate(tmp_path, SHOP, ADMIN)
    trial.secrets.values |= {"cert": cert, "key": key}
    document = shop(
        trial,
        route("web", host=SHOP, tls=TLS),
        route("cart", host=SHOP, path="/cart", tls=TLS),
        route("back", host=ADMIN, tls=TLS),
        route("web", path="/plain"),
        web="one",
        cart="two",
        back="three",
    )
    trial.deployed(document)
    assert trial.pending(document) == []
    assert trial.session().drift() == ()
    secure, plain = Client(host, trust), Client(host)
    secure.until(SHOP, "/", "200 one")
    assert secure.get(ADMIN, "/") == "200 three"
    # The servers have files at / alone: where a request went is seen by what is not found there.
    assert secure.get(SHOP, "/cart").startswith("404")
    assert "<" in secure.get(SHOP, "/cart/x")
    assert plain.get(SHOP, "/") == "404 404 page not found", "the proxy's own words"
    assert "<" in plain.get("any.example.test", "/plain")
    with pytest.raises(ssl.SSLError):
        secure.get("other.example.test", "/")
    assert "PRIVATE KEY" not in str(trial.backend.compile(trial.app(document)))


def test_a_route_that_changes_under_load_loses_no_request(
    trial: Trial, backend: SwarmBackend, host: Host, tmp_path: Path
) -> None:
    cert, key, trust = certificate(tmp_path, SHOP)
    trial.secrets.values |= {"cert": cert, "key": key}
    before = shop(trial, route("web", host=SHOP, tls=TLS), web="one")
    after = shop(trial, route("next", host=SHOP, tls=TLS), web="one", next="two")
    trial.deployed(before)
    client = Client(host, trust)
    client.until(SHOP, "/", "200 one")
    proxy = task_of(backend, trial, "orch-routes")
    kept, idle = client.line(SHOP), client.line(SHOP)
    lines = {kept.sock, idle.sock}
    assert ask(idle, "/") == "200 one"
    visits = (*[lambda: client.get(SHOP, "/")] * 3, lambda: ask(kept, "/"))
    with visitors(*visits) as told, closing(kept), closing(idle):
        trial.deployed(after)
        client.until(SHOP, "/", "200 two")
        assert ask(idle, "/") == "200 two"
        trial.deployed(before)
        client.until(SHOP, "/", "200 one")
        assert ask(idle, "/") == "200 one"
        assert {kept.sock, idle.sock} == lines, "a connection was made anew"
    assert set(told) == {"200 one", "200 two"}, [one for one in told if not one.startswith("200")]
    assert len(told) > 500
    assert task_of(backend, trial, "orch-routes") == proxy


def test_a_service_that_is_updated_behind_its_route_loses_no_request(
    trial: Trial, host: Host
) -> None:
    trial.deployed(shop(trial, route("web"), web="one"))
    client = Client(host)
    client.until(SHOP, "/", "200 one")
    with visitors(*[lambda: client.get(SHOP, "/")] * 3) as told:
        trial.deployed(shop(trial, route("web"), web="two"))
        client.until(SHOP, "/", "200 two")
    assert set(told) == {"200 one", "200 two"}, [one for one in told if not one.startswith("200")]


def test_weights_share_requests_and_a_certificate_is_exchanged(
    trial: Trial, host: Host, tmp_path: Path
) -> None:
    cert, key, trust = certificate(tmp_path, SHOP)
    trial.secrets.values |= {"cert": cert, "key": key}
    routes = [
        route("web", host=SHOP, tls=TLS, weight=75),
        route("next", host=SHOP, tls=TLS, weight=25),
    ]
    trial.deployed(shop(trial, *routes, web="one", next="two"))
    client = Client(host, trust)
    client.until(SHOP, "/", "200 two")
    answers = [client.get(SHOP, "/") for _ in range(200)]
    assert 20 < answers.count("200 two") < 85
    assert answers.count("200 one") + answers.count("200 two") == len(answers)
    cert, key, trust = certificate(tmp_path, SHOP)
    trial.secrets.values |= {"cert": cert, "key": key}
    trial.deployed(shop(trial, *routes, web="one", next="two"))
    Client(host, trust).until(SHOP, "/", "200 one")
