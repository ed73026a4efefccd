"""Text to items: YAML's events with their positions, aliases, merge keys and tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from orch.load.goscalars import resolve
from orch.load.item import Item
from orch.types import Diagnostic, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.types import FieldPath

MAX_DEPTH = 100
"""How deep mappings and lists may nest; no file that people write comes near it."""
MAX_VALUES = 500_000
"""How many values a file may hold once its aliases are written out."""
_YAML = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset((f"{_YAML}str", "!", f"{_YAML}binary"))
_HINTS = (
    ("\\t", "indent with spaces; YAML allows no tabs there"),
    ("mapping values are not allowed", "put the value in quotes, or check the indentation"),
    ("unexpected end of stream", "close the quote or bracket that stays open"),
    ("could not find expected ':'", "write `key: value`, or check the indentation"),
)


class Malformed(Exception):
    """Text that is no YAML, or that is too much of it."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(str(diagnostic))
        self.diagnostic = diagnostic


@dataclass(slots=True)
class _Node:
    """What an anchor names: a scalar, or the members of a list or mapping."""

    kind: str
    tag: str
    place: Place
    value: Any
    plain: bool = False
    anchored: bool = False
    complete: bool = True


def parse(
    text: str, file: str, faults: list[Diagnostic], tags: frozenset[str] = frozenset()
) -> list[Item]:
    """The documents of a file. Duplicate keys go to `faults`. Raises Malformed.

    Items keep those of their tags that the format gives a meaning to, which are named here.
    """
    try:
        nodes = list(_Composer(text, file).documents())
    except yaml.MarkedYAMLError as fault:
        raise Malformed(_told(fault, file)) from None
    except (yaml.YAMLError, ValueError) as fault:
        mend = "save it as UTF-8 text"
        raise Malformed(Diagnostic(str(fault).split("\n")[0], (), Place(file), mend)) from None
    builder = _Builder(faults, tags)
    return [builder.item(node, (), node.place) for node in nodes]


def _told(fault: yaml.MarkedYAMLError, file: str) -> Diagnostic:
    mark = fault.problem_mark or fault.context_mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
    problem = fault.problem or "this is not YAML"
    mend = next((hint for sign, hint in _HINTS if sign in problem), "mend the YAML there")
    return Diagnostic(problem, (), place, mend)


class _Composer:
    """Events to nodes; a depth is refused before Python's stack ends."""

    def __init__(self, text: str, file: str) -> None:
        self._events: Iterator[Any] = iter(yaml.CSafeLoader(text).get_event, None)
        self._file = file
        self._anchors: dict[str, _Node] = {}

    def documents(self) -> Iterator[_Node]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors = {}
                yield self._node(next(self._events), 0)

    def _place(self, event: Any) -> Place:
        mark = event.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1)

    def _refuse(self, event: Any, fault: str, mend: str) -> Malformed:
        return Malformed(Diagnostic(fault, (), self._place(event), mend))

    def _node(self, event: Any, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise self._refuse(event, f"this nests deeper than {MAX_DEPTH} levels", "flatten it")
        if isinstance(event, yaml.ScalarEvent):
            tag = event.tag
            plain = tag is None and bool(event.implicit[0])
            node = _Node("scalar", tag or "", self._place(event), event.value, plain)
            return self._anchor(event, node) if event.anchor else node
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event)
        return self._collection(event, depth)

    def _aliased(self, event: Any) -> _Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            mend = f"write &{event.anchor} where the value stands, above this line"
            raise self._refuse(event, f"no anchor is called {event.anchor!r}", mend)
        if not node.complete:
            fault = f"the anchor {event.anchor!r} holds itself"
            raise self._refuse(event, fault, "write the value out")
        return node

    def _anchor(self, event: Any, node: _Node) -> _Node:
        if event.anchor:
            node.anchored = True
            self._anchors[event.anchor] = node
        return node

    def _collection(self, event: Any, depth: int) -> _Node:
        mapping = isinstance(event, yaml.MappingStartEvent)
        kind = "mapping" if mapping else "list"
        node = _Node(kind, event.tag or "", self._place(event), [], complete=False)
        self._anchor(event, node)
        while not isinstance(following := next(self._events), yaml.CollectionEndEvent):
            member: Any = self._node(following, depth + 1)
            if mapping:
                member = (member, self._node(next(self._events), depth + 1))
            node.value.append(member)
        node.complete = True
        return node


class _Builder:
    """Nodes to items; aliases are written out, up to a bound."""

    def __init__(self, faults: list[Diagnostic], tags: frozenset[str]) -> None:
        self._faults, self._tags = faults, tags
        self._count = 0

    def item(self, node: _Node, path: FieldPath, key_place: Place) -> Item:
        self._bound(node.place, path)
        tag = node.tag if node.tag in self._tags else ""
        return Item(self._value(node, path), path, node.place, key_place, tag)

    def _value(self, node: _Node, path: FieldPath) -> Any:
        if node.kind == "list":
            return [
                self.item(member, (*path, index), member.place)
                for index, member in enumerate(node.value)
            ]
        return self._mapping(node, path) if node.kind == "mapping" else self._scalar(node)

    def _mapping(self, node: _Node, path: FieldPath) -> dict[str, Item]:
        built: dict[str, Item] = {}
        merged: list[tuple[_Node, _Node]] = []
        for key, value in node.value:
            if key.plain and key.value == "<<":
                merged += self._merged(value, (*path, "<<"))
            elif key.kind != "scalar":
                self._fault("a key must be text", path, key.place, "write `name: value`")
            elif key.value in built:
                first = built[key.value].key_place
                fault = f"the key {key.value!r} stands here twice, first in line {first.line}"
                self._fault(fault, (*path, key.value), key.place, "remove one of them")
            else:
                built[key.value] = self.item(value, (*path, key.value), key.place)
        for key, value in merged:
            if key.value not in built:
                built[key.value] = self.item(value, (*path, key.value), key.place)
        return built

    def _merged(self, node: _Node, path: FieldPath) -> list[tuple[_Node, _Node]]:
        """What `<<` brings; of several mappings the first one that has a key wins."""
        if node.kind == "list" and all(member.kind == "mapping" for member in node.value):
            return [pair for member in node.value for pair in self._merged(member, path)]
        if node.kind != "mapping":
            fault = "`<<` takes a mapping or a list of mappings"
            self._fault(fault, path, node.place, "write `<<: *anchor` of a mapping")
            return []
        own: list[tuple[_Node, _Node]] = []
        further: list[tuple[_Node, _Node]] = []
        for key, value in node.value:
            self._bound(key.place, path)
            if key.plain and key.value == "<<":
                further += self._merged(value, path)
            elif key.kind == "scalar":
                own.append((key, value))
        return own + further

    def _bound(self, place: Place, path: FieldPath) -> None:
        self._count += 1
        if self._count > MAX_VALUES:
            fault = f"its aliases write out to more than {MAX_VALUES} values"
            raise Malformed(Diagnostic(fault, path, place, "use fewer aliases of aliases"))

    def _scalar(self, node: _Node) -> Any:
        typed = node.tag.startswith(_YAML) and node.tag not in _TEXT_TAGS
        plain = node.plain or node.tag in self._tags or typed
        return resolve(node.value) if plain else node.value

    def _fault(self, fault: str, path: FieldPath, place: Place, mend: str) -> None:
        self._faults.append(Diagnostic(fault, path, place, mend))
