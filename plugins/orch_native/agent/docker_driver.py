"""Containers of a Docker engine, one for each attempt, found again by name and label."""

from __future__ import annotations

import datetime as dt
import re
import threading
import time
from typing import TYPE_CHECKING, Any

from orch_native.agent.docker_body import container_body, endpoint
from orch_native.agent.docker_client import ENDED, Engine
from orch_native.agent.docker_exec import DockerSession
from orch_native.agent.docker_facts import EngineFacts
from orch_native.agent.docker_marks import AGENT
from orch_native.agent.docker_networks import Networks
from orch_native.agent.docker_refusals import pull_mend, refusals
from orch_native.agent.docker_volumes import Volumes
from orch_native.agent.driver import (
    OUT_OF_MEMORY,
    Exit,
    Printed,
    Running,
    StartFault,
    Unreached,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orch.spec.application import Job, Service
    from orch.spec.container import Hook
    from orch.spec.image import Image
    from orch_native.agent.driver import Stop
    from orch_native.agent.files import Files
    from orch_native.agent.pod import Piece, Pod
    from orch_native.messages import DriverFacts

HANDLE, ATTEMPT, ALLOCATION = "orch.handle", "orch.attempt", "orch.allocation"
AGAIN_SECONDS = 1.0
PRINTED_BYTES = 4096
HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
STREAMS = {1: "stdout", 2: "stderr"}
FEATURES = frozenset(
    {"exec", "logs", "stats", "tty", "images", "networks", "volumes", "mounts", "users", "hostname"}
    | {"limits-memory", "limits-cpu", "limits-pids", "hosts-file"}
)


class DockerDriver:
    """Runs images on the Docker engine of this host; podman's socket speaks the same."""

    name = "docker"

    def __init__(self, agent: str, files: Files, host: str | None) -> None:
        self._agent, self._files = agent, files
        self._engine = Engine(host)
        self._lock = threading.Lock()
        self._networks = Networks(self._engine, agent)
        self._volumes = Volumes(self._engine, agent)
        self._pulling: dict[str, threading.Lock] = {}
        self._latest: dict[str, int] = {}
        self._ended: dict[str, Callable[[], None]] = {}
        self._facts = EngineFacts(
            self.name, FEATURES, lambda: (self._engine.info(), self._engine.version())
        )
        self._closing = threading.Event()
        self._watcher: threading.Thread | None = None

    # -- what it is ------------------------------------------------------------------------------

    def facts(self) -> DriverFacts:
        return self._facts.now()

    def refuse(self, spec: Service | Job) -> Sequence[tuple[str, str]]:
        seen = self._facts.look()
        if not seen.facts.available:
            return [("image", seen.facts.reason)]
        return list(refusals(spec, seen.info, seen.version))

    # -- start -----------------------------------------------------------------------------------

    def pull(self, pod: Pod, piece: Piece) -> None:
        spec = piece.container
        if spec.image is None:
            raise StartFault("one unit is either all containers or all processes of the host")
        with self._lock:
            turn = self._pulling.setdefault(spec.image.full, threading.Lock())
        with turn:
            here = self._engine.has_image(str(spec.image))
            if spec.pull_policy == "never" and not here:
                raise StartFault(
                    f"the image {spec.image} is not on this host, and pull_policy is never"
                )
            if spec.pull_policy == "always" or (spec.pull_policy == "missing" and not here):
                self._pull(pod, spec.image, spec.platform)

    def _pull(self, pod: Pod, image: Image, platform: str | None) -> None:
        logins = pod.allocation.registries
        names = HUB if image.registry in HUB else (image.registry,)
        login = next((logins[name] for name in names if name in logins), None)
        try:
            self._engine.pull(image.full, platform, login)
        except StartFault as fault:
            mend = pull_mend(str(fault), image.registry, login[0] if login else "")
            raise StartFault(f"the image {image} can't be pulled: {fault}{mend}") from None

    def prepare(self, pod: Pod) -> None:
        self._volumes.prepare(pod)
        self._networks.prepare(pod)

    def start(self, pod: Pod, piece: Piece, attempt: int) -> None:
        name = f"{piece.handle}.{attempt}"
        found = self._engine.inspect(name)
        if found is None:
            self._create(pod, piece, attempt, name)
        elif found["Config"]["Labels"].get(AGENT) != self._agent:
            raise StartFault(f"a container {name} is there already and is not ours")
        elif found["State"]["Status"] != "created":
            return
        self._engine.start(name)
        with self._lock:
            self._latest[piece.handle] = attempt

    def _create(self, pod: Pod, piece: Piece, attempt: int, name: str) -> None:
        self._forget_older(piece.handle, attempt - 1)
        network, endpoints = self._place(pod, piece)
        first = dict(list(endpoints.items())[:1])
        body = container_body(
            pod,
            piece,
            labels=self._labels(pod, piece, attempt),
            files=self._files.place(pod, piece),
            network=network,
            endpoints=first,
        )
        self._engine.create(name, body, piece.container.platform)
        for other, settings in list(endpoints.items())[1:]:
            self._engine.connect(name, other, settings)

    def _place(self, pod: Pod, piece: Piece) -> tuple[str, dict[str, Any]]:
        """The network that a container starts in, and how it takes part in each."""
        if piece.role == "sidecar":
            return f"container:{self._current(pod.main.handle)}", {}
        if pod.spec.network_mode != "app":
            return pod.spec.network_mode, {}
        joins = {name: join for name, _known, join in pod.networks()}
        if piece.role == "init":
            # It is no replica: the service's name must not lead to it.
            return next(iter(joins)), {name: {} for name in joins}
        return next(iter(joins)), {name: endpoint(pod, join) for name, join in joins.items()}

    def _labels(self, pod: Pod, piece: Piece, attempt: int) -> dict[str, str]:
        allocation = pod.allocation
        return {
            AGENT: self._agent,
            HANDLE: piece.handle,
            ATTEMPT: str(attempt),
            ALLOCATION: allocation.id,
            "orch.namespace": allocation.namespace,
            "orch.app": allocation.app,
            "orch.unit": allocation.unit,
            "orch.index": str(allocation.index),
            "orch.role": piece.role,
        }

    def _forget_older(self, handle: str, keep: int) -> None:
        """Keep the attempt before this one for its output, and none before that."""
        for attempt, name in self._attempts(handle).items():
            if attempt < keep:
                self._engine.remove(name)

    # -- life ------------------------------------------------------------------------------------

    def _attempts(self, handle: str) -> dict[int, str]:
        found = self._engine.containers(f"{AGENT}={self._agent}", f"{HANDLE}={handle}")
        pairs = ((int(c["Labels"][ATTEMPT]), c["Names"][0].lstrip("/")) for c in found)
        return dict(sorted(pairs))

    def _current(self, handle: str) -> str:
        with self._lock:
            attempt = self._latest.get(handle)
        if attempt is None:
            attempt = max(self._attempts(handle), default=0)
            with self._lock:
                self._latest[handle] = attempt
        return f"{handle}.{attempt}"

    def poll(self, handle: str) -> Running | Exit | None:
        found = self._engine.inspect(self._current(handle))
        if found is None:
            with self._lock:
                self._latest.pop(handle, None)
            return None
        attempt, state = int(found["Config"]["Labels"][ATTEMPT]), found["State"]
        if state["Status"] == "created":
            return None
        if state["Status"] in ENDED:
            return Exit(attempt, state["ExitCode"], _seconds(state["FinishedAt"]), _fault(state))
        return Running(attempt, _seconds(state["StartedAt"]))

    def watch(self, handle: str, ended: Callable[[], None]) -> None:
        with self._lock:
            self._ended[handle] = ended
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="docker", daemon=True)
                self._watcher.start()

    def _watch(self) -> None:
        while not self._closing.is_set():
            since = int(time.time()) - 1
            self._look_again()
            try:
                for name in self._engine.deaths(f"{AGENT}={self._agent}", since):
                    self._call(name.rpartition(".")[0])
            except (StartFault, Unreached, ValueError):
                pass  # the engine went away: everything is looked at again when it is back
            self._closing.wait(AGAIN_SECONDS)

    def _look_again(self) -> None:
        with self._lock:
            handles = list(self._ended)
        for handle in handles:
            self._call(handle)

    def _call(self, handle: str) -> None:
        with self._lock:
            ended = self._ended.get(handle)
        if ended:
            ended()

    def signal(self, handle: str, name: str) -> None:
        self._engine.kill(self._current(handle), name)

    def remove(self, handle: str) -> None:
        with self._lock:
            self._ended.pop(handle, None)
            self._latest.pop(handle, None)
        for name in self._attempts(handle).values():
            self._engine.remove(name)
        self._files.remove(handle)

    def clean(self, pod_handle: str, networks: Sequence[str]) -> None:
        self._networks.leave(pod_handle, networks)

    def release(self, allocation: str) -> None:
        """The engine takes addresses back by itself."""

    def owned(self) -> Mapping[str, str]:
        found = self._engine.containers(f"{AGENT}={self._agent}")
        return {c["Labels"][HANDLE]: c["Labels"][ALLOCATION] for c in found}

    def address(self, pod: Pod) -> tuple[str, Mapping[str, int]]:
        ports = {f"{port.target}/{port.protocol}": port.target for port in pod.ports}
        if pod.spec.network_mode == "none":
            return "", {}
        if pod.spec.network_mode == "host":
            return "127.0.0.1", ports
        found = self._engine.inspect(self._current(pod.main.handle))
        networks = found["NetworkSettings"]["Networks"] if found else {}
        places = [
            networks[name]["IPAddress"] or networks[name]["GlobalIPv6Address"]
            for name, _known, _join in pod.networks()
            if name in networks
        ]
        return next(filter(None, places), ""), ports

    # -- beside it -------------------------------------------------------------------------------

    def run(
        self, handle: str, command: Sequence[str], *, timeout: float, hook: Hook | None = None
    ) -> tuple[int, str]:
        deadline = time.monotonic() + timeout
        session = self._session(handle, command, hook, tty=False, stdin=False)
        text = b""
        try:
            for _stream, data in session.output(deadline):
                text = (text + data)[:PRINTED_BYTES]
            code = session.exit_code()
        except TimeoutError:
            session.kill()
            raise
        finally:
            session.close()
        return code, text.decode(errors="replace").strip()

    def exec(self, handle: str, command: Sequence[str], *, tty: bool) -> DockerSession:
        return self._session(handle, command, None, tty=tty, stdin=True)

    def _session(
        self, handle: str, command: Sequence[str], hook: Hook | None, *, tty: bool, stdin: bool
    ) -> DockerSession:
        settings: dict[str, Any] = {"tty": tty, "stdin": stdin}
        if hook:
            settings |= {"user": hook.user or "", "workdir": hook.working_dir}
            settings["environment"] = dict(hook.environment) or None
        id = self._engine.exec(self._current(handle), command, **settings)
        return DockerSession(self._engine, id, tty=tty)

    def logs(
        self, handle: str, *, since: float | None, tail: int | None, follow: Stop | None = None
    ) -> Iterator[Printed]:
        names = list(self._attempts(handle).values())
        if tail is None:
            for name in names[:-1]:
                yield from self._printed(name, since, None)
            for name in names[-1:]:
                yield from self._printed(name, since, None, follow)
            return
        kept = [printed for name in names for printed in self._printed(name, since, tail)]
        kept = kept[-tail:] if tail else []
        yield from kept
        if follow is not None and names:
            last = kept[-1].time if kept else time.time()
            yield from self._printed(names[-1], last, None, follow)

    def _printed(
        self, name: str, since: float | None, tail: int | None, follow: Stop | None = None
    ) -> Iterator[Printed]:
        rest: dict[int, bytes] = {}
        for stream, data in self._engine.logs(name, since=since, tail=tail, follow=follow):
            *lines, rest[stream] = (rest.get(stream, b"") + data).split(b"\n")
            for line in lines:
                printed = _printed(stream, line)
                if since is None or printed.time > since:
                    yield printed

    def usage(self, handle: str) -> Usage | None:
        try:
            found = self._engine.usage(self._current(handle))
            seconds = found["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
            return Usage(seconds, float(found["memory_stats"]["usage"]))
        except (StartFault, KeyError, TypeError):
            return None

    # -- what lasts ------------------------------------------------------------------------------

    def remove_volume(self, name: str) -> None:
        self._volumes.remove(name)

    def remove_network(self, name: str) -> None:
        self._networks.remove(name)

    def close(self) -> None:
        self._closing.set()
        self._engine.stop_deaths()
        if self._watcher:
            self._watcher.join(timeout=5)
        self._engine.close()


def _fault(state: Mapping[str, Any]) -> str:
    if state.get("OOMKilled"):
        return OUT_OF_MEMORY
    return str(state.get("Error") or "")


def _seconds(stamp: str) -> float:
    """The engine's time with nanoseconds as seconds since the epoch."""
    whole, _, rest = stamp.partition(".")
    match = re.match(r"\d+", rest)
    base = dt.datetime.fromisoformat(whole.rstrip("Z")).replace(tzinfo=dt.UTC).timestamp()
    return base + (float(f"0.{match[0]}") if match else 0.0)


def _printed(stream: int, line: bytes) -> Printed:
    stamp, _, text = line.partition(b" ")
    try:
        when = _seconds(stamp.decode())
    except ValueError:
        when, text = 0.0, line
    return Printed(when, STREAMS.get(stream, "stdout"), text.decode(errors="replace").rstrip("\r"))
