"""Rules over a node's attributes: `node.labels.tier == web`, `node.arch in (amd64, arm64)`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

OPERATORS = ("==", "!=", "=~", "in", "not in")
ATTRIBUTES = (
    "node.id",
    "node.hostname",
    "node.role",
    "node.ip",
    "node.arch",
    "node.os",
    "node.platform.arch",
    "node.platform.os",
)
"""What every node has; `node.platform.…` is Swarm's spelling of `node.arch` and `node.os`."""
FAMILIES = ("node.labels.", "node.attributes.", "engine.labels.")
"""Beginnings of attributes whose rest is a name that an operator or a platform gave."""
_RULE = re.compile(
    r"\s*(?P<attribute>[A-Za-z0-9_.\-/]+)\s*"
    r"(?P<operator>==|!=|=~|not\s+in\b|in\b)\s*(?P<value>.+?)\s*"
)
_SET = re.compile(r"\(\s*[^(),]+(\s*,\s*[^(),]+)*\s*\)")


class ConstraintFault(ValueError):
    """Text that is no constraint: its `fault`, and the `mend`."""

    def __init__(self, fault: str, mend: str) -> None:
        super().__init__(f"{fault}; {mend}")
        self.fault, self.mend = fault, mend


@dataclass(frozen=True, slots=True)
class Constraint:
    """One rule. `values` has one member but for `in` and `not in`."""

    attribute: str
    operator: str
    values: tuple[str, ...]

    def holds(self, found: str) -> bool:
        """Whether a node meets it whose attribute is `found`, empty for one that it has not."""
        if self.operator == "=~":
            return re.search(self.values[0], found) is not None
        return (found in self.values) is (self.operator in ("==", "in"))

    @property
    def wanted(self) -> str:
        """The operator with its values, as a person writes them."""
        several = self.operator in ("in", "not in")
        value = f"({', '.join(self.values)})" if several else self.values[0]
        return f"{self.operator} {value}"

    def __str__(self) -> str:
        return f"{self.attribute} {self.wanted}"


@cache
def parse_constraint(text: str) -> Constraint:
    """Read a rule. Raises ConstraintFault."""
    match = _RULE.fullmatch(text)
    if match is None:
        raise ConstraintFault(
            f"{text!r} is not a constraint",
            "write `node.labels.tier == web`, or !=, =~, in (a, b), not in (a, b)",
        )
    attribute, operator = match["attribute"], " ".join(match["operator"].split())
    _check_attribute(attribute)
    return Constraint(attribute, operator, _values(operator, match["value"]))


def _check_attribute(attribute: str) -> None:
    named = any(attribute.startswith(family) and attribute != family for family in FAMILIES)
    if attribute in ATTRIBUTES or named:
        return
    guess = _near(attribute, 0.8) or _near_family(attribute) or _near(attribute, 0.6)
    known = f"write node.labels.NAME, or one of {', '.join(ATTRIBUTES)}"
    mend = f"did you mean {guess}?" if guess else known
    raise ConstraintFault(f"nodes have no {attribute!r}", mend)


def _near(attribute: str, likeness: float) -> str:
    return next(iter(get_close_matches(attribute, ATTRIBUTES, 1, likeness)), "")


def _near_family(attribute: str) -> str:
    room, _, rest = attribute.partition(".")
    kind, _, name = rest.partition(".")
    near = get_close_matches(f"{room}.{kind}.", FAMILIES, 1)
    return f"{near[0]}{name}" if near and name else ""


def _values(operator: str, value: str) -> tuple[str, ...]:
    if operator in ("in", "not in"):
        if not _SET.fullmatch(value):
            raise ConstraintFault(f"{value!r} is not a set of values", "write (a, b)")
        return tuple(part.strip() for part in value[1:-1].split(","))
    if operator == "=~":
        try:
            re.compile(value)
        except re.error as fault:
            told = f"{value!r} is not a regular expression: {fault}"
            raise ConstraintFault(told, "correct it") from None
    return (value,)
