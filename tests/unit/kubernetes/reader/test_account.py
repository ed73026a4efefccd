"""The account is whole and honest: no leaf without a row, no native row that holds nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import InvalidSpec
from orch.load.files import parse_documents
from orch.types import Fidelity, FieldPath
from orch_kubernetes.reader.objects import things, wrap
from orch_kubernetes.reader.reading import read_objects
from tests.unit.kubernetes.reader.test_cases import folders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orch.backend.contract import Reading

Body = Any


def bodies(case: Path) -> list[Body]:
    file = next(path for path in case.iterdir() if path.suffix in (".yaml", ".json"))
    return parse_documents(file.read_text(), str(file))


READ = [
    case
    for case in folders()
    if not (case / "faults.txt").exists() and case.name != "twice"  # of which one half is moot
]


def read(documents: list[Body]) -> Reading:
    return read_objects([wrap(body) for body in documents], "shop")


def leaves(value: Body, path: FieldPath = ()) -> Iterator[FieldPath]:
    if isinstance(value, dict) and value:
        for key, member in value.items():
            yield from leaves(member, (*path, key))
    elif isinstance(value, list) and value:
        for index, member in enumerate(value):
            yield from leaves(member, (*path, index))
    else:
        yield path


@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_every_leaf_has_a_row(case: Path) -> None:
    documents = [wrap(body) for body in bodies(case)]
    titles = {id(thing.item): thing.title for thing in things(documents)}
    rows = {row.path for row in read_objects(documents, "shop").ledger}
    for thing in things(documents):
        title = titles[id(thing.item)]
        if (title,) in rows:  # told as a whole
            continue
        for leaf in thing.item.leaves():
            assert leaf.path in rows, leaf.path


def outcome(documents: list[Body]) -> tuple[Any, ...]:
    reading = read(documents)
    return (reading.document, [(row.path, row.reason) for row in reading.ledger.notable])


def changed(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return f"{value}x"
    return {"x": "y"} if isinstance(value, dict) else "x"


def at(documents: list[Body], path: FieldPath) -> tuple[Body, Any]:
    part: Any = documents
    for key in path[:-1]:
        part = part[key]
    return part, path[-1]


@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_a_native_row_without_a_reason_holds_its_value(case: Path) -> None:
    documents = bodies(case)
    before = outcome(documents)
    silent = {
        row.path
        for row in read(documents).ledger
        if row.outcome is Fidelity.NATIVE and not row.reason
    }
    found = [wrap(body) for body in documents]
    list(things(found))
    idle = []
    for number, item in enumerate(found):
        for path, leaf in zip(leaves(documents[number], (number,)), item.leaves(), strict=True):
            if leaf.path not in silent:
                continue
            owner, key = at(documents, path)
            kept, owner[key] = owner[key], changed(owner[key])
            try:
                moved = outcome(documents) != before
            except InvalidSpec:
                moved = True
            owner[key] = kept
            if not moved:
                idle.append(leaf.path)
    assert idle == []
