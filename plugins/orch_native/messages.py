"""What the control plane and an agent say to each other.

Both halves run in one process on one host and over a stream in a cluster; either way only these
values pass. The server alone writes what is desired, the agent alone writes what is observed.
Every message is the full truth of its kind: a later one replaces an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from orch.frozen import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orch.types import LogLine

BESIDE = frozenset({"secret_versions", "config_digests", "restarts_with"})
"""Keys of a body that the client adds beside the spec's fields."""


def without_extras(body: Mapping[str, Any]) -> dict[str, Any]:
    """The spec's fields of a body."""
    return {key: value for key, value in body.items() if key not in BESIDE}


class Desired(StrEnum):
    """What the server wants of an allocation."""

    RUN = "run"
    STOP = "stop"


class State(StrEnum):
    """What the agent sees of an allocation; the last three are final."""

    PENDING = "pending"
    PULLING = "pulling"
    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Allocation:
    """One replica of a service, or one run of a job, given to a node.

    `body` is the service or job in the spec's canonical long form (`orch.spec`), names already
    resolved. `files` holds the contents of the configs and secrets that it mounts, and `values`
    those secrets that it gets as variables, by name; neither is ever logged. `files` is keyed
    `configs/NAME` and `secrets/NAME`. `volumes` maps a volume of the spec to its settings (the
    spec's Volume in long form, `name` always set: the true name on the node), `networks` likewise
    (with `default` for units that join none). `registries` maps a host to (user name, password).

    The same id always means the same content but for `desired`. A job without a restart policy is
    never restarted in place: the server starts the next attempt as an allocation of its own. An
    allocation with `desired` STOP is stopped, and kept for its logs until it is not named any more.
    """

    id: str
    namespace: str
    app: str
    unit: str
    kind: str
    index: int
    revision: int
    body: Mapping[str, Any]
    desired: Desired = Desired.RUN
    files: Mapping[str, bytes] = EMPTY
    values: Mapping[str, str] = EMPTY
    volumes: Mapping[str, Mapping[str, Any]] = EMPTY
    networks: Mapping[str, Mapping[str, Any]] = EMPTY
    registries: Mapping[str, tuple[str, str]] = EMPTY

    def __repr__(self) -> str:
        return f"Allocation({self.id!r}, {self.kind} {self.unit}[{self.index}], {self.desired})"


@dataclass(frozen=True, slots=True)
class Observation:
    """An allocation as its agent sees it; times are seconds since the epoch.

    `ready` follows the readiness probe, `started` the startup probe. `address` and `ports`
    (target port and protocol, as `8080/tcp`, to the port at `address`) say where it answers.
    """

    id: str
    state: State
    ready: bool = False
    started: bool = False
    restarts: int = 0
    exit_code: int | None = None
    message: str = ""
    since: float = 0.0
    address: str = ""
    ports: Mapping[str, int] = EMPTY
    driver: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A replica that may be sent traffic; `draining` ones get nothing new and finish theirs."""

    allocation: str
    address: str
    ports: Mapping[str, int]
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A way in: a published port of the host, or a service's own address inside its app.

    `service` is NAMESPACE/APP/SERVICE. `published` is 0 for an entry inside the app. Only ports
    of mode `ingress` become published entries: those of mode `host` are the replica's own.

    `routes` make the entry an HTTP one, with `service` empty and `target` 0. Each is a mapping:
    `host` (empty for every host), `path` (prefix), `service` (NAMESPACE/APP/SERVICE), `target`
    (its port), `protocol` ("tcp"), `weight` (share among equal host and path), and for an entry
    with TLS `cert` and `key` (PEM as bytes; the certificate is chosen by SNI).
    """

    service: str
    target: int
    protocol: str = "tcp"
    published: int = 0
    host_ip: str = ""
    routes: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Routing:
    """The full table of who answers for what; `version` grows with every change."""

    version: int
    endpoints: Mapping[str, tuple[Endpoint, ...]] = EMPTY
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """A driver of a node: whether it can be used, why not, and what it can do and has.

    `labels` are those of its engine, `devices` what can be counted of it: `gpu`, and by name.
    """

    name: str
    available: bool
    reason: str = ""
    version: str = ""
    features: frozenset[str] = frozenset()
    labels: Mapping[str, str] = EMPTY
    devices: Mapping[str, int] = EMPTY


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node is and has: `cpus` in thousandths, `memory` and `disk` in bytes."""

    name: str
    cpus: int
    memory: int
    disk: int
    attributes: Mapping[str, str] = EMPTY
    labels: Mapping[str, str] = EMPTY
    drivers: Mapping[str, DriverFacts] = EMPTY
    devices: Mapping[str, int] = EMPTY
    addresses: tuple[str, ...] = ()


class ExecSession(Protocol):
    """A command running in an allocation, with its three streams joined to callables."""

    def write(self, data: bytes) -> None: ...
    def close_stdin(self) -> None: ...
    def resize(self, rows: int, columns: int) -> None: ...
    def output(self) -> Iterator[tuple[int, bytes]]:
        """Pairs of stream (1 stdout, 2 stderr) and data until the command ends."""
        ...

    def exit_code(self) -> int: ...
    def close(self) -> None: ...


class Agent(Protocol):
    """The half that runs things on one node. Every method returns at once, but for streams."""

    def facts(self) -> NodeFacts: ...

    def refusals(self, body: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """What of a service or job this node can't do now: (field path, reason)."""
        ...

    def assign(self, allocations: Sequence[Allocation]) -> None:
        """Everything this node shall hold. What is not named any more is stopped and removed.

        What goes wrong with one allocation is observed of that one, and raises nothing.
        """
        ...

    def route(self, routing: Routing) -> None: ...

    def logs(
        self, allocation: str, *, follow: bool, since: float | None, tail: int | None
    ) -> Iterator[LogLine]: ...

    def exec(self, allocation: str, command: Sequence[str], *, tty: bool) -> ExecSession: ...

    def stats(self) -> Mapping[str, Mapping[str, float]]:
        """Cpu (cores) and memory (bytes) by allocation."""
        ...

    def remove_volume(self, name: str) -> None: ...

    def remove_network(self, name: str) -> None: ...

    def close(self) -> None:
        """Let go: tasks live on and are found again by the next agent on the same state."""
        ...


Report = "Callable[[Sequence[Observation]], None]"
"""How an agent tells what it sees; it may be called from any thread."""
