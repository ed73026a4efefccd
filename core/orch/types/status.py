"""How an application does at this moment, and what it prints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Replica:
    """One running (or pending) copy of a service, or one run of a job."""

    id: str
    service: str
    state: str
    ready: bool
    node: str = ""
    index: int = 0
    revision: int = 0
    restarts: int = 0
    started: float = 0.0
    address: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service's size and health; `endpoints` are addresses that answer from outside.

    `failed` says that it was given up: only another deploy, restart or retry changes that.
    """

    name: str
    kind: str
    wanted: int
    ready: int
    updated: int
    healthy: bool
    message: str = ""
    endpoints: tuple[str, ...] = ()
    replicas: tuple[Replica, ...] = ()
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """An application as it is now."""

    app: str
    target: str
    revision: int
    healthy: bool
    services: tuple[ServiceStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a replica printed; `stream` is stdout or stderr, `time` is since the epoch."""

    service: str
    replica: str
    stream: str
    time: float
    text: str
