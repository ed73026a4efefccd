"""Tables of prices: what a platform's clusters, nodes, sizes, volumes and objects cost."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from orch.errors import InvalidSpec
from orch.frozen import EMPTY
from orch.load.files import parse, read_text, shown
from orch.load.positions import Positions
from orch.spec.base import Map, Scalar
from orch.spec.units import Bytes, Cpus
from orch.types import Diagnostic

HOURS = 730
"""Hours of a month, as the clouds' own calculators count them."""


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(_Closed):
    """One row: what one of an item costs by the hour or month, and where that was read.

    A `cluster` is paid once, `cpu` by the processor, `memory` and `volume` by the GiB. A `node` has
    room for `cpus` and `memory`. An `object` is one of the manifest of this `kind`, whose body has
    the values that `where` names by their paths. `basis` says what the source is, where it is not
    what the seller itself says today.
    """

    backend: str
    item: Literal["cluster", "cpu", "memory", "node", "volume", "object"]
    price: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    per: Literal["hour", "month"]
    seen: date
    source: str
    basis: str = ""
    name: str = ""
    region: str = ""
    cpus: Cpus | None = None
    memory: Bytes | None = None
    kind: str = ""
    where: Map[str, Scalar] = EMPTY

    @model_validator(mode="after")
    def _whole(self) -> "Price":
        if self.item == "node" and not (self.cpus and self.memory):
            msg = "a node has `cpus` and `memory`"
            raise ValueError(msg)
        if self.item == "object" and not self.kind:
            msg = "an object has a `kind`"
            raise ValueError(msg)
        return self

    @property
    def month(self) -> float:
        """What one costs in a month."""
        return self.price * HOURS if self.per == "hour" else self.price


class PriceTable(_Closed):
    """Rows of one currency."""

    version: Literal[1]
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    prices: tuple[Price, ...]

    def of(self, backend: str) -> tuple[Price, ...]:
        """The rows of one backend, or of one flavour of it."""
        return tuple(row for row in self.prices if row.backend == backend)


def read_prices(file: Path) -> PriceTable:
    """Read a table from YAML or JSON. Raises InvalidSpec with every fault, with its place."""
    text, name = read_text(file), shown(file)
    document = parse(text, name)
    try:
        return PriceTable.model_validate(document)
    except ValidationError as fault:
        positions = Positions(text, name)
        raise InvalidSpec([_diagnostic(e, positions) for e in fault.errors()]) from None


def _diagnostic(error: Any, positions: Positions) -> Diagnostic:
    path = tuple(error["loc"])
    told = error["msg"].removeprefix("Value error, ")
    mend = {"missing": "write it", "extra_forbidden": "remove it"}.get(error["type"], "")
    return Diagnostic(told, path=path, place=positions.value(path), mend=mend)


def laid_over(tables: Iterable[PriceTable]) -> tuple[PriceTable, ...]:
    """Tables of which a later one takes the place of an earlier one for each backend it names."""
    kept: list[PriceTable] = []
    for table in tables:
        named = {row.backend for row in table.prices}
        kept = [_without(earlier, named) for earlier in kept] + [table]
    return tuple(kept)


def _without(table: PriceTable, named: set[str]) -> PriceTable:
    rows = tuple(row for row in table.prices if row.backend not in named)
    return table.model_copy(update={"prices": rows})
