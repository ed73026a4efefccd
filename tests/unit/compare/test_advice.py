"""Which backend is recommended, and what is said against the others."""

from __future__ import annotations

from typing import Any

from orch.compare.advice import advise
from orch.compare.compare import Comparison, Standing
from orch.compare.cost import Estimate
from orch.compile.levels import Level
from orch.types import Consequence, Diagnostic, Fidelity, LedgerEntry


def row(outcome: Fidelity, touched: Consequence = Consequence.NETWORK, **more: Any) -> LedgerEntry:
    return LedgerEntry(("services", "web", outcome.value), outcome, touched, **more)


def standing(name: str, *outcomes: Fidelity, **more: Any) -> Standing:
    rows = tuple(row(outcome) for outcome in (Fidelity.NATIVE, *outcomes))
    return Standing(name, **{"rows": rows, **more})


def cost(month: float, *missing: str, currency: str = "USD") -> Estimate:
    return Estimate(currency, (), month, month, missing)


def advised(*standings: Standing) -> Any:
    return advise(Comparison("shop", Level.DEFAULT, standings))


def test_the_one_that_holds_most_is_taken() -> None:
    made = advised(
        standing("poor", Fidelity.LOST), standing("full"), standing("other", Fidelity.DEGRADED)
    )
    assert made.best == ("full",)
    assert dict(made.against) == {
        "poor": "loses 1 field (network)",
        "other": "changes 1 field (network)",
    }
    assert "1 of 1 fields mean there what they say, 1 by the platform itself" in made.reasons


def test_a_loss_of_data_weighs_more_than_several_others() -> None:
    grave = Standing("grave", rows=(row(Fidelity.LOST, Consequence.DATA),))
    light = standing("light", *[Fidelity.LOST] * 3)
    assert advised(grave, light).best == ("light",)


def test_one_that_refuses_is_never_taken() -> None:
    refusing = standing("refusing", refused=(row(Fidelity.LOST),))
    broken = Standing("broken", faults=(Diagnostic("two names are one"),))
    made = advised(refusing, broken, standing("poor", Fidelity.LOST))
    assert made.best == ("poor",)
    assert dict(made.against) == {
        "refusing": "refuses services.web.lost",
        "broken": "does not compile: two names are one",
    }


def test_of_those_that_are_alike_the_cheapest_is_taken() -> None:
    made = advised(standing("dear", cost=cost(9)), standing("cheap", cost=cost(7)))
    assert made.best == ("cheap",)
    assert (
        made.reasons[-1]
        == "cheap costs about 7.00 USD a month, the least of those that hold as much"
    )
    assert dict(made.against) == {
        "dear": "holds as much and costs about 9.00 USD a month, cheap less"
    }


def test_a_lower_price_does_not_make_up_for_a_loss() -> None:
    poor = standing("poor", Fidelity.LOST, cost=cost(1))
    assert advised(poor, standing("full", cost=cost(100))).best == ("full",)


def test_one_without_a_whole_price_is_neither_cheaper_nor_dearer() -> None:
    made = advised(
        standing("own"),
        standing("part", cost=cost(1, "volumes")),
        standing("a", cost=cost(5)),
        standing("b", cost=cost(6)),
    )
    assert made.best == ("own", "part", "a")
    assert made.reasons[-1] == "no whole price is known for own, part: weigh them yourself"
    assert dict(made.against) == {"b": "holds as much and costs about 6.00 USD a month, a less"}


def test_currencies_are_not_held_against_each_other() -> None:
    made = advised(standing("a", cost=cost(5)), standing("b", cost=cost(6, currency="EUR")))
    assert made.best == ("a", "b")


def test_when_all_refuse_the_nearest_is_told() -> None:
    one = standing("one", refused=(row(Fidelity.LOST),))
    two = standing("two", refused=(row(Fidelity.LOST), row(Fidelity.REJECTED)))
    made = advised(two, one)
    assert made.best == ()
    assert made.reasons == (
        "every backend refuses this spec as it is",
        "one is nearest: 1 field to change",
    )
    assert dict(made.against)["two"] == "refuses services.web.lost and 1 more"


def test_a_default_that_is_not_held_is_not_weighed() -> None:
    assert advised(standing("a"), Standing("b", rows=(row(Fidelity.LOST, default=True),))).best == (
        "a",
        "b",
    )
