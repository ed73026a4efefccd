"""What the API takes: the platform's own schemas, with keys that they do not name forbidden."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.kubernetes_api import gateway

ROOT = Path(__file__).parents[2]
SCHEMAS = Path(os.environ.get("ORCH_SCHEMAS", ROOT.parent / "shared" / "schemas"))
ROUTE = ("route.openshift.io/v1", "Route")
_KINDS = "x-kubernetes-group-version-kind"


def closed(schema: Any) -> Any:
    """The same schema, with keys that it does not name forbidden."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items() if value is not None}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    if schema.get("format") == "int-or-string":
        return {"type": ["integer", "string"]}
    return made


@cache
def definitions() -> dict[str, Any]:
    """All definitions, closed."""
    known = json.loads((SCHEMAS / "kubernetes" / "definitions.min.json").read_text())
    return {name: closed(schema) for name, schema in known["definitions"].items()}


@cache
def route() -> jsonschema.Draft4Validator:
    """OpenShift's Route, closed."""
    crd = yaml.safe_load((SCHEMAS / "openshift" / "routes.crd.yaml").read_text())["spec"]
    version = next(one for one in crd["versions"] if one["name"] == "v1")
    schema = closed(version["schema"]["openAPIV3Schema"])
    # What the API server itself forbids no schema of an addition names.
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema.Draft4Validator(schema)


@cache
def _names() -> dict[tuple[str, str], str]:
    return {
        (f"{one['group']}/{one['version']}".lstrip("/"), one["kind"]): name
        for name, schema in definitions().items()
        for one in schema.get(_KINDS, ())
    }


@cache
def _validator(name: str) -> jsonschema.Draft4Validator:
    whole = {"$ref": f"#/definitions/{name}", "definitions": definitions()}
    return jsonschema.Draft4Validator(whole)


def faults(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Fields and what is wrong with each; nothing is known of kinds that others define."""
    said = (str(body.get("apiVersion")), str(body.get("kind")))
    if said[0] == gateway.API and said[1] in gateway.KINDS:
        return gateway.faults(json.loads(json.dumps(body)))
    validator = route() if said == ROUTE else None
    if said in _names():
        validator = _validator(_names()[said])
    if validator is None:
        return []
    return [
        (".".join(map(str, fault.absolute_path)), fault.message)
        for fault in validator.iter_errors(json.loads(json.dumps(body)))
    ]
