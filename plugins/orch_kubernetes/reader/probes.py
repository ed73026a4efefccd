"""Probes and hooks of a container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.types import Consequence, Fidelity
from orch_kubernetes.reader.part import OWN, is_ours
from orch_kubernetes.reader.values import number_of, seconds, text_of

if TYPE_CHECKING:
    from orch.load.item import Item
    from orch.types import FieldPath
    from orch_kubernetes.reader.part import Part

_KINDS = ("startup", "readiness", "liveness")
_COUNTS = (("failureThreshold", "failure_threshold"), ("successThreshold", "success_threshold"))
_TIMES = (
    ("periodSeconds", "interval"),
    ("timeoutSeconds", "timeout"),
    ("initialDelaySeconds", "initial_delay"),
)
_DEFAULT_TIMEOUT = 1
ELSEWHERE = "a probe asks the replica itself"
SLEEPS = "done by the program `sleep`, which the image must have"


def write_probes(part: Part, path: FieldPath, container: Item) -> None:
    """The three probes of a container."""
    for kind in _KINDS:
        probe = container.get(f"{kind}Probe")
        if probe is not None and part.is_job and path == part.path:
            reason = "a job has no health: it ends"
            part.writer.lose(probe, reason, "", Consequence.AVAILABILITY)
        elif probe is not None:
            _probe(part, (*path, "probes", kind), probe)


def _probe(part: Part, path: FieldPath, probe: Item) -> None:
    writer = part.writer
    if not _check(part, path, probe):
        reason = "it asks nothing"
        writer.lose(probe, reason, "remove it", Consequence.COSMETIC)
        return
    for key, field in _TIMES:
        item, number = probe.get(key), number_of(probe.get(key))
        if number is not None:
            number = max(number, 1) if key != "initialDelaySeconds" else number
            writer.put((*path, field), item, seconds(number))
    if probe.get("timeoutSeconds") is None:
        writer.set((*path, "timeout"), seconds(_DEFAULT_TIMEOUT), probe)
    for key, field in _COUNTS:
        item, number = probe.get(key), number_of(probe.get(key))
        if number is not None:
            writer.put((*path, field), item, max(number, 1))


def _check(part: Part, path: FieldPath, probe: Item) -> bool:
    writer = part.writer
    command, http = probe.at("exec", "command"), probe.get("httpGet")
    tcp, grpc = probe.get("tcpSocket"), probe.get("grpc")
    if command is not None and command.value:
        writer.put_each((*path, "exec", "command"), command)
    elif http is not None:
        _http(part, (*path, "http"), http)
    elif tcp is not None:
        _port(part, (*path, "tcp", "port"), tcp.get("port"))
        writer.lose(tcp.get("host"), ELSEWHERE, "", Consequence.NETWORK)
    elif grpc is not None:
        _port(part, (*path, "grpc", "port"), grpc.get("port"))
        writer.put((*path, "grpc", "service"), grpc.get("service"))
    else:
        return False
    return True


def _http(part: Part, path: FieldPath, http: Item) -> None:
    writer = part.writer
    said = http.get("path")
    if said is not None:
        text = text_of(said)
        writer.put((*path, "path"), said, text if text.startswith("/") else f"/{text}")
    _port(part, (*path, "port"), http.get("port"))
    scheme = http.get("scheme")
    if scheme is not None:
        writer.put((*path, "scheme"), scheme, text_of(scheme).lower() or "http")
    writer.lose(http.get("host"), ELSEWHERE, "", Consequence.NETWORK)
    for header in http.get("httpHeaders") or ():
        name = text_of(header.get("name"))
        where = (*path, "host") if name.lower() == "host" else (*path, "headers", name)
        writer.put(where, header, text_of(header.get("value")))


def _port(part: Part, path: FieldPath, item: Item | None) -> None:
    """A port by number, or by the name of a port of the pod."""
    if item is None:
        return
    value = item.value
    if isinstance(value, str):
        number = int(value) if value.isdigit() else part_port(part, value)
        value = number if number is not None else value
    part.writer.put(path, item, value)


def part_port(part: Part, name: str) -> int | None:
    """The number of a port of the pod that is called so."""
    for kind in ("containers", "initContainers"):
        for container in part.pod.get(kind) or ():
            for port in container.get("ports") or ():
                if text_of(port.get("name")) == name:
                    return number_of(port.get("containerPort"))
    return None


def write_hooks(part: Part, container: Item) -> None:
    """Commands after the start and before the stop."""
    lifecycle = container.get("lifecycle")
    for key, field in (("postStart", "post_start"), ("preStop", "pre_stop")):
        hook = lifecycle.get(key) if lifecycle is not None else None
        if hook is None or part.is_job:
            continue
        command, sleep = hook.at("exec", "command"), hook.at("sleep", "seconds")
        path = part.at(field, 0, "command")
        if sleep is not None and is_ours(part.thing):
            part.writer.note(part.at("stop_grace_period"), sleep, Fidelity.NATIVE, OWN)
        elif command is not None and command.value:
            part.writer.put_each(path, command)
        elif sleep is not None:
            said = ["sleep", str(sleep.value)]
            part.writer.put(path, sleep, said, outcome=Fidelity.EMULATED, reason=SLEEPS)
    signal = lifecycle.get("stopSignal") if lifecycle is not None else None
    part.put(("stop_signal",), signal)
