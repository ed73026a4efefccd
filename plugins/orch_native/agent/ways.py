"""The ways in: which ports of the host and which addresses of services lead to which replicas."""

from __future__ import annotations

import errno
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orch.spec.application import Service
from orch_native.agent.facts import addresses as host_addresses
from orch_native.agent.pod import ports_of
from orch_native.agent.proxy.client import ProxyLine
from orch_native.messages import Routing, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from orch.spec.application import Job
    from orch_native.agent.addresses import Addresses
    from orch_native.agent.pod import Pod
    from orch_native.agent.task import Task
    from orch_native.messages import Entry, Observation

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  (what a published port without host_ip means)
LOCALHOST = ("127.0.0.1", "::1")
TAKEN_SECONDS = 5.0
Ports = dict[str, set[tuple[int, str]]]
FREE_IT = "; end that, or publish another port"


class Ways:
    """Turns the server's routing and the node's own tasks into the proxy's table."""

    def __init__(
        self, state: Path, addresses: Addresses, mention: Callable[[set[str]], None]
    ) -> None:
        self._addresses, self._mention = addresses, mention
        self._lock = threading.RLock()
        self._routing: Routing | None = None
        self._tasks: dict[str, Task] = {}
        self._owners: dict[str, set[str]] = {}
        self._faults: dict[str, str] = {}
        self._proxy = ProxyLine(state, self._answered)
        self._version = 0
        self._wanted: Ports = {}
        self._opened: Ports = {}
        # What an earlier agent saw ready is reached, as long as the proxy of that time runs.
        self._inherits = self._proxy.lives()
        self._reached: set[str] = set()

    def route(self, routing: Routing) -> None:
        """Take the server's newest table; an older one is left out."""
        with self._lock:
            if self._routing is None or routing.version >= self._routing.version:
                self._routing = routing
        self.refresh()

    def learn(self, tasks: Sequence[Task]) -> int:
        """Take in which tasks there are; the number of the table that follows from it."""
        with self._lock:
            self._tasks = {task.record.id: task for task in tasks}
            self._reached &= self._tasks.keys()
            if self._inherits:
                self._reached = {task.record.id for task in tasks if task.record.ready}
                self._inherits = False
        return self.refresh()

    def make_way(self, version: int) -> None:
        """Wait until no port of the proxy stands in the way of a process's own address."""
        if version and self._process_ports():
            self._proxy.await_taken(version, TAKEN_SECONDS)

    def refresh(self) -> int:
        """Give the proxy the table that follows from all that is known; its number."""
        with self._lock:
            if self._routing is None:
                return 0
            owners: dict[str, set[str]] = {}
            table = list(self._table(self._routing, owners))
            self._owners, self._wanted = owners, _ports(owners)
            self._version = self._proxy.follow(table)
            return self._version

    # -- the table -------------------------------------------------------------------------------

    def _table(self, routing: Routing, owners: dict[str, set[str]]) -> Iterator[dict[str, Any]]:
        for entry in routing.entries:
            for listener in self._listeners(entry, routing):
                if not listener["optional"]:
                    name = f"{listener['protocol']}/{listener['host']}/{listener['port']}"
                    owners.setdefault(name, set()).update(_services(entry))
                yield listener
        for task in self._tasks.values():
            yield from self._own_ports(task, owners)

    def _listeners(self, entry: Entry, routing: Routing) -> Iterator[dict[str, Any]]:
        if entry.routes:
            body: dict[str, Any] = {"protocol": "http", **self._http(entry, routing)}
        else:
            found = self._upstreams(entry.service, entry.target, entry.protocol, routing)
            body = {"protocol": entry.protocol, "upstreams": found}
        if not entry.published:
            if self._has_processes(entry.service) and body.get("upstreams"):
                address = self._addresses.give(entry.service)
                yield {"host": address, "port": entry.target, "optional": True, **body}
            return
        for host, optional in self._hosts(entry.host_ip, entry.published, entry.protocol):
            yield {"host": host, "port": entry.published, "optional": optional, **body}

    def _http(self, entry: Entry, routing: Routing) -> dict[str, Any]:
        certificates: list[tuple[str, str]] = []
        routes = []
        for route in entry.routes:
            pair = (_text(route.get("cert")), _text(route.get("key")))
            if all(pair) and pair not in certificates:
                certificates.append(pair)
            protocol = str(route.get("protocol") or "tcp")
            found = self._upstreams(route["service"], route["target"], protocol, routing)
            routes.append(
                {
                    "host": route.get("host") or "",
                    "path": route.get("path") or "/",
                    "weight": route.get("weight"),
                    "upstreams": found,
                }
            )
        return {"routes": routes, "certificates": certificates}

    def _upstreams(
        self, service: str, target: int, protocol: str, routing: Routing
    ) -> list[dict[str, Any]]:
        found = []
        for endpoint in routing.endpoints.get(service, ()):
            port = endpoint.ports.get(f"{target}/{protocol}")
            task = self._tasks.get(endpoint.allocation)
            if port and endpoint.address:
                # What this node knows of its own replicas is newer than what the server said.
                draining = endpoint.draining or bool(task and not task.takes_traffic)
                found.append({"host": endpoint.address, "port": port, "draining": draining})
        return found

    def _hosts(self, host_ip: str, port: int, protocol: str) -> list[tuple[str, bool]]:
        if host_ip:
            return [(host_ip, False)]
        if (port, protocol) not in self._process_ports():
            return [(host, host == "::") for host in EVERYWHERE]
        # A task has this port on an address of its own: listen on all others, one by one.
        found = [(host, host == "::1") for host in LOCALHOST]
        return found + [(address, True) for address in host_addresses()]

    def _process_ports(self) -> set[tuple[int, str]]:
        with self._lock:
            return {
                (port.target, port.protocol)
                for task in self._tasks.values()
                if task.driver.name == "process" and not task.ended
                for port in task.pod.ports
            }

    def _has_processes(self, service: str) -> bool:
        app = service.rpartition("/")[0]
        return any(
            task.driver.name == "process" and task.pod.service.rpartition("/")[0] == app
            for task in self._tasks.values()
        )

    def _own_ports(self, task: Task, owners: dict[str, set[str]]) -> Iterator[dict[str, Any]]:
        """Ports of mode host of a process: the engine opens those of a container itself."""
        on_host = task.pod.spec.network_mode == "host"
        if task.record.state != State.RUNNING or not (on_host or task.driver.name == "process"):
            return
        seen = task.observation()
        for port in task.pod.ports:
            if port.mode != "host" or port.published is None or not seen.address:
                continue
            if on_host and port.published == port.target:
                continue  # it opened that one itself
            upstream = {"host": seen.address, "port": port.target}
            for host, optional in self._hosts(port.host_ip or "", port.published, port.protocol):
                if not optional:
                    name = f"{port.protocol}/{host}/{port.published}"
                    owners.setdefault(name, set()).add(task.pod.service)
                yield {
                    "host": host,
                    "port": port.published,
                    "protocol": port.protocol,
                    "optional": optional,
                    "upstreams": [upstream],
                }

    # -- what is open, and what could not be opened ----------------------------------------------

    def _answered(self, version: int | None, failures: Mapping[str, str]) -> None:
        with self._lock:
            faults: dict[str, str] = {}
            for name, reason in failures.items():
                _protocol, host, port = name.split("/")
                for service in self._owners.get(name, ()):
                    faults[service] = f"port {port} of {host} can't be opened: {reason}"
            changed = _differing(self._faults, faults)
            self._faults = faults
            if version is not None and version >= self._version:
                changed |= _differing(self._opened, self._wanted)
                self._opened = self._wanted
        if changed:
            self._mention(changed)

    def qualify(self, pod: Pod, seen: Observation) -> Observation:
        """A replica that can't be reached as its spec says is not ready, and says why."""
        if seen.state is not State.RUNNING:
            return seen
        with self._lock:
            fault = self._faults.get(pod.service) or (self._awaited(pod) if seen.ready else "")
        return replace(seen, ready=False, message=fault) if fault else seen

    def _awaited(self, pod: Pod) -> str:
        """What a replica that is ready for the first time waits for; later ones change nothing."""
        if pod.allocation.id in self._reached:
            return ""
        wanted = {*_published(pod), *self._wanted.get(pod.service, ())}
        left = sorted(wanted - self._opened.get(pod.service, set()))
        if left:
            return f"port {left[0][0]} of this host is not open yet"
        self._reached.add(pod.allocation.id)
        return ""

    def refuse(self, spec: Service | Job) -> list[tuple[str, str]]:
        """Published ports that another program of the host has."""
        if not isinstance(spec, Service):
            return []
        ours = self._published()
        return [
            (
                f"{at}.published",
                f"port {port.published} of this host is in use by another program{FREE_IT}",
            )
            for at, port in ports_of(spec)
            if port.published is not None
            and (port.published, port.protocol) not in ours
            and port.protocol in ("tcp", "udp")
            and _taken(port.host_ip or "", port.published, port.protocol)
        ]

    def _published(self) -> set[tuple[int, str]]:
        with self._lock:
            entries = self._routing.entries if self._routing else ()
            ours = {(entry.published, entry.protocol) for entry in entries}
            for task in self._tasks.values():
                ours |= {(p.published, p.protocol) for p in task.pod.ports if p.published}
            return ours

    def close(self) -> None:
        """Let go of the proxy, which lives on while it has something to do."""
        self._proxy.close()


def _differing(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def _published(pod: Pod) -> Iterator[tuple[int, str]]:
    """The ports that the proxy opens for a pod; on the host's network it opens some itself."""
    on_host = pod.spec.network_mode == "host"
    for port in pod.ports:
        if (
            port.published
            and port.mode == "ingress"
            and not (on_host and port.published == port.target)
        ):
            yield port.published, port.protocol


def _ports(owners: Mapping[str, set[str]]) -> Ports:
    """The ports of a table by the services that they lead to."""
    found: Ports = {}
    for name, services in owners.items():
        protocol, _host, port = name.split("/")
        for service in services:
            found.setdefault(service, set()).add((int(port), protocol))
    return found


def _services(entry: Entry) -> set[str]:
    return {str(r["service"]) for r in entry.routes} if entry.routes else {entry.service}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")


def _taken(host: str, port: int, protocol: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(family, kind) as trial:
        if protocol == "tcp":
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as fault:
            return fault.errno == errno.EADDRINUSE
    return False
