"""The list of Compose keys is closed: it, the specification and the model agree."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from orch.spec.application import Service

ROOT = Path(__file__).parents[2]
SCHEMAS = Path(os.environ.get("ORCH_SCHEMAS", ROOT.parent / "shared" / "schemas"))
ROW = re.compile(r"^\| `([a-z_]+)` \| (.+) \|$", re.MULTILINE)


def listed() -> tuple[dict[str, str], dict[str, str]]:
    text = (ROOT / "specs/proposals/compose-keys.md").read_text()
    kept, left_out = text.split("## Left out")
    return dict(ROW.findall(kept)), dict(ROW.findall(left_out))


def compose_keys() -> set[str]:
    path = SCHEMAS / "compose/compose-spec.json"
    if not path.exists():
        pytest.skip(f"the Compose specification is not at {path}; ORCH_SCHEMAS names its folder")
    return set(json.loads(path.read_text())["definitions"]["service"]["properties"])


def test_every_key_of_the_specification_is_listed_once() -> None:
    kept, left_out = listed()
    assert not set(kept) & set(left_out)
    assert set(kept) | set(left_out) == compose_keys()


@pytest.mark.parametrize(("key", "path"), sorted(listed()[0].items()))
def test_a_kept_key_names_a_field_of_the_model(key: str, path: str) -> None:
    if path == "resolved while reading":
        return
    kinds: list[Any] = [Service]
    for part in path.strip("`").split("."):
        if part != "*":
            fields = [kind.model_fields[part] for kind in kinds if part in kind.model_fields]
            assert fields, f"{key}: {path} is no field"
            kinds = [model for field in fields for model in models_of(field.annotation)]


def models_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_of(part)]


def test_a_key_left_out_has_a_reason_and_no_field() -> None:
    for key, why in listed()[1].items():
        assert why.endswith("."), key
        assert key not in Service.model_fields
