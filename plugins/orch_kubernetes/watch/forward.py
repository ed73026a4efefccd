"""Ports of pods, reached over a WebSocket of the API for each connection."""

from __future__ import annotations

from contextlib import suppress
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any

from orch.errors import Unreachable, UsageFault
from orch_kubernetes import names
from orch_kubernetes.api import marks
from orch_kubernetes.api.client import FORWARDING
from orch_kubernetes.api.faults import broken
from orch_kubernetes.api.kinds import WORKLOADS
from orch_kubernetes.watch.health import is_ready, pods_of, template_of, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch_kubernetes.api.client import KubernetesClient
    from orch_kubernetes.change.sights import Cluster

Row = dict[str, Any]
DATA, ERROR = 0, 1
CLOSE = 8
"""The operation of a closing frame, RFC 6455."""
_CHUNK = 32768
_NUMBER = 2
"""Bytes at the start of each channel that repeat the port's number."""


def port_of(cluster: Cluster, service: str, port: str) -> int:
    """The number of a port that a service listens on. Raises UsageFault when it has no such."""
    known = list(_ports(template_of(_workload(cluster, service))))
    for one in known:
        said = one.get("name")
        if port == str(one["containerPort"]) or (said and said in (port, names.port_name(port))):
            if one.get("protocol", "TCP") != "TCP":
                raise UsageFault(f"{service}:{port} is no TCP port", mend="forward one that is")
            return int(one["containerPort"])
    raise UsageFault(
        f"{service} has no port {port!r}",
        mend=f"it has {', '.join(_shown(one) for one in known)}"
        if known
        else "write it under `ports` of the service, and deploy",
    )


def _shown(port: Row) -> str:
    name = port.get("name")
    return f"{port['containerPort']} ({name})" if name else str(port["containerPort"])


def _ports(template: Row) -> Iterator[Row]:
    pod = template.get("spec") or {}
    for container in (*(pod.get("containers") or ()), *(pod.get("initContainers") or ())):
        yield from container.get("ports") or ()


def _workload(cluster: Cluster, service: str) -> Row:
    rows = cluster.ours(WORKLOADS, needed=("Deployment",))
    for row in (row for held in rows.values() for row in held):
        if unit_of(row)[1] == service:
            return row
    raise UsageFault(f"there is no service {service!r}", mend="see `orch status`")


def dial(cluster: Cluster, service: str, replica: str, port: int) -> PodTunnel:
    """A connection to a port of a ready pod. Raises UsageFault when there is none."""
    row = _workload(cluster, service)
    ready = [marks.name_of(pod) for pod in pods_of(row, cluster.pods()) if is_ready(pod)]
    chosen = [name for name in ready if replica in ("", name)]
    if not chosen:
        gone = f"{service} has no ready replica {replica}".rstrip()
        raise UsageFault(gone, mend="see `orch ps`")
    path = f"/api/v1/namespaces/{cluster.space}/pods/{chosen[0]}/portforward"
    return PodTunnel(cluster.client, path, port)


class PodTunnel:
    """One connection. What was said is told apart by the first byte of each frame."""

    def __init__(self, client: KubernetesClient, path: str, port: int) -> None:
        self._path = path
        self._line = client.socket(path, [("ports", str(port))], FORWARDING)
        self._unread = {DATA: _NUMBER, ERROR: _NUMBER}

    def send(self, data: bytes) -> None:
        """Pass bytes on to the pod."""
        from websocket import WebSocketException

        try:
            for start in range(0, len(data), _CHUNK):
                self._line.send_binary(bytes([DATA]) + data[start : start + _CHUNK])
        except (WebSocketException, OSError) as fault:
            raise broken(fault, self._path) from fault

    def receive(self) -> bytes:
        """Bytes of the pod. Raises Unreachable with the kubelet's words when it could not."""
        from websocket import WebSocketException

        while True:
            try:
                operation, frame = self._line.recv_data_frame()
            except (WebSocketException, OSError):
                return b""
            if operation == CLOSE:
                return b""
            channel, data = (frame.data[0], self._content(frame.data)) if frame.data else (0, b"")
            if data and channel == ERROR:
                raise self._unheard(data.decode(errors="replace"))
            if data:
                return data

    def _unheard(self, said: str) -> Unreachable:
        told = "nothing listens there" if "connection refused" in said else " ".join(said.split())
        return Unreachable(told, mend="`orch logs` shows what the replica does")

    def _content(self, frame: bytes) -> bytes:
        skipped = min(self._unread.get(frame[0], 0), len(frame) - 1)
        self._unread[frame[0]] = self._unread.get(frame[0], 0) - skipped
        return frame[1 + skipped :]

    def close(self) -> None:
        """End it; closing alone would not wake who receives."""
        with suppress(Exception):
            self._line.sock.shutdown(SHUT_RDWR)
        with suppress(Exception):
            self._line.shutdown()
