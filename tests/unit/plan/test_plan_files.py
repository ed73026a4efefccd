from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import StalePlan, UsageFault
from orch.plan import diff_bodies, load_plan, save_plan
from orch.plan.graph import in_order
from orch.plan.text import is_text, text_diff
from orch.types import (
    Action,
    Change,
    Condition,
    Dependency,
    Diagnostic,
    Instance,
    Observed,
    Op,
    Operation,
    Plan,
)

if TYPE_CHECKING:
    from pathlib import Path

HERE = Instance("native", "default", "shop")
PLAN = Plan(
    HERE,
    "native",
    (
        Action(
            Operation.UPDATE,
            "service/web",
            "service",
            "web",
            "1 field changes",
            body={"image": "a:2", "none": None},
            before=Observed("service/web", "service", "web", {"image": "a:1"}, owner=HERE),
            changes=(Change(Op.CHANGE, ("ports", "80/tcp", 0), "a:1", "a:2", drift=True),),
            after=(Dependency("service/db", Condition.HEALTHY, required=False),),
            rollout=True,
            instance=HERE,
            sends=("pw",),
            secrets={"pw": "c4nary"},
        ),
    ),
    {"name": "shop"},
    2,
    "f",
    {"pw": "1"},
    warnings=(Diagnostic("w", ("a", 0)),),
    base_revision=1,
)


def test_a_plan_is_read_back_as_it_was_but_for_secret_values(tmp_path: Path) -> None:
    save_plan(PLAN, tmp_path / "p")
    assert load_plan(tmp_path / "p") == PLAN
    assert "c4nary" not in (tmp_path / "p").read_text()
    assert (tmp_path / "p").stat().st_mode & 0o777 == 0o600


def edited(path: Path, **changes: Any) -> Path:
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, **changes}))
    return path


def test_an_edited_plan_is_stale(tmp_path: Path) -> None:
    path = tmp_path / "p"
    save_plan(PLAN, path)
    path.write_text(path.read_text().replace("a:2", "a:3"))
    with pytest.raises(StalePlan, match="was changed after it was made"):
        load_plan(path)


def test_a_newer_plan_names_the_version_it_needs(tmp_path: Path) -> None:
    save_plan(PLAN, tmp_path / "p")
    with pytest.raises(UsageFault, match=r"use orch 7\.0 or later"):
        load_plan(edited(tmp_path / "p", format=2, orch="7.0"))


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", "\x00\xff", "[" * 100_000])
def test_what_is_no_plan_is_told_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "p").write_text(text, encoding="utf-8")
    with pytest.raises(UsageFault, match="this is no plan file"):
        load_plan(tmp_path / "p")


def test_a_missing_plan_and_a_missing_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="can't be read"):
        load_plan(tmp_path / "none")
    with pytest.raises(UsageFault, match="can't be written"):
        save_plan(PLAN, tmp_path / "none" / "p")


# -- diff --------------------------------------------------------------------------------------

KEYS = {"service:ports": ("target", "protocol")}


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({"a": 1}, {"a": 2}, [("change", ("a",))]),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, [("add", ("a", "c")), ("remove", ("a", "b"))]),
        ({"a": [1, 2]}, {"a": [2, 1]}, [("change", ("a",))]),
        (
            {"ports": [{"target": 80, "protocol": "tcp"}, {"target": 81}]},
            {"ports": [{"target": 81}, {"target": 80, "protocol": "tcp", "name": "x"}]},
            [("add", ("ports", "80/tcp", "name"))],
        ),
        ({"ports": [{"target": 1}]}, {"ports": [{"target": 1}] * 2}, [("change", ("ports",))]),
        ({"a": None}, {}, [("remove", ("a",))]),
    ],
)
def test_differences_are_told_field_by_field(old: Any, new: Any, changes: Any) -> None:
    found = diff_bodies(old, new, KEYS, "service")
    assert [(str(change.op), change.path) for change in found] == changes


def test_texts_of_several_lines_differ_by_lines() -> None:
    change = Change(Op.CHANGE, ("content",), "a\nb\nc\n", "a\nx\nc\n")
    assert is_text(change)
    assert text_diff(change) == ("@@ -1,3 +1,3 @@", " a", "-b", "+x", " c")
    assert not is_text(Change(Op.CHANGE, ("a",), "x", "y"))


# -- order -------------------------------------------------------------------------------------


def step(id_: str, *after: str, operation: Operation = Operation.CREATE) -> Action:
    waits = tuple(Dependency(other) for other in after)
    rollout = id_.startswith("service/")
    return Action(operation, id_, "k", id_, "", after=waits, rollout=rollout)


def test_what_prepares_comes_first_and_deletions_last() -> None:
    gone = step("config/old", operation=Operation.DELETE)
    actions = [
        gone,
        step("route/r", "service/web"),
        step("service/web", "service/db"),
        step("service/db"),
        step("config/c"),
    ]
    assert [action.id for action in in_order(actions)] == [
        "config/c", "service/db", "service/web", "route/r", "config/old",
    ]  # fmt: skip


def test_a_long_chain_is_ordered_without_recursion() -> None:
    actions = [step(f"service/{n}", f"service/{n + 1}") for n in range(5000)]
    assert in_order(actions)[0].id == "service/4999"
