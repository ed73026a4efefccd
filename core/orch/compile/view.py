"""The application as a backend reads it: every leaf knows its path and whether it was carried.

A leaf read through a view is a `Read`; only putting it into a resource carries it. Looking at
`Read.value` to decide something carries nothing, so a field that only steers a branch is still
lost unless it is put somewhere.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from orch.frozen import FrozenDict
from orch.spec.image import Image
from orch.spec.units import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from orch.types import FieldPath, Key

    Carried = dict[Key, list[Any]]

HERE = ""
"""The key under which a node's mere presence is carried, as that of `networks: {front: {}}`."""


class Read:
    """A leaf of the spec: its value, and the place it came from."""

    __slots__ = ("key", "node", "value")

    def __init__(self, node: Node, key: Key, value: Any) -> None:
        self.node, self.key, self.value = node, key, value

    @property
    def path(self) -> FieldPath:
        """Where it stands in the spec."""
        return self.node.path if self.key == HERE else (*self.node.path, self.key)

    @property
    def authored(self) -> bool:
        """Whether the author wrote it; otherwise it is a default."""
        return self.key == HERE or self.node.authored(self.key)

    def __bool__(self) -> bool:
        msg = f"{self.path} is a Read; ask for its .value"
        raise TypeError(msg)

    def __repr__(self) -> str:
        return f"Read({self.path}, {self.value!r})"


class Node:
    """A model, mapping or list of the spec, wrapped so that reading it can be followed."""

    __slots__ = ("_children", "carried", "empty", "key", "parent", "value", "whole")

    def __init__(self, value: Any, parent: Node | None = None, key: Key = "") -> None:
        self.value, self.parent, self.key = value, parent, key
        self.carried: Carried = {}
        self.whole: list[Any] = []
        self.empty: Any = None
        self._children: dict[Key, Node] = {}

    @property
    def path(self) -> FieldPath:
        """Where it stands in the spec."""
        return () if self.parent is None else (*self.parent.path, self.key)

    @property
    def depth(self) -> int:
        """How many keys lead to it."""
        return 0 if self.parent is None else self.parent.depth + 1

    @property
    def here(self) -> Read:
        """Its mere presence, as something to carry."""
        return Read(self, HERE, value=True)

    @property
    def untouched(self) -> bool:
        """Whether nothing below it was looked at on its own."""
        return not self.carried and not self._children

    def touched(self, key: Key) -> bool:
        """Whether a child was looked at, or carried on its own."""
        return key in self.carried or key in self._children

    def seen(self, key: Key) -> Node | None:
        """The child that was already looked at, if any."""
        return self._children.get(key)

    def authored(self, key: Key) -> bool:  # noqa: ARG002  (a model's own knows)
        """Whether the author wrote this key."""
        return True

    def _wrap(self, key: Key, value: Any) -> Any:
        if value is None:
            return None
        if type(value) in _LEAVES:
            return Read(self, key, value)
        child = self._children.get(key)
        if child is None:
            kind = node_kind(value)
            if kind is None:
                return Read(self, key, value)
            child = self._children[key] = kind(value, self, key)
        return child


class View(Node):
    """A model: its fields are attributes; a leaf gives a Read, an absent part gives None."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return self.field(name)

    def field(self, name: str) -> Any:
        """A field by its name, also one whose name a node has itself: `key`, `path`, `value`."""
        value = getattr(self.value, name)
        if value is None:
            return None
        return Read(self, name, value) if type(value) in _LEAVES else self._wrap(name, value)

    def authored(self, key: Key) -> bool:
        return key in self.value.model_fields_set


@cache
def view_of(model: type[BaseModel]) -> type[View]:
    """The view of one kind of model, which has a property for each of its fields.

    `__getattr__` is asked only once a lookup has failed, and the failure costs more than a read.
    """
    fields = {name: property(_reader(name)) for name in model.model_fields}
    own = {name: read for name, read in fields.items() if not hasattr(View, name)}
    return type(f"{model.__name__}View", (View,), {"__slots__": (), **own})


def _reader(name: str) -> Callable[[View], Any]:
    def read(self: View) -> Any:
        value = getattr(self.value, name)
        if value is None:
            return None
        return Read(self, name, value) if type(value) in _LEAVES else self._wrap(name, value)

    return read


class MapView(Node):
    """A mapping by name."""

    __slots__ = ()

    def items(self) -> Iterator[tuple[str, Any]]:
        """Names and what they hold, in the author's order."""
        for key, value in self.value.items():
            yield key, self._wrap(key, value)

    def get(self, key: str) -> Any:
        """What stands under a name, None when there is none."""
        return self._wrap(key, self.value.get(key))

    def __getitem__(self, key: str) -> Any:
        return self._wrap(key, self.value[key])

    def __contains__(self, key: object) -> bool:
        return key in self.value

    def __len__(self) -> int:
        return len(self.value)


class ListView(Node):
    """A list of models."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        for index, value in enumerate(self.value):
            yield self._wrap(index, value)

    def __getitem__(self, index: int) -> Any:
        return self._wrap(index, self.value[index])

    def __len__(self) -> int:
        return len(self.value)


_kind: Callable[[object], Hashable] = type


_LEAVES: set[object] = {str, int, bool, float}
"""Types of which every value is a leaf, as far as they were met."""


@cache
def _shape(kind: type[Any]) -> type[Node] | None:
    # pydantic's isinstance is slow; a lookup by type is asked instead, once for each type.
    if issubclass(kind, BaseModel):
        return view_of(kind)
    if issubclass(kind, FrozenDict):
        return MapView
    if kind is not tuple:
        _LEAVES.add(kind)
    return None


def node_kind(value: Any) -> type[Node] | None:
    """Which node wraps a value; None for a leaf. An empty list is a leaf, an empty map is not."""
    kind = _kind(value)
    if kind in _LEAVES:
        return None
    if kind is tuple:
        return ListView if value and issubclass(_shape(_kind(value[0])) or Node, View) else None
    return _shape(kind)


def children(value: Any) -> Iterable[tuple[Key, Any]]:
    """What the author wrote directly below a model, mapping or list of models."""
    kind = _shape(_kind(value))
    if kind is None:
        return enumerate(value)
    if kind is MapView:
        items: Iterable[tuple[Key, Any]] = value.items()
        return items
    written = value.model_fields_set
    return [
        (key, item) for key, item in value.__dict__.items() if key in written and item is not None
    ]


def asks_nothing(owner: Any, key: Key, value: Any) -> bool:
    """Whether a leaf is an empty list that was written where leaving it out means the same."""
    fields = type(owner).model_fields if value == () and isinstance(owner, BaseModel) else {}
    return key in fields and fields[str(key)].default == ()


def authored_leaves(value: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Any]]:
    """Every leaf that the author wrote, with its path; an empty model is a leaf of its own."""
    empty = True
    for key, item in children(value):
        empty = False
        if node_kind(item) is None:
            yield (*path, spelt(value, key)), item
        else:
            yield from authored_leaves(item, (*path, spelt(value, key)))
    if empty and path and isinstance(value, BaseModel):
        yield path, True


def spelt(owner: Any, key: Key) -> Key:
    """A field as the file spells it: `from_` is written `from`."""
    if type(key) is str and key[-1:] == "_" and isinstance(owner, BaseModel):
        return key[:-1]
    return key


def plain(value: Any) -> Any:
    """A value as JSON would hold it: defaults explicit, absent and empty parts left out."""
    return _plainer(_kind(value))(value)


def _same(value: Any) -> Any:
    return value


# Scalars are told apart here and not by their writer: a call for each is half of all the time.
_SCALARS = frozenset((str, int, bool, float))
_EMPTIABLE = frozenset((tuple, dict, FrozenDict))


def _plain_model(value: Any) -> dict[str, Any]:
    return {
        key if key[-1] != "_" else key[:-1]: item
        if (kind := _kind(item)) in _SCALARS
        else _plainer(kind)(item)
        for key, item in value.__dict__.items()
        if item is not None and (item or _kind(item) not in _EMPTIABLE)
    }


def _plain_map(value: Any) -> dict[str, Any]:
    return {
        key: item if (kind := _kind(item)) in _SCALARS else _plainer(kind)(item)
        for key, item in value.items()
    }


def _plain_list(value: Any) -> list[Any]:
    return [item if (kind := _kind(item)) in _SCALARS else _plainer(kind)(item) for item in value]


@cache
def _plainer(kind: type[Any]) -> Callable[[Any], Any]:
    if issubclass(kind, BaseModel):
        return _plain_model
    if issubclass(kind, Unit | Image):
        return str
    if issubclass(kind, dict):
        return _plain_map
    return _plain_list if issubclass(kind, tuple | list) else _same
