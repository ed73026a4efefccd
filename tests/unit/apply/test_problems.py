from __future__ import annotations

import pytest

from orch.apply.problems import refuse_problems
from orch.errors import Refused
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
