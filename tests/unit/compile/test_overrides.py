"""What is written for one platform alone is counted, so that nobody takes it for portable."""

from __future__ import annotations

from typing import Any

import pytest

from orch.compile.compile import compile_app
from orch.spec.application import Application
from orch.testing.scripted import ScriptedBackend

ONE = {"scripted": {"service": {"a": 1}}}
TWO = {"scripted": {"service": {"a": {"b": None, "c": [1, 2]}, "d": {}}}, "other": {"x": 1}}


@pytest.mark.parametrize(
    ("overrides", "note"),
    [
        ({}, None),
        ({"other": {"x": 1}}, None),
        (ONE, "1 setting is for scripted alone, and not portable (overrides)"),
        (TWO, "2 settings are for scripted alone, and not portable (overrides)"),
    ],
)
def test_they_are_counted(overrides: dict[str, Any], note: str | None) -> None:
    service = {"command": ["web"], "overrides": overrides}
    app = Application.model_validate({"name": "shop", "services": {"web": service}})
    assert compile_app(ScriptedBackend(), app).notes == ((note,) if note else ())
