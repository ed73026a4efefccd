"""Forwarded ports of the double: a WebSocket with two channels, as the kubelet speaks.

Each channel begins with the port's number in two bytes; the first one carries what is said, the
second one why nothing can be. A pod answers whatever it is told with its own name, and ends.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import TYPE_CHECKING

from websocket import ABNF
from websocket._abnf import frame_buffer

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

PROTOCOL = "v4.channel.k8s.io"
_SEED = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""


def forward(handler: BaseHTTPRequestHandler, pod: str, port: int, *, listens: bool) -> None:
    """Speak for one port of a pod until the connection ends."""
    _shake_hands(handler)
    for channel in (0, 1):
        _say(handler, channel, struct.pack("<H", port))
    if listens:
        frame = frame_buffer(handler.rfile.read, skip_utf8_validation=True).recv_frame()
        if frame.opcode == ABNF.OPCODE_BINARY:
            _say(handler, 0, f"{pod} heard {frame.data[1:].decode()}".encode())
    else:
        _say(handler, 1, b"dial tcp4 127.0.0.1:%d: connect: connection refused" % port)
    _send(handler, ABNF.OPCODE_CLOSE, struct.pack(">H", 1000))
    handler.close_connection = True


def _shake_hands(handler: BaseHTTPRequestHandler) -> None:
    key = handler.headers["Sec-WebSocket-Key"] + _SEED
    accepted = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    handler.send_response(101)
    handler.send_header("Upgrade", "websocket")
    handler.send_header("Connection", "Upgrade")
    handler.send_header("Sec-WebSocket-Accept", accepted)
    handler.send_header("Sec-WebSocket-Protocol", PROTOCOL)
    handler.end_headers()


def _say(handler: BaseHTTPRequestHandler, channel: int, data: bytes) -> None:
    _send(handler, ABNF.OPCODE_BINARY, bytes([channel]) + data)


def _send(handler: BaseHTTPRequestHandler, opcode: int, data: bytes) -> None:
    handler.wfile.write(ABNF(1, 0, 0, 0, opcode, 0, data).format())
    handler.wfile.flush()
