"""A folder a case: its files, and in `steps.yaml` the commands with what they must show.

A step has `run` (a line of shell) and may have `code` (0 unless said), `out`, `err` (texts that
must occur in this order; `…` inside one stands for anything), `hidden` (texts that may occur in
neither), `json` (values that stdout must hold), `shape` (the documented shape of stdout; `a+b`
for lines of shape a and a last one of shape b), `env` and `write` (files to write first).
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import TypeAdapter

from orch.cli.render.shapes import SHAPES

if TYPE_CHECKING:
    from conftest import Ended, Place

CASES = Path(__file__).parent / "cases"
KEYS = {"run", "code", "out", "err", "hidden", "json", "shape", "write", "env"}


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_case(case: Path, place: Place) -> None:
    shutil.copytree(case, place.folder, dirs_exist_ok=True)
    for step in yaml.safe_load((case / "steps.yaml").read_text()):
        assert set(step) <= KEYS, step
        for name, text in step.get("write", {}).items():
            place.write(name, text)
        check(step, place.shell(step["run"], **step.get("env", {})))


def check(step: dict[str, Any], ended: Ended) -> None:
    told = f"$ {step['run']}\n{ended.out}\n--- stderr\n{ended.err}"
    assert ended.code == step.get("code", 0), told
    in_order(step.get("out", []), ended.out, told)
    in_order(step.get("err", []), ended.err, told)
    for text in step.get("hidden", []):
        assert text not in ended.out + ended.err, told
    assert "--debug" in step["run"] or "Traceback" not in ended.err, told
    if "json" in step:
        holds(json.loads(ended.out), step["json"], told)
    if "shape" in step:
        shaped(step["shape"], ended.out)


def in_order(texts: list[str], stream: str, told: str) -> None:
    at = 0
    for text in texts:
        pattern = ".*?".join(re.escape(part) for part in text.split("…"))
        found = re.compile(pattern).search(stream, at)
        assert found, f"{text!r} is missing after {stream[:at][-200:]!r}\n{told}"
        at = found.end()


def holds(value: Any, wanted: Any, told: str) -> None:
    if isinstance(wanted, dict):
        for key, item in wanted.items():
            holds(value[key], item, told)
    else:
        assert value == wanted, told


def shaped(name: str, text: str) -> None:
    if "+" not in name:
        TypeAdapter(SHAPES[name]).validate_json(text)
        return
    *each, last = name.split("+")
    rows = text.splitlines()
    for row in rows[:-1]:
        TypeAdapter(SHAPES[each[0]]).validate_json(row)
    TypeAdapter(SHAPES[last]).validate_json(rows[-1])


def test_schemas_know_every_shape() -> None:
    for shape in SHAPES.values():
        schema = TypeAdapter(shape).json_schema()
        assert schema["additionalProperties"] is False
        assert schema["description"]
