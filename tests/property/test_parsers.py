"""The fast reading and the one with positions agree on what a file says."""

import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orch.load.files import parse_documents
from orch.load.positions import Positions, construct_documents

settings.register_profile("parsers", deadline=None, max_examples=300)
thorough = settings.get_profile("parsers")

PLAIN = st.one_of(
    st.from_regex(r"[-+]?[0-9_]{1,4}(\.[0-9_]{0,3})?([eE][-+]?[0-9]{1,2})?", fullmatch=True),
    st.sampled_from(("_", "__", "_1", "1_", "0x_1", "0x1_", "1e1_0", "_.0", "0xa_b")),
    st.from_regex(r"[-+]?0[xXobBO]?[0-9a-fA-F_]{0,4}", fullmatch=True),
    st.sampled_from(
        ("yes", "no", "on", "true", "True", "tRUE", "null", "~", "", ".inf", "-.INF", ".nan",
         "1:30", "2001-01-01", "12:30:45", "a_1", "1_a", "=", "0o17", "0o8", "+", "-1", ".5", "1.")
    ),
)  # fmt: skip
KEYS = st.from_regex(r"[a-z_][a-z0-9_.-]{0,6}", fullmatch=True)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=12).filter(str.isprintable)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def dumped(tree: Any, flow: bool | None) -> str:
    whole = {"top": tree}
    return yaml.safe_dump(whole, default_flow_style=flow, allow_unicode=True, sort_keys=False)


def same(one: Any, other: Any) -> bool:
    """Equal in value and type; not-a-number counts as itself."""
    return repr(one) == repr(other)


@thorough
@given(st.lists(PLAIN, min_size=1, max_size=5))
def test_plain_scalars(scalars: list[str]) -> None:
    text = "".join(f"k{number}: {scalar}\n" for number, scalar in enumerate(scalars))
    assert same(parse_documents(text, "f.yaml"), construct_documents(text, "f.yaml"))


@thorough
@given(TREES, st.sampled_from((None, True, False)))
def test_trees(tree: Any, flow: bool | None) -> None:
    text = dumped(tree, flow)
    assert same(parse_documents(text, "f.yaml"), construct_documents(text, "f.yaml"))


@thorough
@given(TREES)
def test_json_is_read_alike(tree: Any) -> None:
    text = json.dumps({"top": tree}, ensure_ascii=False)
    assert same(parse_documents(text, "f.json"), [{"top": tree}])
    assert same(parse_documents(text, "f.yaml"), construct_documents(text, "f.yaml"))


@thorough
@given(TREES, st.sampled_from((None, False)))
def test_every_path_has_its_place(tree: Any, flow: bool | None) -> None:
    text = dumped(tree, flow)
    lines, positions = text.split("\n"), Positions(text, "f.yaml")
    for path in paths({"top": tree}):
        place = positions.key(path)
        assert positions.knows(path)
        if isinstance(path[-1], str):
            written = lines[place.line - 1][place.column - 1 :]
            assert written.strip("? '\"").startswith(path[-1])


def paths(tree: Any, path: tuple[Any, ...] = ()) -> Any:
    if isinstance(tree, dict | list):
        for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield (*path, key)
            yield from paths(item, (*path, key))
