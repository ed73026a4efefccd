"""Every fault has a code of the table."""

from __future__ import annotations

import pytest

from orch import errors
from orch.cli import exits
from orch.types import Outcome, Verdict

CODES = {row.code for row in exits.TABLE}


def kinds(of: type[Exception]) -> list[type[Exception]]:
    return [of, *[kind for below in of.__subclasses__() for kind in kinds(below)]]


def test_codes_are_those_of_the_contract() -> None:
    assert {*range(10), 130} == CODES
    assert len(CODES) == len(exits.TABLE)


@pytest.mark.parametrize("kind", kinds(errors.OrchError), ids=lambda k: k.__name__)
def test_every_fault_has_a_code_of_the_table(kind: type[errors.OrchError]) -> None:
    assert kind.exit_code in CODES


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_a_code_of_the_table(verdict: Verdict) -> None:
    assert Outcome(verdict, 1).exit_code in CODES
