"""The document in the making: what is put there is carried, and all else is lost."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from orch.load.item import Item, Way
from orch.spec.consequence import consequence_of
from orch.types import (
    Consequence,
    Fidelity,
    FieldPath,
    Ledger,
    LedgerEntry,
    Place,
    render_path,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orch.types import Key

_ABSENT: Any = object()


class Loss(NamedTuple):
    """Why a key is lost; without a consequence that of its kind of key counts."""

    reason: str
    consequence: Consequence | None = None
    mend: str = ""


if TYPE_CHECKING:
    LossOf = Callable[[FieldPath], Loss]
    """The loss of a leaf that nobody put anywhere, by its path in the source."""


class Writer:
    """Puts items into an `orch/v1` document and notes where each came from."""

    def __init__(self, loss_of: LossOf) -> None:
        self._loss_of = loss_of
        self.document: dict[str, Any] = {"apiVersion": "orch/v1"}
        self.places: dict[FieldPath, Place] = {}

    def put(
        self,
        path: FieldPath,
        item: Item | None,
        value: Any = _ABSENT,
        *,
        outcome: Fidelity = Fidelity.NATIVE,
        reason: str = "",
        mend: str = "",
        consequence: Consequence | None = None,
    ) -> None:
        """Write an item at a path of the document; without `value` its own value.

        An item of None writes nothing. Everything below the item is carried.
        """
        if item is None or (item.value is None and value is _ABSENT):
            return
        _assign(self.document, path, item.plain() if value is _ABSENT else value)
        self._place(path, item)
        self._places_below(path, item)
        item.carry(Way(outcome, render_path(path), reason, mend, consequence))

    def put_each(self, path: FieldPath, items: Item | None, **how: Any) -> None:
        """Write a list or a mapping member by member, so that each has its own row and place."""
        if items is None:
            return
        if isinstance(items.value, dict):
            for key, item in items.items():
                self.put((*path, key), item, **how)
            return
        for item in items:
            self.put((*path, self.size(path)), item, **how)

    def size(self, path: FieldPath) -> int:
        """How many members a list of the document has so far."""
        return len(self.get(path) or ())

    def set(self, path: FieldPath, value: Any, item: Item) -> None:
        """Write something that an item brings about without saying it."""
        _assign(self.document, path, value)
        self._place(path, item)

    def say(self, path: FieldPath, item: Item | None) -> None:
        """Note the place of a part that is a mapping or a list."""
        if item is not None:
            self._place(path, item)

    def lose(
        self,
        item: Item | None,
        reason: str,
        mend: str = "",
        consequence: Consequence | None = None,
    ) -> None:
        """Say why something has no effect."""
        if item is not None:
            item.carry(Way(Fidelity.LOST, "", reason, mend, consequence))

    def lose_as(self, item: Item | None, *keys: str) -> None:
        """Lose what a short form says, for the reason that its long form's key has."""
        loss = self._loss_of(keys)
        self.lose(item, loss.reason, loss.mend, loss.consequence)

    def note(
        self,
        path: FieldPath,
        item: Item | None,
        outcome: Fidelity = Fidelity.NATIVE,
        reason: str = "",
        consequence: Consequence | None = None,
    ) -> None:
        """Account for an item by something that is written already."""
        if item is not None:
            item.carry(Way(outcome, render_path(path), reason, "", consequence))

    def has(self, path: FieldPath) -> bool:
        """Whether something is written at a path."""
        return self.get(path) is not None

    def get(self, path: FieldPath) -> Any:
        """What is written at a path, None when nothing is."""
        found: Any = self.document
        for key in path:
            try:
                found = found[key]
            except (KeyError, IndexError, TypeError):
                return None
        return found

    def _place(self, path: FieldPath, item: Item) -> None:
        self.places[path] = item.place
        above = path[:-1]
        while above and above not in self.places:
            self.places[above] = item.key_place
            above = above[:-1]

    def _places_below(self, path: FieldPath, item: Item) -> None:
        if isinstance(item.value, dict | list):
            members = item.items() if isinstance(item.value, dict) else enumerate(item)
            for key, member in members:
                self.places[*path, key] = member.place
                self._places_below((*path, key), member)


def _assign(document: Any, path: FieldPath, value: Any) -> None:
    """Write a value; an empty mapping leaves what is there already, as an older key may be."""
    target = document
    last = path[-1]
    for key, following in pairwise(path):
        try:
            target = target[key]
        except (KeyError, IndexError):
            target = _step(target, key, [] if isinstance(following, int) else {})
    if isinstance(last, int) and last == len(target):
        target.append(value)
    elif value != {} or not isinstance(target, dict) or last not in target:
        target[last] = value


def _step(target: Any, key: Key, empty: Any) -> Any:
    if isinstance(key, str):
        return target.setdefault(key, empty)
    if key == len(target):
        target.append(empty)
    return target[key]


def settle(model: Item, loss_of: LossOf) -> None:
    """Mark what nobody put anywhere: in the merged model first, leaf by leaf."""
    for leaf in model.leaves():
        if not leaf.ways and leaf.origin is not leaf:
            leaf.origin.ways.append(_lost(leaf.origin, loss_of))


def _lost(leaf: Item, loss_of: LossOf) -> Way:
    if leaf.value is None or leaf.value in ({}, []):
        return Way(Fidelity.LOST, "", "nothing is said there", "remove it", Consequence.COSMETIC)
    loss = loss_of(leaf.path)
    return Way(Fidelity.LOST, "", loss.reason, loss.mend, loss.consequence)


def make_ledger(
    leaves: Sequence[Item], loss_of: LossOf, further: Sequence[LedgerEntry] = ()
) -> Ledger:
    """One row for every leaf that was read; `further` are rows of their own."""
    notable = tuple(_row(leaf, loss_of) for leaf in leaves if not _is_native(leaf))
    return Ledger((*notable, *further), partial(_native, leaves, loss_of))


def _native(leaves: Sequence[Item], loss_of: LossOf) -> Iterator[LedgerEntry]:
    return (_row(leaf, loss_of) for leaf in leaves if _is_native(leaf))


def _is_native(leaf: Item) -> bool:
    if not leaf.ways:
        return leaf.replaced_by is not None
    return all(way.outcome is Fidelity.NATIVE for way in leaf.ways)


def _row(leaf: Item, loss_of: LossOf) -> LedgerEntry:
    ways = leaf.ways or [_untold(leaf, loss_of)]
    worst = max(ways, key=lambda way: way.outcome.rank)
    outputs = tuple(dict.fromkeys(way.output for way in ways if way.output))
    consequence = worst.consequence or loss_of(leaf.path).consequence or consequence_of(leaf.path)
    return LedgerEntry(
        leaf.path, worst.outcome, consequence, outputs, worst.reason, worst.mend, leaf.place
    )


def _untold(leaf: Item, loss_of: LossOf) -> Way:
    if leaf.replaced_by is None:
        return _lost(leaf, loss_of)
    reason = f"overridden at {leaf.replaced_by}"
    return Way(Fidelity.NATIVE, render_path(leaf.path), reason)
