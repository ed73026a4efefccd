"""Plan files: versioned JSON under a digest, without a single secret value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orch.errors import StalePlan, UsageFault
from orch.plan.codec import decoded, encoded
from orch.plan.steps import digest
from orch.types import Plan
from orch.version import __version__
from orch.writing import write_whole

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1


def save_plan(plan: Plan, path: Path) -> None:
    """Write a plan, readable by its owner only, see `write_whole`. Raises UsageFault."""
    content = encoded(plan)
    document = {"format": FORMAT, "orch": __version__, "digest": digest(content), "plan": content}
    write_whole(path, json.JSONEncoder(indent=1).iterencode(document), mode=0o600)


def load_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises UsageFault when it is none or of a newer format, StalePlan when it was edited.
    """
    document = _document(path)
    made_by = document.get("format")
    if not isinstance(made_by, int) or made_by > FORMAT:
        raise UsageFault(
            f"this plan has format {made_by}, and this orch reads up to {FORMAT}",
            place=str(path),
            mend=f"use orch {document.get('orch', 'of a newer version')} or later",
        )
    content = document.get("plan")
    if digest(content) != document.get("digest"):
        raise StalePlan(
            "the plan was changed after it was made", place=str(path), mend="make the plan again"
        )
    try:
        return decoded(Plan, content)
    except (KeyError, TypeError, ValueError) as fault:
        raise _no_plan(path) from fault


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise UsageFault(
            f"the plan can't be read: {fault.strerror}", place=str(path), mend="check the path"
        ) from fault
    except (ValueError, RecursionError) as fault:
        raise _no_plan(path) from fault
    if not isinstance(document, dict) or "plan" not in document:
        raise _no_plan(path)
    return document


def _no_plan(path: Path) -> UsageFault:
    return UsageFault(
        "this is no plan file", place=str(path), mend="make one with `orch plan --out FILE`"
    )
