"""What every model of the spec shares: frozen, closed, mappings read-only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from orch.frozen import FrozenDict

K = TypeVar("K")
V = TypeVar("V")

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
PortNumber = Annotated[int, Field(ge=1, le=65535, strict=True)]
FileMode = Annotated[str, StringConstraints(pattern=r"^[0-7]{3,4}$")]
Count = Annotated[int, Field(ge=0, strict=True)]
Positive = Annotated[int, Field(ge=1, strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, StringConstraints(strict=True)]


def _scalar(raw: object) -> object:
    """Let YAML's numbers and booleans stand where text is meant, spelt as JSON spells them."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    return str(raw) if isinstance(raw, int | float) else raw


def _bodies(raw: object) -> object:
    """`front:` with nothing after it means `front: {}`."""
    if not isinstance(raw, Mapping):
        return raw
    return {name: {} if body is None else body for name, body in raw.items()}


Scalar = Annotated[str, BeforeValidator(_scalar)]
Map = Annotated[dict[K, V], AfterValidator(FrozenDict)]
NamedMap = Annotated[dict[K, V], BeforeValidator(_bodies), AfterValidator(FrozenDict)]
Strings = tuple[Scalar, ...]


# Modules of models leave annotations as they are, without `from __future__ import annotations`:
# pydantic would have to evaluate the text of each, which takes longer than all else it does.
class Model(BaseModel):
    """A closed, frozen piece of the spec. Keys that start with `x-` are kept in `extensions`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)
