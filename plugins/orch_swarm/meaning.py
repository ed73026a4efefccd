"""What is said in other words on the swarm, and means what a body says.

Others leave out what the engine takes for granted, or write it another way. Where that is what
the spec asks for, nothing differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.frozen import FrozenDict

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECOND = 1_000_000_000
_ROLL: Mapping[str, Any] = {
    "FailureAction": "pause",
    "Monitor": 5 * _SECOND,
    "Order": "stop-first",
}
USUAL: Mapping[str, Any] = FrozenDict(
    {
        "Container": {
            "StopGracePeriod": 10 * _SECOND,
            "StopSignal": "SIGTERM",
            "Healthcheck": {"Interval": 30 * _SECOND, "Timeout": 30 * _SECOND, "Retries": 3},
            "Mounts": {"*": {"VolumeOptions": {"DriverConfig": {"Name": "local"}}}},
        },
        "RestartPolicy": {"Condition": "any", "Delay": 5 * _SECOND},
        "UpdateConfig": _ROLL,
        "RollbackConfig": _ROLL,
        "EndpointSpec": {"Mode": "vip"},
    }
)
"""What the engine does when nothing is said."""
_SHELL = ["/bin/sh", "-c"]


def understood(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A live service's body, with the words of the wanted one where they mean the same."""
    body: dict[str, Any] = _filled(live, wanted, USUAL)
    test, asked = _at(body, _TEST), _at(wanted, _TEST)
    if test and asked and _command(test) == _command(asked):
        check = {**body["Container"]["Healthcheck"], "Test": asked}
        body["Container"] = {**body["Container"], "Healthcheck": check}
    rules, said = _at(body, _RULES), _at(wanted, _RULES)
    if rules and said and [_bare(rule) for rule in rules] == [_bare(rule) for rule in said]:
        body["Placement"] = {**body["Placement"], "Constraints": said}
    body |= {"Networks": _joined(body["Networks"], wanted)} if body.get("Networks") else {}
    return body


def _joined(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Attachments; the order of their aliases means nothing."""
    made = dict(live)
    for name, asked in wanted.get("Networks", {}).items():
        aliases = asked.get("Aliases", [])
        if name in live and sorted(live[name].get("Aliases") or ()) == sorted(aliases):
            made[name] = {**live[name], "Aliases": aliases}
    return made


_TEST = ("Container", "Healthcheck", "Test")
_RULES = ("Placement", "Constraints")


def _at(body: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        body = body.get(key, {})
    return body


def _command(test: list[str]) -> list[str]:
    return ["CMD", *_SHELL, *test[1:]] if test[0] == "CMD-SHELL" else list(test)


def _bare(rule: str) -> str:
    return rule.replace(" ", "")


def _filled(live: Any, wanted: Any, usual: Mapping[str, Any]) -> Any:
    """The live body with what is usual written out where it is wanted."""
    made = dict(live)
    for key, asked in wanted.items():
        given = usual.get(key, usual.get("*"))
        if isinstance(given, dict) and isinstance(asked, dict):
            standing = made.get(key) or {}
            if standing or (below := _filled({}, asked, given)):
                made[key] = _filled(standing, asked, given) if standing else below
        elif given is not None and given == asked and not made.get(key):
            made[key] = asked
    return made
