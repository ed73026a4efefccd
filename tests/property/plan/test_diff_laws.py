from __future__ import annotations

import copy
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orch.backend.capabilities import Capabilities, NameRule
from orch.compile.naming import platform_name
from orch.frozen import EMPTY
from orch.plan.diff import ABSENT, NO_KEYS, diff_bodies, keyed, look_up
from orch.plan.merge import Merger
from orch.types import Change, Observed, Op

NAMES = st.sampled_from(["a", "b", "c", "d"])
LEAVES = st.one_of(st.integers(0, 3), st.sampled_from(["x", "y", "two\nlines"]), st.none())
ITEMS = st.lists(
    st.fixed_dictionaries({"target": st.integers(1, 4)}, optional={"to": LEAVES, "by": LEAVES}),
    max_size=4,
    unique_by=lambda item: item["target"],
)
BODIES = st.dictionaries(
    NAMES,
    st.recursive(
        st.one_of(LEAVES, st.lists(LEAVES, max_size=3)),
        lambda inner: st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
KEYED = st.builds(lambda body, items: {**body, "ports": items}, BODIES, ITEMS)
LIST_KEYS = {"service:ports": ("target",)}
CAPABILITIES = Capabilities(EMPTY, list_keys=LIST_KEYS)


def patched(body: Any, changes: tuple[Change, ...]) -> Any:
    """The body after the changes, by the plainest means there is."""
    made = as_tree(body)
    for change in changes:
        target = made
        for key in change.path[:-1]:
            target = target[key]
        if change.op is Op.REMOVE:
            del target[change.path[-1]]
        else:
            target[change.path[-1]] = as_tree_at(change.path, change.new)
    return made


def as_tree(body: Any) -> Any:
    """A body whose keyed list is a mapping, so that order plays no part."""
    made = copy.deepcopy(body)
    if "ports" in made:
        made["ports"] = keyed(made["ports"], ("target",))
    return made


def as_tree_at(path: Any, value: Any) -> Any:
    return keyed(value, ("target",)) if path == ("ports",) else copy.deepcopy(value)


def live_of(body: Any, applied: Any = None) -> Observed:
    return Observed("service/x", "service", "x", body, applied)


@given(KEYED, KEYED)
def test_carrying_out_a_diff_gives_the_other_body(old: Any, new: Any) -> None:
    changes = diff_bodies(old, new, LIST_KEYS, "service")
    assert patched(old, changes) == as_tree(new)


@given(KEYED)
def test_a_body_does_not_differ_from_itself_in_another_order(body: Any) -> None:
    turned = {**dict(reversed(body.items())), "ports": body["ports"][::-1]}
    assert diff_bodies(body, turned, LIST_KEYS, "service") == ()


@given(BODIES, BODIES)
def test_every_change_is_a_true_difference(old: Any, new: Any) -> None:
    for change in diff_bodies(old, new):
        before, after = look_up(old, change.path, NO_KEYS), look_up(new, change.path, NO_KEYS)
        assert (before is ABSENT) is (change.op is Op.ADD)
        assert (after is ABSENT) is (change.op is Op.REMOVE)
        assert before != after


@given(KEYED, KEYED, KEYED)
def test_what_is_merged_once_is_as_wanted(live: Any, applied: Any, wanted: Any) -> None:
    merger = Merger(CAPABILITIES)
    first = merger.merge(live_of(live), applied, wanted)
    again = merger.merge(live_of(first), wanted, wanted)
    assert diff_bodies(first, again, LIST_KEYS, "service") == ()


@given(KEYED, KEYED)
def test_a_merge_sets_what_is_wanted_and_keeps_what_others_own(live: Any, wanted: Any) -> None:
    merged = as_tree(Merger(CAPABILITIES).merge(live_of(live), {}, wanted))
    assert covers(merged, as_tree(wanted))
    assert set(as_tree(live)) <= set(merged)


@given(KEYED, KEYED)
def test_what_we_alone_had_set_is_removed(applied: Any, wanted: Any) -> None:
    merged = Merger(CAPABILITIES).merge(live_of(applied), applied, wanted)
    assert without_hollows(as_tree(merged)) == without_hollows(as_tree(wanted))


def covers(body: Any, part: Any) -> bool:
    if isinstance(part, dict) and isinstance(body, dict):
        return all(key in body and covers(body[key], value) for key, value in part.items())
    return bool(body == part)


def without_hollows(body: Any) -> Any:
    """Empty mappings left out: they hold no field that anybody could own."""
    if not isinstance(body, dict):
        return body
    found = {key: without_hollows(value) for key, value in body.items()}
    return {key: value for key, value in found.items() if value != {}}


@given(KEYED, KEYED, KEYED)
def test_a_fingerprint_sees_owned_fields_only(live: Any, wanted: Any, noise: Any) -> None:
    merger = Merger(CAPABILITIES)
    theirs = {f"z-{key}": value for key, value in noise.items()}
    assert merger.owned(live_of(live), None, wanted) == merger.owned(
        live_of({**live, **theirs}), None, wanted
    )


# -- names -----------------------------------------------------------------------------------

TRUE_NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)
RULES = st.sampled_from(
    [
        NameRule(),
        NameRule(max_length=20),
        NameRule(max_length=64, allowed="[A-Za-z0-9_.-]", lower=False),
        NameRule(max_length=40, allowed="[a-z0-9_]"),
    ]
)


@given(TRUE_NAMES, RULES, st.lists(st.sampled_from(["shop", "Prod.1"]), max_size=2))
def test_a_mapped_name_is_legal_and_stays(name: str, rule: NameRule, prefix: list[str]) -> None:
    mapped = platform_name(name, rule, *prefix)
    assert re.fullmatch(rf"({rule.allowed}){{1,{rule.max_length}}}", mapped)
    assert mapped[0].isalnum()
    assert mapped[-1].isalnum()
    assert platform_name(mapped, rule) == mapped


@given(TRUE_NAMES, TRUE_NAMES, RULES)
def test_two_names_stay_two(one: str, other: str, rule: NameRule) -> None:
    mapped = platform_name(one, rule), platform_name(other, rule)
    assert (mapped[0] == mapped[1]) is (one == other)
