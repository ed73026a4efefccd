"""A value of a file of another format that knows where it stands and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from orch.types import Fidelity, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.types import Consequence, FieldPath


class Way(NamedTuple):
    """One way in which a value arrived in the document, or why it did not."""

    outcome: Fidelity
    output: str = ""
    reason: str = ""
    mend: str = ""
    consequence: Consequence | None = None


class Item:
    """A scalar, a list or a mapping of a file, while a reader works on it.

    Long forms are made from short ones: what is derived names the item that was written as its
    `origin`, so that every leaf of the file can be told what became of it. `place` is that of the
    value, `key_place` that of its key.
    """

    __slots__ = ("key_place", "origin", "path", "place", "replaced_by", "tag", "value", "ways")

    def __init__(
        self,
        value: Any,
        path: FieldPath = (),
        place: Place | None = None,
        key_place: Place | None = None,
        tag: str = "",
    ) -> None:
        self.value, self.path, self.tag = value, path, tag
        self.place = place or Place()
        self.key_place = key_place or self.place
        self.origin: Item = self
        self.replaced_by: Place | None = None
        self.ways: list[Way] = []

    def derive(self, value: Any) -> Item:
        """Another value that comes from the same words of the file."""
        made = Item(value, self.path, self.place, self.key_place)
        made.origin = self.origin
        return made

    def copy(self) -> Item:
        """The same tree once more, for a second use of it."""
        if isinstance(self.value, dict):
            return self.derive({key: item.copy() for key, item in self.value.items()})
        if isinstance(self.value, list):
            return self.derive([item.copy() for item in self.value])
        return self.derive(self.value)

    def get(self, key: str) -> Item | None:
        """What stands under a key of a mapping, None when there is none or it is null."""
        found: Item | None = self.value.get(key) if isinstance(self.value, dict) else None
        return None if found is None or found.value is None else found

    def at(self, *keys: str) -> Item | None:
        """What stands under keys of nested mappings."""
        found: Item | None = self
        for key in keys:
            found = found.get(key) if found is not None else None
        return found

    def items(self) -> Iterator[tuple[str, Item]]:
        """Keys and what they hold; nothing for what is no mapping."""
        if isinstance(self.value, dict):
            yield from self.value.items()

    def __iter__(self) -> Iterator[Item]:
        """The members of a list; nothing for what is no list."""
        if isinstance(self.value, list):
            yield from self.value

    def leaves(self) -> list[Item]:
        """Every scalar, and every empty list or mapping, at or below it."""
        found: list[Item] = []
        left = [self]
        while left:
            item = left.pop()
            value = item.value
            if value and isinstance(value, dict):
                left += reversed(value.values())
            elif value and isinstance(value, list):
                left += reversed(value)
            else:
                found.append(item)
        return found

    def carry(self, way: Way) -> None:
        """Note what became of everything at or below it."""
        for leaf in self.leaves():
            leaf.ways.append(way)
            if leaf.origin is not leaf:
                leaf.origin.ways.append(way)

    def replace(self, by: Place) -> None:
        """Note that another file's words stand in its place."""
        for leaf in self.leaves():
            leaf.origin.replaced_by = by

    def plain(self) -> Any:
        """The bare value."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        return [item.plain() for item in self] if isinstance(self.value, list) else self.value

    def __repr__(self) -> str:
        return f"Item({self.plain()!r})"
