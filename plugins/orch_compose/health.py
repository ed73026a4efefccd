"""One health check of Compose as the probes of the spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.spec.units import Duration
from orch.types import Consequence, Fidelity

if TYPE_CHECKING:
    from orch.load.item import Item
    from orch_compose.part import Part

_INTERVAL = _TIMEOUT = Duration(30_000)
_START_INTERVAL = Duration(5_000)
_RETRIES = 3
_BOTH = ("readiness", "liveness")
_FORMS = frozenset(("CMD", "CMD-SHELL", "NONE"))


def write_health(part: Part) -> None:
    """Write a check as readiness and liveness at once, its grace at the start as startup."""
    check = part.get("healthcheck")
    if check is None:
        return
    if part.is_job:
        reason = "a job is judged by its exit code"
        part.writer.lose(check, reason, "remove it", Consequence.COSMETIC)
    elif _is_off(check):
        part.writer.note(part.path, check, reason="no probe is made")
    elif check.get("test") is None:
        reason = "the image's own check can't be known without the image"
        part.writer.lose(check, reason, "write the check out under test:")
    else:
        _probes(part, check)


def is_test(test: Item) -> bool:
    """Whether a test begins as Compose wants it to."""
    words = [item.value for item in test]
    return not words or words[0] in _FORMS


def _is_off(check: Item) -> bool:
    disable, test = check.get("disable"), check.get("test")
    if disable is not None and disable.value:
        return True
    words = [item.value for item in test or ()]
    return test is not None and words[:1] in ([], ["NONE"])


def _command(check: Item) -> list[str]:
    form, *words = [item.value for item in check.get("test") or ()]
    return ["/bin/sh", "-c", " ".join(words)] if form == "CMD-SHELL" else words


def _probes(part: Part, check: Item) -> None:
    probe = {
        "exec": {"command": _command(check)},
        "interval": str(_value(check, "interval", _INTERVAL)),
        "timeout": str(_value(check, "timeout", _TIMEOUT)),
        "failure_threshold": _value(check, "retries", _RETRIES),
    }
    for kind in _BOTH:
        part.writer.set(part.at("probes", kind), _copy(probe), check)
        _account(part, check, kind)
    _startup(part, check, probe)
    disable = check.get("disable")
    part.writer.note(part.at("probes"), disable)


def _value(check: Item, key: str, default: Any) -> Any:
    item = check.get(key)
    return default if item is None or not item.value else item.value


def _copy(probe: dict[str, Any]) -> dict[str, Any]:
    return {**probe, "exec": {"command": list(probe["exec"]["command"])}}


def _account(part: Part, check: Item, kind: str) -> None:
    path = part.at("probes", kind)
    for word in check.get("test") or ():
        part.writer.note((*path, "exec", "command"), word)
        part.writer.places[*path, "exec"] = word.place
        part.writer.places[*path, "exec", "command"] = word.place
    outputs = (("interval", "interval"), ("timeout", "timeout"), ("retries", "failure_threshold"))
    for key, output in outputs:
        item = check.get(key)
        if item is not None:
            part.writer.note((*path, output), item)
            part.writer.places[*path, output] = item.place


def _startup(part: Part, check: Item, probe: dict[str, Any]) -> None:
    """Failures in the grace period don't count: a startup probe that lasts as long says that."""
    period, interval = check.get("start_period"), check.get("start_interval")
    path = part.at("probes", "startup")
    if period is None or not period.value:
        part.writer.note(part.at("probes"), period, reason="no grace is the default")
        reason = "without a start_period there is no start to check more often in"
        part.writer.lose(interval, reason, "add start_period", Consequence.COSMETIC)
        return
    every = int(_value(check, "start_interval", _START_INTERVAL))
    rounds = -(-int(period.value) // every)
    failures = max(1, rounds + int(probe["failure_threshold"]))
    startup = {**_copy(probe), "interval": str(Duration(every)), "failure_threshold": failures}
    part.writer.set(path, startup, period)
    reason = "a startup probe waits as long"
    part.writer.note((*path, "failure_threshold"), period, Fidelity.EMULATED, reason)
    part.writer.note((*path, "interval"), interval, Fidelity.EMULATED, reason)
