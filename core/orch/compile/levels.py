"""Which losses a deploy accepts: the level that was chosen, and what the spec itself demands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from orch.errors import Refused
from orch.types import Consequence, Fidelity, render_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orch.spec.application import Application
    from orch.types import LedgerEntry, Manifest

GRAVE = frozenset({Consequence.DATA, Consequence.SECURITY})
ACCEPTABLE = frozenset({Fidelity.NATIVE, Fidelity.EMULATED})


class Level(StrEnum):
    """How much loss is accepted, least first."""

    STRICT = "strict"
    DEFAULT = "default"
    LOOSE = "loose"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The rows that forbid the deploy, and those that the user should read."""

    refused: tuple[LedgerEntry, ...] = ()
    reported: tuple[LedgerEntry, ...] = ()

    def demand(self) -> None:
        """Raise Refused, telling every row that forbids the deploy."""
        if self.refused:
            raise refusal(self.refused)


def judge(app: Application, manifest: Manifest, level: Level) -> Judgement:
    """Sort the notable rows of the ledger by what the level and the spec's `fidelity` say.

    What is rejected is refused at every level. Strict also refuses what is lost or degraded; the
    default level what is lost of data or security. `require` refuses whatever is worse than
    emulated, at every level, and `ignore` neither refuses nor reports.
    """
    refused, reported = [], []
    for entry in manifest.ledger.notable:
        wish = _wish(render_path(entry.path), app.fidelity)
        if _forbids(entry, level, wish):
            refused.append(entry)
        elif wish != "ignore":
            reported.append(entry)
    return Judgement(tuple(refused), tuple(reported))


def _wish(path: str, wishes: Mapping[str, str]) -> str:
    """What the spec says of the nearest enclosing path, empty when nothing."""
    enclosing = [key for key in wishes if path == key or path.startswith((f"{key}.", f"{key}["))]
    return wishes[max(enclosing, key=len)] if enclosing else ""


def _forbids(entry: LedgerEntry, level: Level, wish: str) -> bool:
    if entry.outcome is Fidelity.REJECTED:
        return True
    if entry.outcome in ACCEPTABLE or wish == "ignore":
        return False
    if wish == "require":
        return True
    if entry.default or level is Level.LOOSE:
        return False
    lost = entry.outcome is Fidelity.LOST
    return level is Level.STRICT or (lost and entry.consequence in GRAVE)


def refusal(entries: Iterable[LedgerEntry]) -> Refused:
    """Say which fields forbid the deploy, a line for those alike, and what can be done about it."""
    entries = tuple(entries)
    lines = [_line(*rows) for rows in alike(entries)]
    rejected = any(entry.outcome is Fidelity.REJECTED for entry in entries)
    mend = (
        "change the spec or the target"
        if rejected
        else (
            "change the spec or the target, write `ignore` for these paths under `fidelity`, "
            "or accept the losses with --loose"
        )
    )
    count = "1 field is" if len(entries) == 1 else f"{len(entries)} fields are"
    return Refused("\n  ".join((f"{count} not held by this target:", *lines)), mend=mend)


def alike(rows: Iterable[LedgerEntry]) -> Iterable[list[LedgerEntry]]:
    """Rows that tell the same of the same field of several services or the like, together."""
    groups: dict[object, list[LedgerEntry]] = {}
    for row in rows:
        field = (*row.path[:1], *row.path[2:])
        told = (row.consequence, row.outcome, row.default, row.reason, row.mend)
        groups.setdefault((field, told), []).append(row)
    return groups.values()


def _line(entry: LedgerEntry, *others: LedgerEntry) -> str:
    place = f" ({entry.place})" if str(entry.place) else ""
    mend = f"; {entry.mend}" if entry.mend else ""
    what = f"{entry.outcome}, {entry.consequence}"
    likewise = f" and {len(others)} more like it" if others else ""
    return f"{render_path(entry.path)}{place}{likewise}: {what}: {entry.reason}{mend}"
