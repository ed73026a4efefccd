"""An engine that wants certificates of its own authority, and asks a plugin what it may do."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import TYPE_CHECKING, Any

from tests.integration.conftest import engine_program

if TYPE_CHECKING:
    from collections.abc import Iterator

PLUGINS = Path("/run/docker/plugins")


@dataclass(frozen=True)
class Guarded:
    """`good`, `foreign` and `bare` are folders of certificates; `denied` holds patterns."""

    host: str
    good: Path
    foreign: Path
    denied: list[str]


def _openssl(*args: str | Path) -> None:
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def authority(folder: Path) -> Path:
    """A folder with an authority, and a pair of keys that it vouches for."""
    folder.mkdir()
    ca = ("-key", folder / "ca-key.pem", "-subj", f"/CN={folder.name}", "-out", folder / "ca.pem")
    _openssl("genpkey", "-algorithm", "ED25519", "-out", folder / "ca-key.pem")
    _openssl("genpkey", "-algorithm", "ED25519", "-out", folder / "key.pem")
    _openssl("req", "-x509", "-new", "-days", "2", *ca)
    pair = ("-key", folder / "key.pem", "-subj", "/CN=tests", "-out", folder / "asked.csr")
    _openssl("req", "-new", *pair)
    said = folder / "names"
    said.write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    _openssl(
        "x509", "-req", "-days", "2", "-in", folder / "asked.csr", "-CA", folder / "ca.pem",
        "-CAkey", folder / "ca-key.pem", "-CAcreateserial", "-extfile", said,
        "-out", folder / "cert.pem",
    )  # fmt: skip
    return folder


class _Asked(BaseHTTPRequestHandler):
    """The engine's questions to an authorisation plugin."""

    denied: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said: dict[str, Any] = {"Allow": True}
        if self.path == "/Plugin.Activate":
            said = {"Implements": ["authz"]}
        elif self.path == "/AuthZPlugin.AuthZReq":
            asked = json.loads(body)
            what = f"{asked['RequestMethod']} {asked['RequestUri']}"
            if any(re.search(pattern, what) for pattern in self.denied):
                said = {"Allow": False, "Msg": "visitors may only look"}
        data = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def address_string(self) -> str:
        return "engine"

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def plugin(name: str, denied: list[str]) -> Iterator[None]:
    """A plugin that denies what the patterns name, in `METHOD /path`."""
    PLUGINS.mkdir(parents=True, exist_ok=True)
    path = PLUGINS / f"{name}.sock"
    path.unlink(missing_ok=True)
    handler = type("Asked", (_Asked,), {"denied": denied})
    with ThreadingUnixStreamServer(str(path), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            path.unlink(missing_ok=True)


@contextmanager
def guarded_engine(folder: Path, port: int) -> Iterator[Guarded]:
    """Start the engine, and stop it."""
    good, foreign = authority(folder / "good"), authority(folder / "foreign")
    name, denied = f"orch-tests-{os.getpid()}", list[str]()
    program = engine_program()
    command = [
        program, f"--host=tcp://127.0.0.1:{port}", f"--data-root={folder}/data",
        f"--exec-root={folder}/exec", f"--pidfile={folder}/docker.pid", "--bridge=none",
        "--iptables=false", "--ip6tables=false", "--log-level=warn", "--tlsverify",
        f"--tlscacert={good}/ca.pem", f"--tlscert={good}/cert.pem", f"--tlskey={good}/key.pem",
        f"--authorization-plugin={name}",
    ]  # fmt: skip
    with plugin(name, denied), (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            _await(port, good, process, folder / "log")
            yield Guarded(f"tcp://127.0.0.1:{port}", good, foreign, denied)
        finally:
            process.terminate()
            process.wait(30)
            shutil.rmtree(folder / "data", ignore_errors=True)


def _await(port: int, good: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    ask = [
        "curl", "-fsS", "--cacert", good / "ca.pem", "--cert", good / "cert.pem",
        "--key", good / "key.pem", f"https://127.0.0.1:{port}/_ping",
    ]  # fmt: skip
    end = time.monotonic() + 60
    while subprocess.run(ask, capture_output=True, check=False).returncode:
        ended = process.poll() is not None or time.monotonic() > end
        assert not ended, log.read_text()
        time.sleep(0.1)
