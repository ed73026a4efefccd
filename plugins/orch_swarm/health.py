"""Probes to the one HEALTHCHECK that Swarm knows."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from orch.types import Fidelity

if TYPE_CHECKING:
    from orch.compile.builder import ManifestBuilder, ResourceBuilder
    from orch.compile.view import View
    from orch.spec.container import Port
    from orch.spec.probe import HttpCheck, Probe

NANO = 1_000_000
"""Nanoseconds in a millisecond, the unit of durations in the spec."""
HEALTHCHECK = ("Container", "Healthcheck")
ONE_CHECK = "Swarm has one health check: it decides of traffic, and replaces a replica that fails"
HTTP_TOOL = "run as a command in the container: the image needs sh, and curl or wget"
TCP_TOOL = "run as a command in the container: the image needs sh, and nc or bash"
MEND = "add it to the image, or use exec with a program that the image holds"
START = "failures do not count within the start period, of interval times failure_threshold"


class HealthCompiler:
    """Writes the probes of one service into its body."""

    def __init__(
        self, make: ManifestBuilder, resource: ResourceBuilder, ports: tuple[Port, ...]
    ) -> None:
        self._make, self._resource = make, resource
        self._ports = {port.name: port.target for port in ports if port.name}

    def compile(self, probes: View) -> None:
        """The readiness probe is the check, else liveness, else startup."""
        kinds = [k for k in ("readiness", "liveness", "startup") if getattr(probes, k) is not None]
        checks = [kind for kind in kinds if getattr(probes, kind).value.grpc is None]
        for kind in kinds:
            if kind not in checks:
                self._lose_grpc(getattr(probes, kind))
        if not checks:
            return
        first, *others = checks
        self._check(getattr(probes, first), first)
        for kind in others:
            if kind == "startup":
                self._start_period(probes.startup)
            else:
                self._make.lose(
                    getattr(probes, kind),
                    f"{ONE_CHECK}; the {first} probe is it",
                    "let the two probes ask the same",
                )

    def _lose_grpc(self, probe: View) -> None:
        self._make.lose(
            probe,
            "Swarm runs commands in the container alone, and images rarely hold a gRPC client",
            "use exec with a client that the image holds, such as grpc_health_probe",
        )

    def _check(self, probe: View, kind: str) -> None:
        value: Probe = probe.value
        own = Fidelity.NATIVE if kind == "liveness" else Fidelity.DEGRADED
        reason = "" if kind == "liveness" else ONE_CHECK
        for key, name in (("interval", "Interval"), ("timeout", "Timeout")):
            read = getattr(probe, key)
            self._put(name, read, int(read.value) * NANO, own, reason)
        self._put("Retries", probe.failure_threshold, value.failure_threshold, own, reason)
        if value.initial_delay or probe.initial_delay.authored:
            delay = int(value.initial_delay) * NANO
            told = "checks run from the start, and failures do not count until then"
            self._put("StartPeriod", probe.initial_delay, delay, Fidelity.DEGRADED, told)
        self._make.lose(probe.success_threshold, "the first success makes a replica healthy")
        self._test(probe, own, reason)

    def _test(self, probe: View, own: Fidelity, reason: str) -> None:
        value = probe.value
        if value.exec is not None:
            test = ["CMD", *value.exec.command]
            self._put("Test", probe.exec, test, own, reason)
        elif value.http is not None:
            script = http_script(value.http, self._port(value.http.port), value.timeout.seconds)
            self._shell(probe.http, script, own, reason, HTTP_TOOL)
        elif value.tcp is not None:
            script = tcp_script(self._port(value.tcp.port), value.timeout.seconds)
            self._shell(probe.tcp, script, own, reason, TCP_TOOL)

    def _shell(self, node: View, script: str, own: Fidelity, reason: str, tool: str) -> None:
        outcome = max(own, Fidelity.EMULATED, key=lambda one: one.rank)
        said = f"{reason}; {tool}" if reason else tool
        self._put("Test", node, ["CMD-SHELL", script], outcome, said, MEND)

    def _start_period(self, probe: View) -> None:
        value: Probe = probe.value
        period = int(value.initial_delay) + int(value.interval) * value.failure_threshold
        reads = (probe.interval, probe.failure_threshold, probe.initial_delay)
        self._resource.put(
            (*HEALTHCHECK, "StartPeriod"),
            *reads,
            value=period * NANO,
            outcome=Fidelity.DEGRADED,
            reason=START,
        )
        for part in (probe.exec, probe.http, probe.tcp, probe.timeout, probe.success_threshold):
            self._make.lose(part, f"{ONE_CHECK}; the startup probe's own check is not run")

    def _put(
        self, key: str, read: Any, value: Any, outcome: Fidelity, reason: str, mend: str = ""
    ) -> None:
        path = (*HEALTHCHECK, key)
        self._resource.put(path, read, value=value, outcome=outcome, reason=reason, mend=mend)

    def _port(self, port: int | str) -> int:
        return port if isinstance(port, int) else self._ports.get(port, 0)


def http_script(check: HttpCheck, port: int, timeout: float) -> str:
    """A shell command that asks with curl or wget; both fail for a status from 400."""
    url = shlex.quote(f"{check.scheme}://127.0.0.1:{port}{check.path}")
    headers = {**({"Host": check.host} if check.host else {}), **check.headers}
    said = [shlex.quote(f"{name}: {value}") for name, value in headers.items()]
    seconds = max(1, round(timeout))
    curl = " ".join(
        ["curl -fsS -o /dev/null", f"-m {seconds}", *(f"-H {one}" for one in said)]
        + (["-k"] if check.scheme == "https" else [])
        + [url]
    )
    wget = " ".join(
        ["wget -q -O /dev/null", f"-T {seconds}", *(f"--header {one}" for one in said)]
        + (["--no-check-certificate"] if check.scheme == "https" else [])
        + [url]
    )
    return f"if command -v curl >/dev/null 2>&1; then {curl}; else {wget}; fi || exit 1"


def tcp_script(port: int, timeout: float) -> str:
    """A shell command that opens a connection with nc, or with bash alone."""
    seconds = max(1, round(timeout))
    return (
        f"nc -z -w {seconds} 127.0.0.1 {port} 2>/dev/null "
        f"|| nc -w {seconds} 127.0.0.1 {port} </dev/null 2>/dev/null "
        f"|| bash -c ': </dev/tcp/127.0.0.1/{port}' 2>/dev/null || exit 1"
    )
