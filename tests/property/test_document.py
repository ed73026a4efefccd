"""An application written out and read back is the same one, and its authored paths are too."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel

from orch.load.source import app_from_document, document_of
from orch.spec.application import Application
from orch.testing.strategies import applications

thorough = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def authored(value: Any) -> Any:
    """The names of set fields, at every depth."""
    if isinstance(value, BaseModel):
        return {name: authored(getattr(value, name)) for name in value.model_fields_set}
    if isinstance(value, dict):
        return {key: authored(item) for key, item in value.items()}
    return [authored(item) for item in value] if isinstance(value, tuple) else None


@thorough
@given(applications())
def test_document_round_trip(app: Application) -> None:
    document = document_of(app)
    again = app_from_document(json.loads(json.dumps(document)))
    assert again == app
    assert authored(again) == authored(app)
    assert document_of(again) == document
