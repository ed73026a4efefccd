"""Everything that orch raises on purpose, named by what the caller does next.

OrchError                 a fault with place, fault and mend; exit code 1
├── UsageFault            mend the command line or the file (2)
│   └── InvalidSpec       carries every diagnostic of the file
├── Refused               accept the loss, or change the spec or the target (4)
├── RolloutFailed         look at the service (6; 5 once it was rolled back)
├── TimedOut              wait longer, or look why it is slow (7)
├── StalePlan             plan again (8)
│   └── Locked            wait for the other deploy, or `orch unlock` (8)
├── Unreachable           mend the connection (9)
│   └── Denied            mend the credentials (9)
├── Conflict              read again, then decide; what was written meanwhile stands (8)
├── Transient             the same call may be made again after a pause (9)
└── Interrupted           run the same command again to go on (130)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch.types import Diagnostic


class OrchError(Exception):
    """A fault that a user can act on: where it is, what is wrong, how to mend it."""

    exit_code = 1

    def __init__(self, fault: str, *, place: str = "", mend: str = "") -> None:
        super().__init__(fault)
        self.fault = fault
        self.place = place
        self.mend = mend

    def __str__(self) -> str:
        text = f"{self.place}: {self.fault}" if self.place else self.fault
        return f"{text}; {self.mend}" if self.mend else text


class UsageFault(OrchError):
    """The command line, the environment or a file asks for something that does not exist."""

    exit_code = 2


class InvalidSpec(UsageFault):
    """A spec that can't be accepted; `diagnostics` holds all its faults, in file order."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(diagnostic) for diagnostic in self.diagnostics))


class _OfTarget(OrchError):
    """What the target itself stands against; `diagnostics` are the reasons, where known singly."""

    def __init__(
        self,
        fault: str,
        *,
        place: str = "",
        mend: str = "",
        diagnostics: Sequence[Diagnostic] = (),
    ) -> None:
        super().__init__(fault, place=place, mend=mend)
        self.diagnostics = tuple(diagnostics)


class Refused(_OfTarget):
    """The target can't hold what the spec asks for, and the chosen level forbids the loss."""

    exit_code = 4


class RolloutFailed(OrchError):
    """A service did not become healthy. Exit code 6, or 5 when `rolled_back`."""

    exit_code = 6

    def __init__(
        self, fault: str, *, place: str = "", mend: str = "", rolled_back: bool = False
    ) -> None:
        super().__init__(fault, place=place, mend=mend)
        self.rolled_back = rolled_back
        if rolled_back:
            self.exit_code = 5


class TimedOut(OrchError):
    """The time given ran out before the wanted state was seen."""

    exit_code = 7


class StalePlan(OrchError):
    """What the plan rests on has moved since it was made."""

    exit_code = 8


class Locked(StalePlan):
    """Another deploy of the same instance holds the lock."""


class Unreachable(_OfTarget):
    """The target does not answer, or what it would run things with."""

    exit_code = 9


class Denied(Unreachable):
    """The target answers, and refuses these credentials."""


class Conflict(OrchError):
    """The object was changed by somebody else between our read and our write."""

    exit_code = 8


class Transient(OrchError):
    """Throttling or a lost connection: an idempotent call may be repeated."""

    exit_code = 9


class Interrupted(OrchError):
    """Stopped by the user; the message says what stands and how to go on."""

    exit_code = 130


def innermost(fault: BaseException) -> str:
    """The reason of the system beneath the wrappings of libraries, on one line."""
    found: BaseException = fault
    step: BaseException | None = fault
    while step is not None:
        found = step if isinstance(step, OSError) and step.strerror else found
        step = step.__context__
    text = (getattr(found, "strerror", None) or str(found)).strip()
    return text.splitlines()[0][:200] if text else type(found).__name__
