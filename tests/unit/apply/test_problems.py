from __future__ import annotations

import pytest

from orch.apply.problems import refuse_problems
from orch.errors import Refused, Unreachable
from orch.types import Diagnostic, Severity


def test_every_grave_problem_is_told_at_once() -> None:
    port = Diagnostic("port 80 is taken", ("services", "web", "ports", 0), mend="free it")
    driver = Diagnostic("no docker here", ("services", "db", "image"))
    mild = Diagnostic("it is slow", severity=Severity.WARNING)
    with pytest.raises(Refused, match="2 things stand") as caught:
        refuse_problems((port, mild, driver))
    assert caught.value.diagnostics == (port, driver)
    assert caught.value.exit_code == 4
    assert "services.web.ports[0]: port 80 is taken; free it" in str(caught.value)


def test_warnings_stand_against_nothing() -> None:
    refuse_problems((Diagnostic("it is slow", severity=Severity.WARNING),))


def test_an_engine_that_is_away_is_no_fault_of_the_spec() -> None:
    away = Diagnostic("no engine answers", ("services", "web", "image"), unreachable=True)
    with pytest.raises(Unreachable, match="no engine answers") as caught:
        refuse_problems((away,))
    assert caught.value.exit_code == 9
    assert caught.value.diagnostics == (away,)
    with pytest.raises(Refused, match="no engine answers"):
        refuse_problems((away, Diagnostic("port 80 is taken")))
