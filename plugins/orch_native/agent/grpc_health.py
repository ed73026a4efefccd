"""Ask the standard gRPC health service, as grpc.health.v1 defines it, over plain HTTP/2."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence

STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
PATH = "/grpc.health.v1.Health/Check"
LENGTH_PREFIX = 5


async def check_health(host: str, port: int, service: str) -> str:
    """The status's name, or `gRPC status N` when the call failed. Raises OSError, ValueError."""
    reader, writer = await asyncio.open_connection(host, port)
    call = _Call(f"{host}:{port}", service)
    try:
        writer.write(call.first_bytes())
        while not call.ended:
            data = await reader.read(65536)
            if not data:
                raise ConnectionResetError("the connection was closed before an answer")
            writer.write(call.feed(data))
    except ProtocolError as fault:
        raise ValueError("the answer is not HTTP/2, as gRPC needs it") from fault
    finally:
        writer.transport.abort()
    return call.status()


class _Call:
    """One call over one connection."""

    def __init__(self, authority: str, service: str) -> None:
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._authority, self._request = authority, _frame(service)
        self._headers: dict[str, str] = {}
        self._body = b""
        self.ended = False

    def first_bytes(self) -> bytes:
        self._http.initiate_connection()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", PATH),
            (":authority", self._authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "orch-probe"),
        ]
        self._http.send_headers(1, headers)
        self._http.send_data(1, self._request, end_stream=True)
        return self._http.data_to_send()

    def feed(self, data: bytes) -> bytes:
        self._take(self._http.receive_data(data))
        return self._http.data_to_send()

    def _take(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, ResponseReceived | TrailersReceived):
                self._headers |= {str(name): str(value) for name, value in event.headers}
            elif isinstance(event, DataReceived):
                self._body += event.data
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded | StreamReset | ConnectionTerminated):
                self.ended = True

    def status(self) -> str:
        code = self._headers.get("grpc-status", "0")
        if self._headers.get(":status") != "200" or code != "0":
            text = self._headers.get("grpc-message", "")
            return f"gRPC status {code} {text}".strip()
        number = _read_status(self._body[LENGTH_PREFIX:])
        return STATUSES[number] if number < len(STATUSES) else f"status {number}"


def _frame(service: str) -> bytes:
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\x00" + len(message).to_bytes(4, "big") + message


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:  # noqa: PLR2004
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def _read_status(message: bytes) -> int:
    """Field 1 of HealthCheckResponse, an enum; absent it is 0."""
    return message[1] if len(message) >= 2 and message[0] == 0x08 else 0  # noqa: PLR2004
