"""An engine behind SSH: the user's own ssh runs `docker system dial-stdio` there."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

from orch.errors import UsageFault

_END_SECONDS = 5.0


class Tunnel:
    """A socket of this machine; each connection to it is one to the engine over there."""

    def __init__(self, host: str) -> None:
        self._command = command(host)
        if shutil.which("ssh") is None:
            raise UsageFault("there is no ssh here", place=host, mend="install an SSH client")
        self._folder = tempfile.TemporaryDirectory(prefix="orch-ssh-")
        self._told = Path(self._folder.name, "told")
        path = Path(self._folder.name, "docker.sock")
        self.address = f"unix://{path}"
        self._dials: list[subprocess.Popen[bytes]] = []
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(path))
        self._door.listen()
        self._thread = threading.Thread(target=self._serve, name=f"ssh {host}", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._door.accept()
            except OSError:
                return
            self._dials = [dial for dial in self._dials if dial.poll() is None]
            with line, self._told.open("ab") as told:
                dial = subprocess.Popen(
                    self._command, stdin=line.fileno(), stdout=line.fileno(), stderr=told
                )
                self._dials.append(dial)

    def said(self) -> str:
        """The last line that ssh, or docker over there, complained with; empty for none."""
        text = self._told.read_text(errors="replace") if self._told.exists() else ""
        return text.strip().rpartition("\n")[2].strip()

    def close(self) -> None:
        """End every connection."""
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._thread.join(_END_SECONDS)
        self._door.close()
        for dial in self._dials:
            dial.terminate()
        for dial in self._dials:
            try:
                dial.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                dial.kill()
                dial.wait()
        self._folder.cleanup()


def command(host: str) -> list[str]:
    """What docker's own client runs for `ssh://[USER@]HOST[:PORT][/SOCKET]`. Raises UsageFault."""
    try:
        parts = urlsplit(host)
        name, port = parts.hostname, parts.port
    except ValueError as fault:
        raise UsageFault(str(fault), place=host, mend="write ssh://USER@HOST:PORT") from fault
    if not name or parts.password:
        raise UsageFault(
            "this is no address of SSH" if not name else "ssh takes no password in an address",
            place=f"ssh://{name}" if name else host,
            mend="write ssh://USER@HOST, and log in with a key",
        )
    login = ["-l", parts.username] if parts.username else []
    door = ["-p", str(port)] if port else []
    there = ["--host", f"unix://{parts.path}"] if parts.path.strip("/") else []
    dial = ["docker", *there, "system", "dial-stdio"]
    return ["ssh", "-T", "-o", "ConnectTimeout=30", *login, *door, "--", name, *dial]
