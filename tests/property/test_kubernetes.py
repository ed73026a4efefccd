"""Whatever stands in a manifest, it is read or refused; nothing else happens."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orch.errors import InvalidSpec
from orch.load.document import Invalid, validated
from orch_kubernetes.reader.reading import read_live
from tests.unit.kubernetes.reader.test_account import READ, at, bodies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.types import Diagnostic, FieldPath

scalars = st.none() | st.booleans() | st.integers(-2, 70_000) | st.text("ab/:$({.- 0", max_size=5)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("abname"), inner, max_size=2)
    ),
    max_leaves=4,
)


def nodes(value: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    yield path
    if isinstance(value, dict | list):
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for key, member in members:
            yield from nodes(member, (*path, key))


@st.composite
def damaged(draw: st.DrawFn) -> list[Any]:
    documents: list[Any] = copy.deepcopy(bodies(draw(st.sampled_from(READ))))
    places = [path for path in nodes(documents) if len(path) > 1]
    owner, key = at(documents, draw(st.sampled_from(places)))
    owner[key] = draw(values)
    return documents


@settings(max_examples=150, deadline=None)
@given(documents=damaged())
def test_it_is_read_or_refused(documents: list[Any]) -> None:
    bodies_ = [body for body in documents if isinstance(body, dict)]
    with suppress(Invalid):
        for diagnostic in refusal(bodies_):
            assert diagnostic.fault
            assert diagnostic.mend


def refusal(found: list[Any]) -> tuple[Diagnostic, ...]:
    try:
        validated(read_live(found).document)
    except InvalidSpec as fault:
        return tuple(fault.diagnostics)
    return ()
