"""What is wrong with the input: where, what, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from orch.types.paths import render_path

if TYPE_CHECKING:
    from orch.types.paths import FieldPath


class Severity(StrEnum):
    """Whether a diagnostic stops the work."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A point in a file; `line` and `column` count from 1, and 0 means unknown."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fault of the input: where it is, what is wrong and how to mend it.

    `unreachable` says that nothing is wrong with the input: what should run it does not answer.
    """

    fault: str
    path: FieldPath = ()
    place: Place = NOWHERE
    mend: str = ""
    severity: Severity = Severity.ERROR
    unreachable: bool = False

    def __str__(self) -> str:
        path, place = render_path(self.path), str(self.place)
        where = f"{path} ({place})" if path and place else path or place
        text = f"{where}: {self.fault}" if where else self.fault
        return f"{text}; {self.mend}" if self.mend else text
