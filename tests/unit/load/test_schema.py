"""The JSON Schema is the model's, and says the same of a file as loading does."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from orch.load.files import parse
from orch.spec.schema import json_schema, text
from orch.testing.strategies import documents

CASES = Path(__file__).with_name("cases")


@pytest.fixture(scope="session")
def validator() -> Any:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_no_drift(project: Path) -> None:
    kept = project / "specs/schema/orch-v1.json"
    assert kept.read_text() == text(), "run: python -m orch.spec.schema specs/schema/orch-v1.json"


@settings(max_examples=150, deadline=None)
@given(document=documents())
def test_what_the_model_takes_the_schema_takes(validator: Any, document: Any) -> None:
    validator.validate(json.loads(json.dumps(document)))


@pytest.mark.parametrize(
    "case", ["key-typos", "key-wrong-level", "names", "short-forms", "missing-keys", "wrong-types"]
)
def test_what_the_model_refuses_the_schema_refuses(validator: Any, case: str) -> None:
    document = parse((CASES / case / "orch.yaml").read_text(), "orch.yaml")
    assert list(validator.iter_errors(document))


@pytest.mark.parametrize("case", ["variables", "extensions", "overlay", "configs"])
def test_variables_extensions_and_environments_are_allowed(validator: Any, case: str) -> None:
    document = parse((CASES / case / "orch.yaml").read_text(), "orch.yaml")
    validator.validate(document)


def test_every_field_is_described() -> None:
    schema = json_schema()
    models = [schema, *schema["$defs"].values()]
    fields = [
        (name, field) for model in models for name, field in model.get("properties", {}).items()
    ]
    assert fields
    assert [name for name, field in fields if not field.get("description")] == []
