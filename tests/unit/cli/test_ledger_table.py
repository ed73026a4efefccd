"""The ledger's table as a person reads it."""

from __future__ import annotations

from orch.cli.render.ledger import MANY, add_ledger, rows_of
from orch.cli.render.report import Report, Table
from orch.types import Consequence, Fidelity, Ledger, LedgerEntry, Place


def lost(path: tuple[str | int, ...], reason: str = "it is not done here") -> LedgerEntry:
    return LedgerEntry(path, Fidelity.LOST, Consequence.NETWORK, reason=reason)


def told(rows: list[LedgerEntry]) -> list[str]:
    report = Report()
    add_ledger(report, rows, title="Ledger")
    (table,) = (block for block in report.blocks if isinstance(block, Table))
    return [row[2].text + ": " + row[3].text for row in table.rows]


def test_the_same_loss_of_several_services_is_one_row() -> None:
    rows = [lost(("services", name, "dns", 0)) for name in ("api", "db", "web")]
    other = lost(("services", "web", "dns", 0), "for another reason")
    lines = told([*rows, other])
    assert len(lines) == 2
    assert "services.api.dns[0] and 2 more like it" in lines[0]
    assert "for another reason" in lines[1]


def test_places_are_looked_up_for_as_many_rows_as_a_person_reads() -> None:
    def rows(count: int) -> list[LedgerEntry]:
        return [lost(("services", f"s{number}", "dns")) for number in range(count)]

    def locate(path: object) -> Place:
        return Place("orch.yaml", 7, 3)

    assert all(row.place.line for row in rows_of(Ledger(tuple(rows(MANY))), locate))
    many = Ledger(tuple(rows(MANY + 1)))
    assert not any(row.place.line for row in rows_of(many, locate))
    assert all(row.place.line for row in rows_of(many, locate, positions=True))
