"""The OpenAPI document, made from the table of operations and the shapes they name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from orch.version import __version__
from orch_native.api import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    Handler = Callable[[Request], Awaitable[Response]]

_REFS = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that the API does."""

    method: str
    path: str
    summary: str
    handler: Handler
    takes: Any = None
    gives: Any = None
    stream: bool = False


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The whole document."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = operation.path.replace(":path}", "}")
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, schemas)
    schemas["Problem"] = _schema(Problem, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "orch native server", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    kind = "application/x-ndjson" if operation.stream else "application/json"
    gives = {"description": "Done."}
    if operation.gives is not None:
        gives["content"] = {kind: {"schema": _schema(operation.gives, schemas)}}  # type: ignore[assignment]
    made: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": [_parameter(name) for name in re.findall(r"\{(\w+)", operation.path)],
        "responses": {"200": gives, "default": _problem()},
    }
    if operation.takes is not None:
        schema = _schema(operation.takes, schemas)
        content = {"application/json": {"schema": schema}}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _schema(shape: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    schema = TypeAdapter(shape).json_schema(ref_template=_REFS)
    schemas.update(schema.pop("$defs", {}))
    return schema


def _parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _problem() -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": "A fault.", "content": content}
