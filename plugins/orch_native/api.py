"""The shapes that pass over the native HTTP API; the server and the client share them."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  (the server makes schemas of these shapes)
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import Base64Bytes  # noqa: TC002  (read as requests are parsed)

PROTOCOL = 2
"""Grows when a client of an older version could misunderstand an answer."""


class RolloutPhase(StrEnum):
    """Where a service's rollout or a job's run stands; the last five are final."""

    PROGRESSING = "progressing"
    ROLLING_BACK = "rolling-back"
    AWAITING_PROMOTION = "awaiting-promotion"
    HEALTHY = "healthy"
    FAILED = "failed"
    PAUSED = "paused"
    ROLLED_BACK = "rolled-back"
    GONE = "gone"

    @property
    def final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in _FINAL


_FINAL = frozenset(
    {
        RolloutPhase.HEALTHY,
        RolloutPhase.FAILED,
        RolloutPhase.PAUSED,
        RolloutPhase.ROLLED_BACK,
        RolloutPhase.GONE,
    }
)


@dataclass(frozen=True, slots=True)
class About:
    """The server that answers: its version, process and state folder."""

    version: str
    protocol: int
    pid: int
    state: str
    started: float


@dataclass(frozen=True, slots=True)
class StoredResource:
    """A resource as the server holds it.

    `body` is what it works towards, `applied` what a deploy last put there; they differ when
    somebody changed it otherwise. `version` is for `expect_version`, `uid` outlives updates.
    `failed` says why a service or job that stands still is not as it should be, in our own words.
    """

    kind: str
    name: str
    body: Mapping[str, Any]
    applied: Mapping[str, Any] | None
    revision: int
    version: str
    uid: str
    deleting: bool = False
    failed: str = ""

    @property
    def id(self) -> str:
        """The resource's id in a manifest: `KIND/NAME`."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sight of a rollout. `reason` is the cause of a failure, with the replica's own words."""

    phase: RolloutPhase
    wanted: int = 0
    ready: int = 0
    updated: int = 0
    message: str = ""
    reason: str = ""
    revision: int = 0
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeldLock:
    """The lock of an instance; `expires` is seconds since the epoch."""

    holder: str
    token: str
    expires: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something of a unit that no node can do now, by field path within its body.

    `unreachable` when the node's driver does not answer; `freed_by` are the ids of what has to go
    first, empty when that would not help.
    """

    unit: str
    path: str
    reason: str
    mend: str = ""
    unreachable: bool = False
    freed_by: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault as the API tells it (RFC 9457), with the name of the error it becomes."""

    kind: str
    status: int
    title: str
    detail: str
    place: str = ""
    mend: str = ""
    type: str = "about:blank"


@dataclass(frozen=True, slots=True)
class Put:
    """A resource to be written. `expect_version` is None for any, empty for "must not exist".

    `formerly` is the name of a service or job that becomes this one, with all that it has. As
    JSON, `secrets` holds values in base64.
    """

    body: dict[str, Any]
    revision: int = 0
    secrets: dict[str, Base64Bytes] = field(default_factory=dict, repr=False)
    expect_version: str | None = None
    as_applied: bool = True
    formerly: str = ""
