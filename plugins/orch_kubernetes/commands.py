"""Commands in containers, joined to this process's own streams over a WebSocket."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from orch.errors import Unreachable, UsageFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orch_kubernetes.api.client import KubernetesClient

_CHUNK = 32768
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
CLOSES = "v5.channel.k8s.io"
"""The protocol, of 1.30 and later, by which the end of the input can be told."""


def join(
    client: KubernetesClient, pod: str, container: str, command: Sequence[str], *, tty: bool
) -> int:
    """Run a command in a container; its exit code. `pod` is the path of the pod."""
    query = [
        ("container", container),
        ("stdin", "true"),
        ("stdout", "true"),
        ("stderr", str(not tty).lower()),
        ("tty", str(tty).lower()),
        *(("command", word) for word in command),
    ]
    line = client.socket(f"{pod}/exec", query)
    try:
        with _raw_terminal(line, wanted=tty):
            threading.Thread(target=_feed, args=(line,), daemon=True).start()
            return code_of(_heard(line), command)
    finally:
        line.shutdown()


def _heard(line: Any) -> bytes:
    """Pass output on until the end; the last word on the channel of errors."""
    from websocket import WebSocketConnectionClosedException

    said = b""
    while True:
        try:
            operation, frame = line.recv_data_frame()
        except (WebSocketConnectionClosedException, OSError):
            return said
        if operation == 8:  # noqa: PLR2004  (close, RFC 6455)
            return said
        channel, data = (frame.data[0], frame.data[1:]) if frame.data else (CLOSE, b"")
        if channel in (STDOUT, STDERR):
            _write(channel, data)
        elif channel == ERROR:
            said += data


def code_of(said: bytes, command: Sequence[str]) -> int:
    """The exit code in the API's Status; one that never came is a cut connection."""
    if not said:
        raise Unreachable(
            "the connection to the command was cut off",
            mend="the command may still run; look with `orch ps`",
        )
    status = json.loads(said)
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise UsageFault(
        f"{command[0]!r} could not be started: {_cause(str(status.get('message') or ''))}",
        mend="name a program that the image has",
    )


def _cause(said: str) -> str:
    """The words of the runtime, without those of everybody who passed them on."""
    words = said.partition("OCI runtime exec failed: ")[2] or said
    while (rest := words.removeprefix("Internal error occurred: ")) != words:
        words = rest
    return words or "no reason is told"


def _feed(line: Any) -> None:
    with suppress(Exception):
        while data := os.read(0, _CHUNK):
            line.send_binary(bytes([STDIN]) + data)
        if _protocol(line) == CLOSES:
            line.send_binary(bytes([CLOSE, STDIN]))


def _protocol(line: Any) -> str:
    """Which of the protocols that were offered the API has chosen."""
    headers = {key.lower(): value for key, value in (line.getheaders() or {}).items()}
    return str(headers.get("sec-websocket-protocol", ""))


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextmanager
def _raw_terminal(line: Any, *, wanted: bool) -> Iterator[None]:
    """Keys reach the command unread by our own terminal, and it learns of every new size."""
    if not (wanted and sys.stdin.isatty()):
        yield
        return
    import termios
    import tty

    kept = termios.tcgetattr(0)
    previous = signal.signal(signal.SIGWINCH, lambda *_: _tell_size(line))
    try:
        tty.setraw(0)
        _tell_size(line)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, kept)
        signal.signal(signal.SIGWINCH, previous)


def _tell_size(line: Any) -> None:
    columns, rows = shutil.get_terminal_size()
    size = json.dumps({"Width": columns, "Height": rows}).encode()
    with suppress(Exception):
        line.send_binary(bytes([RESIZE]) + size)
