"""What a reader made of what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.load.document import app_from_document
from orch.load.resolve import resolve
from orch.types import Fidelity, render_path

if TYPE_CHECKING:
    from orch.backend.contract import Reading
    from orch.spec.application import Application


def applied(reading: Reading) -> Application:
    """The application of its document, which has to be without a fault."""
    app, faults = resolve(app_from_document(dict(reading.document)), ())
    assert not faults
    return app


def lost(reading: Reading) -> list[str]:
    """The paths of what is not carried over."""
    return [render_path(row.path) for row in reading.ledger if row.outcome is Fidelity.LOST]
