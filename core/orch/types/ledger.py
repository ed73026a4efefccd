"""What became of each field that the author set."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from orch.types.diagnostics import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orch.types.diagnostics import Place
    from orch.types.paths import FieldPath


class Fidelity(StrEnum):
    """What became of a field on a backend, best first."""

    NATIVE = "native"
    EMULATED = "emulated"
    DEGRADED = "degraded"
    LOST = "lost"
    REJECTED = "rejected"

    @property
    def rank(self) -> int:
        """0 is the best."""
        return _RANKS[self]


_RANKS = {outcome: rank for rank, outcome in enumerate(Fidelity)}


class Consequence(StrEnum):
    """What a loss touches, gravest first."""

    DATA = "data"
    SECURITY = "security"
    AVAILABILITY = "availability"
    NETWORK = "network"
    COSMETIC = "cosmetic"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What became of one field that the author set.

    `outputs` are paths such as `service/web:env.LOG_LEVEL`: resource id, colon, path in its body.
    `default` marks the one row an application gets for a default that the platform can't hold.
    """

    path: FieldPath
    outcome: Fidelity
    consequence: Consequence
    outputs: tuple[str, ...] = ()
    reason: str = ""
    mend: str = ""
    place: Place = NOWHERE
    default: bool = False


class Ledger:
    """The account of every field that the author set. Native rows are made only when asked for."""

    def __init__(
        self,
        notable: tuple[LedgerEntry, ...],
        native: Callable[[], Iterator[LedgerEntry]] | None = None,
    ) -> None:
        self.notable = notable
        self._native = native

    def __iter__(self) -> Iterator[LedgerEntry]:
        """Every row: native ones in the order of the file, then what deserves attention."""
        if self._native is not None:
            yield from self._native()
        yield from self.notable

    def worst(self) -> Fidelity:
        """The gravest outcome, `native` when nothing is notable."""
        return max((e.outcome for e in self.notable), key=lambda f: f.rank, default=Fidelity.NATIVE)
