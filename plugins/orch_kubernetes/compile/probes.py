"""The three probes of a container."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from orch.types import Consequence, Fidelity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.compile.view import Read, View
    from orch.spec.units import Duration
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope
    from orch_kubernetes.compile.pod import Pod

KINDS = ("startup", "readiness", "liveness")
ONE_SUCCESS = "one success is enough for this probe"
OPEN_PORT = "without gRPC probes, before 1.24, a port that opens counts"


def seconds(duration: Duration, least: int = 0) -> int:
    """A duration in whole seconds, rounded up."""
    return max(ceil(duration.seconds), least)


class ProbeCompiler:
    """Writes the probes of one container."""

    def __init__(self, scope: Scope, pod: Pod, path: FieldPath, ports: Mapping[str, int]) -> None:
        self._scope, self._path, self._ports = scope, path, ports
        self._resource = pod.resource

    def compile(self, probes: View) -> None:
        """All that are there."""
        for kind in KINDS:
            probe = probes.field(kind)
            if probe is not None:
                self._probe((*self._path, f"{kind}Probe"), kind, probe)

    def _probe(self, path: FieldPath, kind: str, probe: View) -> None:
        put = self._resource.put
        self._check(path, probe)
        for field, key, least in (
            ("interval", "periodSeconds", 1),
            ("timeout", "timeoutSeconds", 1),
            ("initial_delay", "initialDelaySeconds", 0),
        ):
            read = probe.field(field)
            whole = read.value % 1000 == 0
            how: dict[str, Any] = (
                {} if whole else {"outcome": Fidelity.DEGRADED, "reason": "whole seconds alone"}
            )
            put((*path, key), read, value=seconds(read.value, least), **how)
        put((*path, "failureThreshold"), probe.failure_threshold)
        if kind == "readiness":
            put((*path, "successThreshold"), probe.success_threshold)
        else:
            one = probe.value.success_threshold == 1
            self._scope.make.lose(
                probe.success_threshold, ONE_SUCCESS, "", Consequence.COSMETIC if one else None
            )

    def _check(self, path: FieldPath, probe: View) -> None:
        put = self._resource.put
        if probe.exec is not None:
            put((*path, "exec", "command"), probe.exec.command)
        elif probe.http is not None:
            self._http((*path, "httpGet"), probe.http)
        elif probe.tcp is not None:
            self._port((*path, "tcpSocket", "port"), probe.tcp.port)
        else:
            self._grpc(path, probe.grpc)

    def _port(self, path: FieldPath, read: Read, **how: Any) -> None:
        port = self._ports.get(read.value, read.value)
        self._resource.put(path, read, value=port, **how)

    def _http(self, path: FieldPath, check: View) -> None:
        put = self._resource.put
        put((*path, "path"), check.field("path"))
        self._port((*path, "port"), check.port)
        put((*path, "scheme"), check.scheme, value=check.value.scheme.upper())
        headers = 0
        if check.host is not None:
            header = (*path, "httpHeaders", headers)
            self._resource.set((*header, "name"), "Host")
            put((*header, "value"), check.host)
            headers += 1
        for name, read in check.headers.items():
            self._resource.set((*path, "httpHeaders", headers, "name"), name)
            put((*path, "httpHeaders", headers, "value"), read)
            headers += 1

    def _grpc(self, path: FieldPath, check: View) -> None:
        if self._scope.facts.has("grpc_probe"):
            self._port((*path, "grpc", "port"), check.port)
            if check.value.service or check.service.authored:
                self._resource.put((*path, "grpc", "service"), check.service)
            return
        how: dict[str, Any] = {"outcome": Fidelity.DEGRADED, "reason": OPEN_PORT}
        self._port((*path, "tcpSocket", "port"), check.port, **how)
        self._scope.make.lose(check.service, OPEN_PORT, "use a cluster of 1.24 or later")
