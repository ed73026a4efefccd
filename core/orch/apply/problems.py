"""What stands against a deploy before it begins: said all at once, and refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.errors import Refused, Unreachable
from orch.types import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch.types import Diagnostic


def refuse_problems(problems: Sequence[Diagnostic]) -> None:
    """Raise for every grave one; what is only a warning stands against nothing.

    Raises Unreachable when all that is wrong is that something does not answer, else Refused.
    """
    grave = [problem for problem in problems if problem.severity is Severity.ERROR]
    if grave:
        raise refused_for(grave)


def refused_for(problems: Sequence[Diagnostic]) -> Refused | Unreachable:
    """A refusal that tells each problem on a line of its own."""
    lines = "\n  ".join(str(problem) for problem in problems)
    count = "1 thing stands" if len(problems) == 1 else f"{len(problems)} things stand"
    kind = Unreachable if all(problem.unreachable for problem in problems) else Refused
    return kind(f"{count} against this deploy:\n  {lines}", diagnostics=problems)
