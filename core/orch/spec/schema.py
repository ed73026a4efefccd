"""The JSON Schema of the spec, for editors: made from the model, so that it can't fall behind.

`python -m orch.spec.schema FILE` writes it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from orch.frozen import FrozenDict
from orch.spec.application import Application
from orch.spec.base import _bodies, _scalar

if TYPE_CHECKING:
    from pydantic_core import core_schema

    Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE = {"$ref": "#/$defs/Variable"}
_VARIABLE_DEFINITION = {
    "type": "string",
    "pattern": r"\$",
    "description": "Text with a variable such as ${NAME} or ${NAME:-default}.",
}
_ENVIRONMENTS = {
    "type": "object",
    "description": "By name: what differs there. Laid over the rest of the file when it is chosen.",
    "additionalProperties": {"type": ["object", "null"]},
    "examples": [{"prod": {"services": {"web": {"deploy": {"replicas": 6}}}}}],
}
_EXTENSIONS = {"^x-": {"description": "Yours: orch carries it along and reads none of it."}}
_EXAMPLE = {
    "apiVersion": "orch/v1",
    "name": "hello",
    "services": {
        "web": {"image": "nginx:1.29", "ports": [{"target": 80, "published": 8080}]},
    },
}


class _Generator(GenerateJsonSchema):
    """Knows what our validators accept beyond the type below them."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> Schema:
        inner = super().function_before_schema(schema)
        function: Any = schema["function"]["function"]
        if function is _scalar:
            return {**inner, "type": ["string", "number", "boolean"]}
        if function is _bodies:
            return _with_empty_bodies(inner)
        return inner

    def encode_default(self, dft: Any) -> Any:
        return dict(dft) if isinstance(dft, FrozenDict) else super().encode_default(dft)


def _with_empty_bodies(schema: Schema) -> Schema:
    """A mapping whose values may be left empty; pydantic keeps them by pattern or all alike."""
    if "patternProperties" not in schema:
        return {**schema, "additionalProperties": _or_null(schema["additionalProperties"])}
    bodies = {pattern: _or_null(body) for pattern, body in schema["patternProperties"].items()}
    return {**schema, "patternProperties": bodies}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def json_schema() -> dict[str, Any]:
    """The schema of a spec file. Where a number or a choice is wanted, a variable may stand."""
    schema = Application.model_json_schema(schema_generator=_Generator)
    definitions = {name: _opened(part) for name, part in schema.pop("$defs").items()}
    whole = _opened(schema)
    whole["properties"]["environments"] = _ENVIRONMENTS
    return {
        "$schema": DIALECT,
        "title": "orch/v1 application",
        **{key: item for key, item in whole.items() if key != "title"},
        "examples": [_EXAMPLE],
        "$defs": {**definitions, "Variable": _VARIABLE_DEFINITION},
    }


def _opened(schema: Any) -> Any:
    """The schema with variables and `x-` keys allowed, and without titles that say nothing."""
    if isinstance(schema, list):
        return [_opened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if _is_closed_scalar(schema):
        return _or_variable(schema)
    opened: Schema = {
        key: _part(key, item) for key, item in schema.items() if not _is_title(key, item)
    }
    if opened.get("additionalProperties") is False:
        opened["patternProperties"] = _EXTENSIONS
    elif "patternProperties" in opened:
        opened["additionalProperties"] = False
    return opened


def _part(key: str, item: Any) -> Any:
    if key in ("properties", "patternProperties"):
        return {name: _opened(part) for name, part in item.items()}
    return item if key in ("default", "examples", "propertyNames", "required") else _opened(item)


def _is_title(key: str, item: Any) -> bool:
    return key == "title" and isinstance(item, str)


def _is_closed_scalar(schema: Schema) -> bool:
    typed = schema.get("type") in ("integer", "number", "boolean")
    return typed or any(key in schema for key in ("enum", "const", "pattern"))


def _or_variable(schema: Schema) -> Schema:
    about: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    rest = {key: item for key, item in schema.items() if key not in (*about, "title")}
    return {**about, "anyOf": [rest, _VARIABLE]}


def text() -> str:
    """The schema as it is kept in the repository."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
