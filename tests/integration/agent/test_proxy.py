"""The proxy as its own process: streams, datagrams, HTTP routes, TLS, and kills."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import socket
import ssl
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orch_native.agent.proxy.client import ProxyLine
from tests.integration.agent.conftest import await_, fetch, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Proxy:
    """A proxy's line and what it could not open."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.failures: Mapping[str, str] = {}
        self.line = ProxyLine(state, self._answered)

    def _answered(self, _version: int | None, failures: Mapping[str, str]) -> None:
        self.failures = failures

    def follow(self, *table: dict[str, Any]) -> None:
        assert self.line.await_taken(self.line.follow(list(table)), 20)

    def pid(self) -> int:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(self.state / "proxy.sock").encode() in path.read_bytes():
                    return int(path.parent.name)
            except OSError:
                continue
        raise AssertionError("no proxy")

    def again(self) -> None:
        self.line.close()
        self.line = ProxyLine(self.state, self._answered)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    found = Proxy(tmp_path)
    yield found
    found.follow()
    found.line.close()
    await_(lambda: not (tmp_path / "proxy.sock").exists())


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A plain TCP server; each connection has a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    line, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(line,), daemon=True).start()

        def one(line: socket.socket) -> None:
            with closing(line):
                answer(line)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def named(name: str) -> Callable[[socket.socket], None]:
    """Echoes each line with its name before it."""

    def answer(line: socket.socket) -> None:
        with line.makefile("rwb") as file:
            for text in file:
                file.write(name.encode() + b":" + text)
                file.flush()

    return answer


def http(name: str) -> Callable[[socket.socket], None]:
    """Answers HTTP with its name, the request's line and headers; upgrades to an echo."""

    def answer(line: socket.socket) -> None:
        with line.makefile("rwb") as file:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += file.readline()
            if b"\nUpgrade: echo" in head:
                file.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n")
                file.write(b"Upgrade: echo\r\n\r\n")
                file.flush()
                for text in file:
                    file.write(name.encode() + b":" + text)
                    file.flush()
                return
            if b"chunked" in head.lower():
                while (size := int(file.readline(), 16)) > 0:
                    head += file.read(size + 2)
                file.readline()
            body = name.encode() + b"\n" + head
            file.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    return answer


def to(port: int, *, draining: bool = False) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "draining": draining}


def listener(port: int, *upstreams: dict[str, Any], **more: Any) -> dict[str, Any]:
    known = {"host": "127.0.0.1", "port": port, "protocol": "tcp", "upstreams": list(upstreams)}
    return known | more


def ask(line: socket.socket, text: str) -> str:
    line.sendall(text.encode() + b"\n")
    return line.recv(4096).decode().strip()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def test_connections_outlive_changes_and_the_agent(proxy: Proxy) -> None:
    port = free_port()
    with server(named("one")) as one, server(named("two")) as two:
        proxy.follow(listener(port, to(one)))
        with connect(port) as old:
            assert ask(old, "a") == "one:a"
            proxy.follow(listener(port, to(one, draining=True), to(two)))
            with connect(port) as new:
                assert ask(new, "b") == "two:b"
            assert ask(old, "c") == "one:c"
            proxy.again()
            assert ask(old, "d") == "one:d", "no agent is there, and traffic flows"
            proxy.follow(listener(port, to(two)))
            assert ask(old, "e") == "one:e"
            with connect(port) as new:
                assert ask(new, "f") == "two:f"


def test_a_killed_proxy_is_started_again(proxy: Proxy) -> None:
    port = free_port()
    with server(named("one")) as one:
        proxy.follow(listener(port, to(one)))
        os.kill(proxy.pid(), signal.SIGKILL)

        def answers() -> bool:
            try:
                with connect(port) as line:
                    return ask(line, "a") == "one:a"
            except OSError:
                return False

        await_(answers)


def test_a_dead_replica_is_passed_over(proxy: Proxy) -> None:
    port, dead = free_port(), free_port()
    with server(named("one")) as one:
        proxy.follow(listener(port, to(dead), to(one)))
        for _ in range(4):
            with connect(port) as line:
                assert ask(line, "a") == "one:a"


def test_a_large_answer_and_a_half_closed_line(proxy: Proxy) -> None:
    port, size = free_port(), 8 << 20

    def count(line: socket.socket) -> None:
        total = 0
        while data := line.recv(65536):
            total += len(data)
        line.sendall(b"x" * size + str(total).encode())

    with server(count) as upstream:
        proxy.follow(listener(port, to(upstream)))
        with connect(port) as line:
            line.sendall(b"y" * size)
            line.shutdown(socket.SHUT_WR)
            found = b""
            while data := line.recv(65536):
                found += data
        assert found == b"x" * size + str(size).encode()


def test_datagrams(proxy: Proxy) -> None:
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
        upstream.bind(("127.0.0.1", 0))
        upstream.settimeout(10)
        proxy.follow(listener(port, to(upstream.getsockname()[1]), protocol="udp"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.sendto(b"ping", ("127.0.0.1", port))
            data, where = upstream.recvfrom(100)
            upstream.sendto(data + b"-pong", where)
            assert client.recv(100) == b"ping-pong"
            client.sendto(b"more", ("127.0.0.1", port))
            assert upstream.recvfrom(100) == (b"more", where)


def test_a_taken_port_is_told_and_tried_again(proxy: Proxy) -> None:
    with server(named("one")) as one:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            proxy.follow(listener(port, to(one)))
            await_(lambda: proxy.failures)
            reason = proxy.failures[f"tcp/127.0.0.1/{port}"]
            assert reason == "it is in use by another program"
        await_(lambda: not proxy.failures)
        with connect(port) as line:
            assert ask(line, "a") == "one:a"


def test_routes_by_host_and_path(proxy: Proxy) -> None:
    port = free_port()
    with server(http("shop")) as shop, server(http("api")) as api, server(http("any")) as other:

        def route(host: str, path: str, *upstreams: dict[str, Any], weight: Any = None) -> Any:
            return {"host": host, "path": path, "upstreams": list(upstreams), "weight": weight}

        routes = [
            route("shop.test", "/", to(shop)),
            route("shop.test", "/api", to(api)),
            route("", "/open", to(other)),
            route("split.test", "/", to(shop), weight=0),
            route("split.test", "/", to(api), weight=10),
            route("idle.test", "/"),
        ]
        proxy.follow(listener(port, protocol="http", routes=routes))
        url = f"http://127.0.0.1:{port}"
        assert fetch(f"{url}/", "shop.test").startswith("shop\nGET / HTTP/1.1")
        assert fetch(f"{url}/api/x?y=1", "SHOP.test").startswith("api\nGET /api/x?y=1 HTTP/1.1")
        assert fetch(f"{url}/apix", "shop.test").startswith("shop\n")
        assert fetch(f"{url}/open", "whoever").startswith("any\n")
        assert {fetch(url, "split.test")[:3] for _ in range(8)} == {"api"}
        assert "X-Forwarded-For: 127.0.0.1" in fetch(url, "shop.test")
        with connect(port) as line:
            line.sendall(b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n")
            assert line.recv(4096).startswith(b"HTTP/1.1 404 ")
        with connect(port) as line:
            line.sendall(b"GET / HTTP/1.1\r\nHost: idle.test\r\n\r\n")
            assert line.recv(4096).startswith(b"HTTP/1.1 503 ")
        with connect(port) as line:
            line.sendall(b"rubbish\r\n\r\n")
            assert line.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_one_connection_carries_many_requests_and_bodies(proxy: Proxy) -> None:
    from http import client

    port = free_port()
    with server(http("shop")) as shop:
        routes = [{"host": "", "path": "/", "upstreams": [to(shop)]}]
        proxy.follow(listener(port, protocol="http", routes=routes))
        line = client.HTTPConnection("127.0.0.1", port, timeout=10)
        for number in range(3):
            line.request("GET", f"/{number}")
            assert line.getresponse().read().startswith(f"shop\nGET /{number} ".encode())
        line.request(
            "POST",
            "/",
            body=iter([b"first ", b"second"]),
            encode_chunked=True,
            headers={"Transfer-Encoding": "chunked"},
        )
        assert b"first" in line.getresponse().read()
        line.close()


def test_an_upgrade_becomes_a_stream(proxy: Proxy) -> None:
    port = free_port()
    with server(http("shop")) as shop:
        routes = [{"host": "", "path": "/", "upstreams": [to(shop)]}]
        proxy.follow(listener(port, protocol="http", routes=routes))
        with connect(port) as line:
            line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n")
            line.sendall(b"Upgrade: echo\r\n\r\n")
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += line.recv(4096)
            assert head.startswith(b"HTTP/1.1 101 ")
            assert ask(line, "a") == "shop:a"
            assert ask(line, "b") == "shop:b"


def certificate(name: str) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    return (
        made.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain
        ).decode(),
    )


def test_certificates_by_name_and_their_change(proxy: Proxy) -> None:
    port = free_port()
    one, two, fresh = certificate("one.test"), certificate("*.two.test"), certificate("one.test")

    def secured(trusted: str, name: str) -> bytes:
        context = ssl.create_default_context(cadata=trusted)
        with connect(port) as plain, context.wrap_socket(plain, server_hostname=name) as line:
            line.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            with line.makefile("rb") as answer:
                return answer.read()

    with server(http("shop")) as shop:
        routes = [{"host": "", "path": "/", "upstreams": [to(shop)]}]

        def follow(*certificates: tuple[str, str]) -> None:
            pairs = [list(pair) for pair in certificates]
            proxy.follow(listener(port, protocol="http", routes=routes, certificates=pairs))

        follow(one, two)
        assert b"X-Forwarded-Proto: https" in secured(one[0], "one.test")
        assert b" 200 " in secured(two[0], "www.two.test")
        follow(fresh, two)
        assert b" 200 " in secured(fresh[0], "one.test")
        with pytest.raises(ssl.SSLCertVerificationError):
            secured(one[0], "one.test")
    for path in proxy.state.iterdir():
        if path.is_file():
            assert b"PRIVATE KEY" not in path.read_bytes()


def test_a_bad_certificate_is_told(proxy: Proxy) -> None:
    port = free_port()
    table = listener(port, protocol="http", routes=[], certificates=[["no", "pem"]])
    proxy.follow(table)
    await_(lambda: proxy.failures)
    assert "certificate" in json.dumps(dict(proxy.failures))


def test_an_empty_table_is_waited_for_by_nobody(tmp_path: Path) -> None:
    line = ProxyLine(tmp_path, lambda _failures: None)
    try:
        assert line.await_taken(line.follow([]), 2)
        assert not (tmp_path / "proxy.sock").exists()
    finally:
        line.close()
