"""The shapes of what requests carry, beside those that the client shares: see orch_native.api."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Named:
    """A service or job by name."""

    kind: str
    name: str
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A body that is asked about before it is put."""

    kind: str
    name: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """Bodies that are asked about together; `leaving` are ids of what may go for them."""

    units: list[Wanted]
    leaving: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Kept:
    """The versions of each secret that shall stay."""

    versions: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Acquire:
    """A wish for the instance's lock, for `ttl` seconds; see process_mark for `process`."""

    holder: str
    ttl: float
    process: str = ""


@dataclass(frozen=True, slots=True)
class Renew:
    """A held lock to be kept for `ttl` more seconds."""

    token: str
    ttl: float


@dataclass(frozen=True, slots=True)
class Token:
    """A held lock."""

    token: str


@dataclass(frozen=True, slots=True)
class StopServer:
    """Whether what runs is stopped too."""

    tasks: bool = False
