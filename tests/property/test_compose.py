"""Compose files with any part replaced are read with a whole account, or refused with a place."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orch.errors import InvalidSpec
from orch.load.files import parse
from orch.types import Fidelity, render_path
from orch_compose import ComposeReader

if TYPE_CHECKING:
    from orch.backend.contract import Reading

CASES = Path(__file__).parents[1] / "unit/compose/cases"
SOURCES = [
    parse(file.read_text(), file.name)
    for file in sorted(CASES.glob("*/compose.yaml"))
    if "faults" not in file.parent.name and "!reset" not in file.read_text()
]
PARTS: list[Any] = [
    None,
    [],
    {},
    5,
    -1,
    1.5,
    True,
    "",
    "x",
    "a:b",
    "${X}",
    "0",
    "1-2:3-4",
    "5s",
    "64M",
    "all",
    ["a"],
    [None],
    [{}],
    {"a": None},
    {"a": []},
    {"x-a": 1},
    {"name": "x"},
]


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        members = list(value.items())
    else:
        members = list(enumerate(value)) if isinstance(value, list) else []
    return [path, *(found for key, item in members for found in paths(item, (*path, key)))]


@st.composite
def mangled(draw: st.DrawFn) -> dict[str, Any]:
    document: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(SOURCES)))
    for _ in range(draw(st.integers(0, 2))):
        *above, key = draw(st.sampled_from(paths(document)[1:] or [("name",)]))
        target: Any = document
        for step in above:
            target = target[step]
        target[key] = copy.deepcopy(draw(st.sampled_from(PARTS)))
    return document


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mangled") / "compose.yaml"


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=mangled())
def test_a_whole_account_or_a_refusal_with_places(document: dict[str, Any], file: Path) -> None:
    file.write_text(yaml.safe_dump(document))
    try:
        reading = ComposeReader().read([file], {"HOME": "/home/user"}, ())
    except InvalidSpec as fault:
        unplaced = [d for d in fault.diagnostics if not d.place.line or not d.mend]
    else:
        assert_accounted(document, reading)
        unplaced = []
    assert not unplaced


def assert_accounted(document: dict[str, Any], reading: Reading) -> None:
    rows = list(reading.ledger)
    written = {render_path(path) for path in paths(reading.document)}
    for row in rows:
        assert row.default or row.place.line
        assert row.outcome in (Fidelity.NATIVE, Fidelity.EMULATED) or row.reason
        if row.outcome in (Fidelity.NATIVE, Fidelity.EMULATED):
            overridden = row.reason.startswith("overridden")
            assert row.outputs
            assert overridden or set(row.outputs) <= written, row
    named = {row.path for row in rows}
    leaves = [path for path in paths(document) if path and not members(document, path)]
    missing = [path for path in leaves if tuple(map(key_of, path)) not in named]
    assert not missing


def members(document: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        document = document[step]
    return document if isinstance(document, dict | list) else None


def key_of(key: Any) -> Any:
    return key if isinstance(key, int) and not isinstance(key, bool) else str(key)
