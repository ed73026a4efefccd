"""Faults of the engine's API, by what the caller does next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orch.errors import Conflict, Denied, OrchError, Transient, Unreachable, UsageFault

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_A_SWARM = "this node is not a swarm manager"
_LOST_LEAD = ("lost leader status",)
_LOOK_AGAIN = "look again: somebody else changed it"
_NO_LEADER = ("does not have a leader", "no elected", "lost quorum", "raft: stopped")


class Missing(OrchError):
    """The swarm has no such object."""


class Stale(Conflict):
    """What was sent rests on a version of the object that is no longer the newest."""


class InUse(Transient):
    """The object can't go yet: something still uses it."""


class Lost(Unreachable):
    """The connection to an engine broke, or could not be made."""


class NoManager(Unreachable):
    """An engine answers that manages no swarm."""


class Leaderless(Unreachable):
    """No manager leads, or the one asked does not run: for a moment, or for want of a quorum."""


class Deposed(Leaderless):
    """The leader was one no more before it had answered: a write may have been done or not."""


_LEADERLESS = "the swarm has no leader: too few of its managers are online"
QUORUM = (
    "start managers again until more than half of them run; when they are gone for good, run "
    "`docker swarm init --force-new-cluster` on one that is left"
)
MANAGER = "name a manager as the host: workers can't be asked"

JOIN = "run `docker swarm init` there, or name a manager"


def fault_of(status: int, said: str, where: str = "") -> OrchError:
    """An API fault by what the caller does next."""
    low = said.lower()
    for words, make in _BY_WORDS:
        if any(part in low for part in words):
            return make(said, where)
    if status in _BY_STATUS:
        return _BY_STATUS[status](said, where)
    return OrchError(said, place=where)


_Fault = Callable[[str, str], OrchError]
_BY_WORDS: tuple[tuple[tuple[str, ...], _Fault], ...] = (
    (("update out of sequence",), lambda said, _: Stale(said, mend=_LOOK_AGAIN)),
    (
        ("no space left",),
        lambda said, where: OrchError(said, place=where, mend="make room on that node's disk"),
    ),
    (
        ("swarm/control.sock",),
        lambda _, where: Leaderless(
            "this engine's manager is starting or stopping", place=where, mend="try again"
        ),
    ),
    (_LOST_LEAD, lambda _, where: Deposed(_LEADERLESS, place=where, mend=QUORUM)),
    (_NO_LEADER, lambda _, where: Leaderless(_LEADERLESS, place=where, mend=QUORUM)),
    (
        ("not part of a swarm", NOT_A_SWARM, "is not a swarm manager"),
        lambda said, where: NoManager(said, place=where, mend=JOIN),
    ),
    (("in use", "active endpoints"), lambda said, _: InUse(said, mend="remove what uses it")),
    (("deadline", "timed out", "context canceled"), lambda said, _: Transient(said)),
)
_BY_STATUS: Mapping[int, _Fault] = {
    400: lambda said, _: UsageFault(f"the swarm refuses it: {said}", mend="change the spec"),
    401: lambda said, where: Denied(said, place=where, mend="log in with rights for it"),
    403: lambda said, where: Denied(said, place=where, mend="log in with rights for it"),
    404: lambda said, _: Missing(said),
    409: lambda said, _: _moved(said),
}


def _moved(said: str) -> Conflict:
    return Conflict(said, mend=_LOOK_AGAIN)
