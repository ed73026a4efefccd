"""Names of backends and their flavours, as a person says them."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def names_text(names: Iterable[str]) -> str:
    """Names with the flavours of one backend together: `swarm, kubernetes (eks, gke)`."""
    told = []
    for backend, alike in groupby(names, key=lambda name: name.partition(":")[0]):
        group = list(alike)
        flavours = [name.partition(":")[2] for name in group]
        whole = len(group) == 1 or not all(flavours)
        told.append(", ".join(group) if whole else f"{backend} ({', '.join(flavours)})")
    return ", ".join(told)
