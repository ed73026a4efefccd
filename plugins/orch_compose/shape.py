"""What a Compose file may look like: shapes that check an item, convert it and name its faults."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol

from orch.types import Diagnostic, Fidelity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orch.load.item import Item
    from orch.types import Place


class Faults:
    """Collects what is wrong with a file."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []

    def add(self, item: Item, fault: str, mend: str = "", place: Place | None = None) -> None:
        """Note a fault at an item, or at another place of the same path."""
        unset = [way.reason for way in item.origin.ways if way.outcome is Fidelity.DEGRADED]
        told = f"{fault} ({unset[0]})" if unset else fault
        self.found.append(Diagnostic(told, item.path, place or item.place, mend))


class Shape(Protocol):
    """Something that an item may be."""

    @property
    def noun(self) -> str:
        """What it is called in a message."""
        ...

    def read(self, item: Item, faults: Faults) -> Item | None:
        """The item with its scalars converted and what is faulty left out."""
        ...


@dataclass(frozen=True)
class Scalar:
    """One value; `parse` converts it and raises ValueError naming fault and mend."""

    noun: str
    parse: Callable[[Any], Any]

    def read(self, item: Item, faults: Faults) -> Item | None:
        if isinstance(item.value, dict | list):
            kind = "a mapping" if isinstance(item.value, dict) else "a list"
            faults.add(item, f"this is {kind}, and {self.noun} is expected", f"write {self.noun}")
            return None
        if item.value is None:
            return item
        try:
            return item.derive(self.parse(item.value))
        except ValueError as wrong:
            fault, _, mend = str(wrong).partition("; ")
            faults.add(item, fault, mend)
            return None


@dataclass(frozen=True)
class Many:
    """A list, all of whose members have one shape."""

    member: Shape

    @property
    def noun(self) -> str:
        return f"a list, each member {self.member.noun}"

    def read(self, item: Item, faults: Faults) -> Item | None:
        if not isinstance(item.value, list):
            faults.add(item, f"{_shown(item)} is no list", f"write {self.noun}")
            return None
        read = (self._member(member, faults) for member in item)
        return item.derive([member for member in read if member is not None])

    def _member(self, member: Item, faults: Faults) -> Item | None:
        if member.value is None:
            faults.add(member, "nothing stands here", f"write {self.member.noun}, or remove it")
            return None
        return self.member.read(member, faults)


@dataclass(frozen=True)
class Named:
    """A mapping whose keys the author chooses."""

    member: Shape
    pattern: str = ".*"
    naming: str = "any text"

    @property
    def noun(self) -> str:
        return f"a mapping, each value {self.member.noun}"

    def read(self, item: Item, faults: Faults) -> Item | None:
        if not isinstance(item.value, dict):
            faults.add(item, f"{_shown(item)} is no mapping", f"write {self.noun}")
            return None
        found: dict[str, Item] = {}
        for key, member in item.items():
            if key.startswith("x-") and self.pattern != ".*":
                found[key] = member
            elif not re.fullmatch(self.pattern, key):
                mend = f"write a name of {self.naming}"
                faults.add(member, f"{key!r} is not a name here", mend, member.key_place)
            elif (read := self.member.read(member, faults)) is not None:
                found[key] = read
        return item.derive(found)


@dataclass(frozen=True)
class Keys:
    """A mapping with a closed set of keys; `x-…` is always allowed."""

    noun: str
    fields: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def read(self, item: Item, faults: Faults) -> Item | None:
        if not isinstance(item.value, dict):
            faults.add(item, f"{_shown(item)} is not {self.noun}", f"write {self.noun}")
            return None
        for key in self.required:
            if key not in item.value:
                faults.add(item, f"the key {key!r} is missing", f"add {key}: to {self.noun}")
        found: dict[str, Item] = {}
        for key, member in item.items():
            read = self._member(key, member, faults)
            if read is not None:
                found[key] = read
        return item.derive(found)

    def _member(self, key: str, member: Item, faults: Faults) -> Item | None:
        shape = self.fields.get(key)
        if key.startswith("x-"):
            return member
        if shape is None:
            fault = f"{self.noun} has no key {key!r}"
            faults.add(member, fault, self._mend(key), member.key_place)
            return None
        return member if member.value is None else shape.read(member, faults)

    def _mend(self, key: str) -> str:
        if key in self.elsewhere:
            return self.elsewhere[key]
        near = get_close_matches(key.lower(), self.fields, 1)
        return f"did you mean {near[0]}?" if near else "remove it, or call it x-… to keep it"


@dataclass(frozen=True)
class Either:
    """Several forms, told apart by what the value is: a scalar, a list or a mapping."""

    scalar: Shape | None = None
    many: Shape | None = None
    keys: Shape | None = None

    @property
    def noun(self) -> str:
        forms = (self.scalar, self.many, self.keys)
        return " or ".join(form.noun for form in forms if form is not None)

    def read(self, item: Item, faults: Faults) -> Item | None:
        if item.value is None:
            return item
        shape = self.scalar
        if isinstance(item.value, dict | list):
            shape = self.keys if isinstance(item.value, dict) else self.many
        if shape is None:
            faults.add(item, f"{_shown(item)} can't stand here", f"write {self.noun}")
            return None
        return shape.read(item, faults)


class Free:
    """Anything."""

    noun = "anything"

    def read(self, item: Item, faults: Faults) -> Item | None:  # noqa: ARG002
        return item


def _shown(item: Item) -> str:
    if isinstance(item.value, dict):
        return "a mapping"
    if isinstance(item.value, list):
        return "a list"
    return "nothing" if item.value is None else repr(item.value)
