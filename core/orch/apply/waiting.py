"""Waiting until an application is as somebody needs it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from orch.errors import Interrupted, RolloutFailed, TimedOut, UsageFault
from orch.types import Event, EventKind

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from orch.types import ServiceStatus, Status

POLL = 0.5
CONDITIONS = ("healthy", "completed", "gone")


@dataclass(frozen=True, slots=True)
class Awaited:
    """What is waited for, by name or of all; `timeout` in seconds, None for no end."""

    services: tuple[str, ...]
    condition: str
    timeout: float | None
    cancel: threading.Event


def wait_for(
    status: Callable[[], Status],
    awaited: Awaited,
    on_event: Callable[[Event], None],
    clock: Callable[[], float],
) -> Status:
    """Look again and again; what changes is told. Raises TimedOut, RolloutFailed, Interrupted."""
    if awaited.condition not in CONDITIONS:
        raise UsageFault(
            f"there is no condition {awaited.condition!r}",
            mend=f"choose one of {', '.join(CONDITIONS)}",
        )
    until = None if awaited.timeout is None else time.monotonic() + awaited.timeout
    told: dict[str, tuple[int, int, str]] = {}
    while True:
        now = status()
        chosen = _chosen(now, awaited)
        _tell(chosen, told, on_event, clock)
        missing = _missing(chosen, now, awaited)
        if not missing:
            return now
        _refuse_lost(chosen, awaited)
        _go_on(awaited, until, missing)


def _chosen(status: Status, awaited: Awaited) -> list[ServiceStatus]:
    if not awaited.services:
        return [s for s in status.services if awaited.condition != "completed" or s.kind == "job"]
    known = {service.name: service for service in status.services}
    unknown = [name for name in awaited.services if name not in known]
    if unknown and awaited.condition != "gone":
        near = get_close_matches(unknown[0], known, 1)
        there = ", ".join(known) or "none"
        raise UsageFault(
            f"{status.app} has no service {unknown[0]!r}",
            mend=f"did you mean {near[0]}?" if near else f"there are {there}",
        )
    return [known[name] for name in awaited.services if name in known]


def _missing(chosen: list[ServiceStatus], status: Status, awaited: Awaited) -> list[str]:
    """What is not yet so, each with its figures."""
    if awaited.condition == "gone":
        return [_figures(service) for service in chosen]
    if not chosen and awaited.condition == "healthy" and not status.healthy:
        return [status.app]
    return [_figures(service) for service in chosen if not _is_so(service, awaited.condition)]


def _refuse_lost(chosen: list[ServiceStatus], awaited: Awaited) -> None:
    """Raises RolloutFailed for what was given up: it would be waited for in vain."""
    lost = [s for s in chosen if s.failed and not _is_so(s, awaited.condition)]
    if lost and awaited.condition != "gone":
        raise RolloutFailed(
            f"it will not be {awaited.condition}: {', '.join(_figures(s) for s in lost)}",
            mend="see `orch logs`; mend the cause and deploy again",
        )


def _is_so(service: ServiceStatus, condition: str) -> bool:
    return service.healthy and (condition == "healthy" or service.ready >= service.wanted)


def _figures(service: ServiceStatus) -> str:
    said = f", {service.message}" if service.message else ""
    return f"{service.name} ({service.ready}/{service.wanted}{said})"


def _tell(
    chosen: list[ServiceStatus],
    told: dict[str, tuple[int, int, str]],
    on_event: Callable[[Event], None],
    clock: Callable[[], float],
) -> None:
    for service in chosen:
        figures = (service.ready, service.wanted, service.message)
        if told.get(service.name) != figures:
            told[service.name] = figures
            data = {"wanted": service.wanted, "ready": service.ready, "updated": service.updated}
            kind = EventKind.HEALTHY if service.healthy else EventKind.PROGRESS
            on_event(Event(kind, f"{service.kind}/{service.name}", service.message, clock(), data))


def _go_on(awaited: Awaited, until: float | None, missing: list[str]) -> None:
    left = POLL if until is None else min(POLL, until - time.monotonic())
    if left <= 0:
        raise TimedOut(
            f"not {awaited.condition} after {awaited.timeout:g} s: {', '.join(missing)}",
            mend="wait longer with --timeout, or look with `orch status` and `orch logs`",
        )
    if awaited.cancel.wait(left):
        raise Interrupted(f"stopped waiting; not {awaited.condition}: {', '.join(missing)}")
