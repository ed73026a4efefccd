"""Faults as the API tells them (RFC 9457)."""

from __future__ import annotations

import json
from dataclasses import asdict

from starlette.responses import Response

from orch import errors
from orch_native.api import Problem

_STATUS: tuple[tuple[type[errors.OrchError], str, int], ...] = (
    (errors.Refused, "refused", 422),
    (errors.Locked, "locked", 409),
    (errors.Conflict, "conflict", 409),
    (errors.Denied, "denied", 403),
    (errors.TimedOut, "timed-out", 504),
    (errors.Transient, "transient", 503),
    (errors.Unreachable, "unreachable", 502),
    (errors.UsageFault, "usage", 400),
    (errors.OrchError, "fault", 500),
)


def problem_of(fault: BaseException) -> Problem:
    """A fault as the API tells it."""
    if not isinstance(fault, errors.OrchError):
        return Problem("fault", 500, "fault", f"the server failed: {type(fault).__name__}")
    for kind, name, status in _STATUS:
        if isinstance(fault, kind):
            return Problem(name, status, name, fault.fault, fault.place, fault.mend)
    return Problem("fault", 500, "fault", fault.fault)


def answer(problem: Problem) -> Response:
    """A problem as a response."""
    text = json.dumps(asdict(problem))
    return Response(text, problem.status, media_type="application/problem+json")
