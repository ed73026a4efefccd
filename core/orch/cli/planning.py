"""From a loaded spec to a plan, with what the target can't hold told by place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orch.errors import Refused, Unreachable
from orch.types import Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch.apply.session import Planned
    from orch.backend.contract import Backend
    from orch.cli.connect import Connection
    from orch.load.source import Loaded
    from orch.types import Diagnostic, LedgerEntry


def planned(
    connection: Connection, level: str, *, only: Sequence[str] = (), prune: bool = True
) -> Planned:
    """Plan the loaded spec.

    Raises Refused with the place of each field that can't be held; Unreachable.
    """
    from orch.compile.levels import Level

    loaded = connection.spec
    refuse_reading_losses(loaded, level)
    try:
        return connection.session.plan(
            loaded.app, level=Level(level), only=tuple(only), prune=prune
        )
    except (Refused, Unreachable) as refusal:
        if refusal.diagnostics:
            raise _placed(refusal.diagnostics, loaded) from None
        if isinstance(refusal, Unreachable):
            raise
        refuse_with_places(connection.backend, loaded, level)
        raise


def _placed(reasons: Sequence[Diagnostic], loaded: Loaded) -> Refused | Unreachable:
    """A refusal for the same reasons, with file:line:column of each field that it speaks of."""
    from orch.apply.problems import refused_for

    return refused_for(
        [
            replace(told, place=loaded.locate(told.path))
            if told.path and not told.place.line
            else told
            for told in reasons
        ]
    )


def refuse_reading_losses(loaded: Loaded, level: str) -> None:
    """Hold what a reader of another format could not carry over to the same level.

    Raises Refused with the place of each such field.
    """
    from orch.compile.levels import Level, judge, refusal
    from orch.types import Manifest

    rows = reading_rows(loaded)
    read = Manifest(loaded.app.name, "", (), Ledger(rows))
    refused = judge(loaded.app, read, Level(level)).refused
    if refused:
        raise refusal(refused)


def reading_rows(loaded: Loaded) -> tuple[LedgerEntry, ...]:
    """What a reader of another format tells of the file, with places."""
    from orch.cli.render.ledger import placed

    if loaded.ledger is None:
        return ()
    return tuple(placed(entry, loaded.locate) for entry in loaded.ledger.notable)


def refuse_with_places(backend: Backend, loaded: Loaded, level: str) -> None:
    """Compile once more and refuse with file:line:column; nothing when the ledger is no reason."""
    from orch.cli.render.ledger import placed
    from orch.compile.compile import compile_app
    from orch.compile.levels import Level, judge, refusal

    judgement = judge(loaded.app, compile_app(backend, loaded.app), Level(level))
    if judgement.refused:
        raise refusal([placed(entry, loaded.locate) for entry in judgement.refused]) from None
