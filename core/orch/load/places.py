"""Where each path of a merged document was written: which file, which line, which column."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orch.frozen import EMPTY
from orch.load.files import folder_of, shown
from orch.types import Place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch.load.merge import Merged
    from orch.load.positions import Positions
    from orch.types import FieldPath


@dataclass(frozen=True)
class Layer:
    """One document: a file of ours, or what a reader made of files of another format.

    It keeps no tree, since it lives as long as the application and is seldom asked.
    """

    path: Path
    text: str = ""
    places: Mapping[FieldPath, Place] = EMPTY

    @property
    def name(self) -> str:
        """The file's name in messages."""
        return shown(self.path)

    @cached_property
    def _positions(self) -> Positions:
        from orch.load.positions import Positions

        return Positions(self.text, self.name)

    def place(self, path: FieldPath, *, value: bool = False) -> Place:
        """The place of a key, or of what stands there; of the nearest part around it otherwise."""
        if self.text:
            return self._positions.value(path) if value else self._positions.key(path)
        near = (self.places.get(path[:length]) for length in range(len(path), -1, -1))
        return next((place for place in near if place is not None), Place(self.name))


class Origins:
    """Layers, and how they were laid over each other."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = tuple(layers)
        self._merges: list[Merged] = []
        self._environment: tuple[Merged, FieldPath] | None = None

    def laid(self, merged: Merged) -> None:
        """The next layer was laid over those before it."""
        self._merges.append(merged)

    def chosen(self, merged: Merged, section: FieldPath) -> None:
        """An environment's section of the document was laid over the whole."""
        self._environment = merged, section

    def mentions(self, text: str) -> bool:
        """Whether a layer may hold this text; one that a reader made may hold any."""
        return any(not layer.text or text in layer.text for layer in self._layers)

    def place(self, path: FieldPath, *, value: bool = False) -> Place:
        """Where the author wrote this key, or this value."""
        layer, source = self._source(path)
        return layer.place(source, value=value)

    def folder(self, path: FieldPath) -> Path:
        """The folder of the file that says this, from which its relative paths start."""
        layer, source = self._source(path)
        if layer.text or not layer.places:
            return folder_of(layer.path)
        return Path(layer.place(source).file or layer.path).parent

    def _source(self, path: FieldPath) -> tuple[Layer, FieldPath]:
        if self._environment is not None:
            merged, section = self._environment
            laid, path = merged.origin(path)
            path = section + path if laid else path
        for number in range(len(self._merges), 0, -1):
            laid, source = self._merges[number - 1].origin(path)
            if laid:
                return self._layers[number], source
        return self._layers[0], path
