"""What a platform can hold, as data: the best outcome that each field can get, and limits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from orch.backend.sizes import ANY_SIZE, SizeRule
from orch.frozen import EMPTY
from orch.types import Fidelity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.types import FieldPath


@dataclass(frozen=True, slots=True)
class NameRule:
    """What the platform accepts as a name: a regular expression of one allowed character."""

    max_length: int = 63
    allowed: str = "[a-z0-9-]"
    lower: bool = True


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Field patterns to the best outcome they can get; what is not named is unsupported.

    A pattern is a model path without names: `services.*.ports.*.published`. `*` stands for any
    one key or index, a final `**` for everything below. The most specific pattern wins.
    `features` are names such as `logs`, `exec`, `rollback`, `network`, by which the conformance
    suite chooses its cases. `list_keys` gives the natural key of lists in bodies, by
    `KIND:path`; other lists are replaced whole.

    Core reads these `limits`: `immutable`, patterns `KIND:path` of fields whose change means that
    the object is replaced; `initial`, a mapping of such a pattern to a path of the same body: the
    field is written at creation and left alone afterwards while that path is there (a replica
    count under an autoscaler), always when the path is empty; `exclusive`, patterns of fields
    whose value no two objects may hold at once (a published port); `content_named`, kinds whose
    objects are named by their content and stay while a kept release names them; `stateful`, kinds
    that hold data and are never pruned unasked, `volume` unless said otherwise; `secret_bytes`,
    the smallest and the largest number of bytes that a secret may have.

    `sizes` tells how what a replica asks for is rounded.
    """

    fields: Mapping[str, Fidelity]
    features: frozenset[str] = frozenset()
    names: NameRule = NameRule()
    limits: Mapping[str, Any] = EMPTY
    list_keys: Mapping[str, tuple[str, ...]] = EMPTY
    reasons: Mapping[str, str] = EMPTY
    sizes: SizeRule = ANY_SIZE

    def best(self, path: FieldPath) -> Fidelity:
        """The best outcome that this field can get, LOST when no pattern names it."""
        pattern = self.pattern(path)
        return self.fields[pattern] if pattern else Fidelity.LOST

    def reason(self, path: FieldPath) -> str:
        """Why the field is not native, empty when nothing is said."""
        pattern = self.pattern(path)
        return self.reasons.get(pattern, "") if pattern else ""

    def pattern(self, path: FieldPath) -> str:
        """The pattern of `fields` that decides for this path, empty when none does."""
        parts = tuple("#" if isinstance(key, int) else key for key in path)
        return _match(tuple(self.fields), parts)


@lru_cache(maxsize=65536)
def _match(patterns: tuple[str, ...], parts: tuple[str, ...]) -> str:
    matching = [p for p in patterns if _fits(p.split("."), parts)]
    return max(matching, key=_specificity, default="")


def _fits(pattern: list[str], parts: tuple[str, ...]) -> bool:
    if pattern[-1] == "**":
        pattern = pattern[:-1]
        if len(parts) < len(pattern):
            return False
        parts = parts[: len(pattern)]
    return len(pattern) == len(parts) and all(
        p in ("*", part) for p, part in zip(pattern, parts, strict=True)
    )


def _specificity(pattern: str) -> tuple[int, int]:
    keys = pattern.split(".")
    return len(keys) - (keys[-1] == "**"), sum(k not in ("*", "**") for k in keys)
