"""What a test deploys: small servers and jobs, said once for images and once for processes."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

Spec = dict[str, Any]
PORT = 8080
_SERVER = """
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = os.environ.get("READY") == "yes"
        well = self.path != "/ready" or ready
        self.send_response(200 if well else 503)
        body = os.environ["TEXT"].encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer.daemon_threads = True
address = (os.environ.get("ORCH_ADDRESS", "0.0.0.0"), 8080)
server = http.server.ThreadingHTTPServer(address, Page)
print("serving", os.environ["TEXT"], flush=True)
server.serve_forever()
"""
_BUSYBOX_SERVER = (
    # It serves on for a moment when it is told to end, and then ends by itself.
    'trap "sleep 0.3; exit 0" TERM; '
    'mkdir -p /tmp/www; printf %s "$TEXT" > /tmp/www/index.html; '
    '[ "$READY" = yes ] && echo ok > /tmp/www/ready; '
    'echo "serving $TEXT"; httpd -f -p 8080 -h /tmp/www & wait'
)


class Workload(Protocol):
    """How things are run on the backend under test; each gives a service or job of the spec."""

    def web(self, text: str, *, ready: bool = True) -> Spec:
        """A server on port 8080: prints `serving TEXT`, answers TEXT at / and 200 at /ready."""
        ...

    def shell(self, script: str) -> Spec:
        """A POSIX shell that runs a script."""
        ...

    def unstartable(self) -> Spec:
        """Something that can't even be started, such as an image that is nowhere."""
        ...


def readiness() -> Spec:
    """A probe that looks often, so that tests are quick."""
    return {
        "http": {"path": "/ready", "port": PORT},
        "interval": "200ms",
        "timeout": "2s",
        "failure_threshold": 3,
    }


def _served(command: Mapping[str, Any], text: str, *, ready: bool) -> Spec:
    return {
        **command,
        "environment": {"TEXT": text, "READY": "yes" if ready else "no"},
        "ports": [{"name": "http", "target": PORT}],
        "probes": {"readiness": readiness()},
        "stop_grace_period": "3s",
    }


class Processes:
    """Plain processes of the host: this Python serves, and /bin/sh runs scripts."""

    def web(self, text: str, *, ready: bool = True) -> Spec:
        """A server written in Python."""
        return _served({"command": [sys.executable, "-c", _SERVER]}, text, ready=ready)

    def shell(self, script: str) -> Spec:
        """The host's own shell."""
        return {"command": ["/bin/sh", "-c", script], "stop_grace_period": "3s"}

    def unstartable(self) -> Spec:
        """A program that is not there."""
        return {"command": ["/nowhere/program"]}


class Containers:
    """Containers of one image that holds busybox with `sh`, `httpd` and `sha256sum`."""

    def __init__(self, image: str) -> None:
        self._image = image

    def web(self, text: str, *, ready: bool = True) -> Spec:
        """Busybox's httpd."""
        command = {"image": self._image, "command": ["sh", "-c", _BUSYBOX_SERVER]}
        return _served(command, text, ready=ready)

    def shell(self, script: str) -> Spec:
        """Busybox's shell."""
        command = ["sh", "-c", script]
        return {"image": self._image, "command": command, "stop_grace_period": "3s"}

    def unstartable(self) -> Spec:
        """An image that exists nowhere."""
        return {"image": "localhost:9/no/such-image:1", "command": ["true"]}


class Scripted:
    """Images whose tag tells the scripted backend how they fare."""

    def web(self, text: str, *, ready: bool = True) -> Spec:
        """A server that gets healthy, or never does."""
        return _served({"image": f"server:{'good' if ready else 'broken'}"}, text, ready=ready)

    def shell(self, script: str) -> Spec:
        """A script that fails when it would exit with another code than 0."""
        failing = re.search(r"\bexit [1-9]", script) is not None
        return {
            "image": f"shell:{'broken' if failing else 'good'}",
            "command": ["sh", "-c", script],
        }

    def unstartable(self) -> Spec:
        """An image that exists nowhere."""
        return {"image": "localhost:9/no/such-image:broken"}
