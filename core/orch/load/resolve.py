"""Checks that need the whole application: what is named exists, and what is asked for agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.load import check_names, check_runtime, check_sharing
from orch.load.profiles import choose

if TYPE_CHECKING:
    from collections.abc import Collection

    from orch.spec.application import Application
    from orch.types import Diagnostic


def resolve(
    app: Application, profiles: Collection[str] = ()
) -> tuple[Application, list[Diagnostic]]:
    """The application with only the chosen profiles, and every fault of its references.

    What the author set, by path, stays as it was; nothing is filled in.
    """
    resolved, left_out, found = choose(app, profiles)
    found += check_names.check(resolved, left_out)
    found += check_sharing.check(resolved)
    found += check_runtime.check(resolved)
    return resolved, found
