"""The second reading of a file, made only when a message needs a line and a column.

It is slow (PyYAML's composer), knows the place of every key and value, and agrees with the first
reading on what they are: both follow the core schema of YAML 1.2.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from orch.errors import InvalidSpec
from orch.load.mergekeys import MERGE_KEY, merge_below
from orch.load.scalars import scalar_of
from orch.types import Diagnostic, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.types import FieldPath, Key

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_PLAIN = "plain"
"""Our own tag for a scalar without quotes and tag, so that PyYAML applies no rule of YAML 1.1."""
_MAX_PARTS = 1_000_000
_MAX_DEPTH = 500
_TYPES: dict[str, type] = {
    _TAG + "int": int,
    _TAG + "float": float,
    _TAG + "bool": bool,
    _TAG + "null": type(None),
}
_KNOWN_TAGS = frozenset((_PLAIN, *_TYPES, _TAG + "str", _TAG + "map", _TAG + "seq"))


class _Loader(_Base):  # type: ignore[misc]
    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {None: [(_PLAIN, re.compile(""))]}


def _documents(text: str) -> Iterator[Node]:
    """Raises YAMLError, and RecursionError for what is nested too deeply."""
    _check_depth(text)
    loader = _Loader(text)
    try:
        while loader.check_node():
            yield loader.get_node()
    finally:
        loader.dispose()


def _check_depth(text: str) -> None:
    """PyYAML's composer, written in C, nests its calls without a bound: it would kill us."""
    depth = 0
    with suppress(yaml.YAMLError):
        for event in yaml.parse(text, _Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > _MAX_DEPTH:
                raise RecursionError


def count_documents(text: str) -> int:
    """How many documents there are, empty ones too."""
    return sum(isinstance(event, yaml.DocumentStartEvent) for event in yaml.parse(text, _Loader))


class Positions:
    """Where the keys and values of a file stand; empty when the composer can't read it."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self._root = _compose(text)
        self._keys: dict[int, dict[Key, tuple[Node, Node]]] = {}

    def key(self, path: FieldPath) -> Place:
        """The place of a mapping's key or a list's item, or of the nearest part around it."""
        return self._place(path, value=False)

    def value(self, path: FieldPath) -> Place:
        """The place of what stands there, or of the nearest part around it."""
        return self._place(path, value=True)

    def knows(self, path: FieldPath) -> bool:
        """Whether this very path is in the file."""
        return self._descend(path)[2] == len(path)

    def _place(self, path: FieldPath, *, value: bool) -> Place:
        key, node, depth = self._descend(path)
        if node is None:
            return Place(self.name)
        empty = isinstance(node, ScalarNode) and not node.value and not node.style
        chosen = node if (value and depth == len(path) and not empty) or key is None else key
        return _place_of(chosen, self.name)

    def _descend(self, path: FieldPath) -> tuple[Node | None, Node | None, int]:
        key, node = None, self._root
        for depth, step in enumerate(path):
            found = self._child(node, step)
            if found is None:
                return key, node, depth
            key, node = found
        return key, node, len(path)

    def _child(self, node: Node | None, step: Key) -> tuple[Node, Node] | None:
        if isinstance(node, SequenceNode):
            if isinstance(step, int) and 0 <= step < len(node.value):
                return node.value[step], node.value[step]
            return None
        if not isinstance(node, MappingNode):
            return None
        keyed = self._keys.get(id(node))
        if keyed is None:
            keyed = self._keys[id(node)] = _keyed(node)
        if (found := keyed.get(step)) is not None:
            return found
        below = (self._child(source, step) for source in _below(node))
        return next((found for found in below if found), None)


def _compose(text: str) -> Node | None:
    try:
        return next(_documents(text), None)
    except (yaml.YAMLError, RecursionError):
        return None


def _keyed(node: MappingNode) -> dict[Key, tuple[Node, Node]]:
    """Key and value by the key's text, and by what it stands for where that is no text."""
    found: dict[Key, tuple[Node, Node]] = {}
    for key, value in node.value:
        if isinstance(key, ScalarNode):
            found.setdefault(key.value, (key, value))
            with suppress(ValueError):
                found.setdefault(_scalar(key), (key, value))
    return found


def _below(node: MappingNode) -> Iterator[Node]:
    """The mappings that `<<` names."""
    for key, value in node.value:
        if isinstance(key, ScalarNode) and key.value == "<<":
            yield from value.value if isinstance(value, SequenceNode) else (value,)


def _place_of(node: Node, name: str) -> Place:
    return Place(name, node.start_mark.line + 1, node.start_mark.column + 1)


def duplicate_keys(text: str, name: str) -> list[tuple[FieldPath, Place, Place]]:
    """Path and place of each key that stands twice in its mapping, and the first one's place."""
    found: list[tuple[FieldPath, Place, Place]] = []
    seen: set[int] = set()

    def walk(node: Node, path: FieldPath) -> None:
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            for index, item in enumerate(node.value):
                walk(item, (*path, index))
        elif isinstance(node, MappingNode):
            first: dict[Any, Node] = {}
            for key, value in node.value:
                known = _hashable(key)
                here = (*path, key.value if isinstance(key, ScalarNode) else str(known))
                if known in first:
                    found.append((here, _place_of(key, name), _place_of(first[known], name)))
                first.setdefault(known, key)
                walk(value, here)

    try:
        for document in _documents(text):
            walk(document, ())
    except (yaml.YAMLError, RecursionError):
        return found
    return found


def _hashable(key: Node) -> Any:
    return _scalar(key) if isinstance(key, ScalarNode) else id(key)


def construct_documents(text: str, name: str) -> list[Any]:
    """Read a text by the slow way, which follows YAML to the letter. Raises InvalidSpec."""
    try:
        nodes = list(_documents(text))
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name)
        raise _invalid(f"this is not YAML: {fault.problem}", place, "correct it here") from None
    except yaml.reader.ReaderError as fault:
        before = text[: fault.position]
        place = Place(name, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise _invalid("this character is not allowed in YAML", place, "remove it") from None
    documents = [_Construction(name).value(node) for node in nodes]
    return [document for document in documents if document is not None]


class _Construction:
    """Values of nodes, with aliases counted so that they can't unfold without end."""

    def __init__(self, name: str) -> None:
        self._name, self._parts, self._open = name, 0, set[int]()

    def value(self, node: Node) -> Any:
        self._count(node)
        self._check_tag(node)
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        self._open.add(id(node))
        whole = self._sequence(node) if isinstance(node, SequenceNode) else self._mapping(node)
        self._open.discard(id(node))
        return whole

    def _count(self, node: Node) -> None:
        self._parts += 1
        place = _place_of(node, self._name)
        if id(node) in self._open:
            raise _invalid("this alias holds itself", place, "remove the alias")
        if self._parts > _MAX_PARTS:
            fault = "the aliases of this file unfold to more than a million parts"
            raise _invalid(fault, place, "use fewer aliases")

    def _check_tag(self, node: Node) -> None:
        if node.tag not in _KNOWN_TAGS:
            tag = node.tag.replace(_TAG, "!!")
            fault = f"the tag {tag} has no meaning here"
            raise _invalid(fault, _place_of(node, self._name), "remove it, or quote the text")

    def _scalar(self, node: ScalarNode) -> Any:
        try:
            return _scalar(node)
        except ValueError:
            tag = node.tag.replace(_TAG, "!!")
            place = _place_of(node, self._name)
            raise _invalid(f"{node.value!r} is not {tag}", place, "remove the tag") from None

    def _sequence(self, node: Node) -> list[Any]:
        return [self.value(item) for item in node.value]

    def _mapping(self, node: Node) -> dict[Any, Any]:
        own: dict[Any, Any] = {}
        for key, value in node.value:
            place = _place_of(key, self._name)
            if not isinstance(key, ScalarNode):
                raise _invalid("this key is not a single value", place, "write a name")
            known = _scalar(key)
            if known in own:
                raise _invalid("this key stands here a second time", place, "keep one")
            own[known] = self.value(value)
        if MERGE_KEY not in own:
            return own
        sources = own.pop(MERGE_KEY)
        return merge_below(own, sources if isinstance(sources, list) else [sources], self._name)


def _scalar(node: ScalarNode) -> Any:
    """Raises ValueError when the text is not of the type that its tag names."""
    text: str = node.value
    if node.tag == _PLAIN:
        return scalar_of(text)
    wanted = _TYPES.get(node.tag)
    if wanted is None:
        return text
    value = scalar_of(text)
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise ValueError(text)
    return value


def _invalid(fault: str, place: Place, mend: str) -> InvalidSpec:
    return InvalidSpec([Diagnostic(fault, place=place, mend=mend)])
