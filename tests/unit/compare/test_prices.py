"""Tables of prices: what they say, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from orch.backend.discovery import installed
from orch.compare.prices import HOURS, laid_over, read_prices
from orch.errors import InvalidSpec

if TYPE_CHECKING:
    from pathlib import Path

    from orch.compare.prices import PriceTable

ROW = {
    "backend": "native",
    "item": "cluster",
    "price": 2,
    "per": "hour",
    "seen": "2026-11-21",
    "source": "the invoice",
}


def table(folder: Path, *rows: dict[str, Any], name: str = "prices.yaml", **top: Any) -> PriceTable:
    file = folder / name
    document = {"version": 1, "currency": "EUR", "prices": [{**ROW, **row} for row in rows], **top}
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return read_prices(file)


def test_a_price_by_the_hour_is_counted_for_a_month(tmp_path: Path) -> None:
    hourly, monthly = table(tmp_path, {}, {"per": "month"}).prices
    assert hourly.month == 2 * HOURS
    assert monthly.month == 2


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"item": "node"}, "prices[0] (…:4:3): a node has `cpus` and `memory`"),
        ({"item": "object"}, "prices[0] (…:4:3): an object has a `kind`"),
        ({"price": -1}, "prices[0].price (…:6:10): Input should be greater than or equal to 0"),
        ({"price": "inf"}, "prices[0].price (…:6:10): Input should be a finite number"),
        ({"per": "year"}, "prices[0].per (…:7:8): Input should be 'hour' or 'month'"),
        ({"seen": "soon"}, "prices[0].seen (…:8:9): Input should be a valid date"),
        ({"zone": "a"}, "prices[0].zone (…:10:9): Extra inputs are not permitted; remove it"),
        ({"memory": "much", "cpus": 1, "item": "node"}, "prices[0].memory (…:10:11): 'much'"),
    ],
)
def test_a_fault_has_its_place(tmp_path: Path, row: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidSpec) as fault:
        table(tmp_path, row)
    assert str(fault.value).startswith(told.replace("…", str(tmp_path / "prices.yaml")))


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec) as fault:
        table(tmp_path, {"price": "x"}, {"per": "x"}, currency="euro")
    assert len(fault.value.diagnostics) == 3


def test_a_later_table_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    first = table(tmp_path, {"backend": "a"}, {"backend": "b"})
    second = table(tmp_path, {"backend": "b", "price": 7})
    one, two = laid_over([first, second])
    assert [row.backend for row in one.prices] == ["a"]
    assert [row.price for row in two.of("b")] == [7]


@pytest.mark.parametrize(
    "factory", [f for f in installed().backends.values() if f.prices], ids=lambda f: f.name
)
def test_shipped_rows_name_flavours_that_are_there_and_tell_their_source(factory: Any) -> None:
    shipped = read_prices(factory.prices)
    assert shipped.prices
    for row in shipped.prices:
        backend, _, flavour = row.backend.partition(":")
        assert backend == factory.name
        assert flavour in factory.flavours
        assert row.source.startswith("https://")
        second_hand = {"github.com", "gist.github.com", "www.factualminds.com"}
        assert row.basis or row.source.split("/")[2] not in second_hand
