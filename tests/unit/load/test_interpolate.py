"""The grammar of variables, form by form; and files of variables."""

import pytest

from orch.load.dotenv import read_variables
from orch.load.interpolate import escape, expand, interpolate
from orch.types import Severity

VARIABLES = {"A": "1", "E": "", "LONG_name2": "x"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A", "1"),
        ("$A$A-$LONG_name2.", "11-x."),
        ("${A}b", "1b"),
        ("${N:-d}", "d"),
        ("${N-d}", "d"),
        ("${E:-d}", "d"),
        ("${E-d}", ""),
        ("${A:-d}", "1"),
        ("${A:?m}", "1"),
        ("${E?m}", ""),
        ("${A:+r}", "r"),
        ("${E:+r}", ""),
        ("${E+r}", "r"),
        ("${N+r}", ""),
        ("${N:-${M:-a$A}}", "a1"),
        ("${N:-${M-}}${A}", "1"),
        ("${A:+${A}2}", "12"),
        ("${N:-a:b-c?d+e}", "a:b-c?d+e"),
        ("$$A", "$A"),
        ("$$$A", "$1"),
        ("$${A}", "${A}"),
        ("${N:-$$x}", "$x"),
        ("no variable", "no variable"),
    ],
)
def test_value(text: str, value: str) -> None:
    assert expand(text, VARIABLES) == (value, ())


@pytest.mark.parametrize("text", ["$", "a$ ", "$1", "$(x)", "${", "${}", "${A", "${A!}", "${1}"])
def test_malformed_stays_and_is_told(text: str) -> None:
    value, (fault,) = expand(text, VARIABLES)
    assert value == text
    assert "is not a variable" in fault.fault
    assert "$$" in fault.mend


def test_unset_warns_once_for_each_variable() -> None:
    done = interpolate({"a": "$N", "b": ["${N}", "$M"]}, {})
    assert done.tree == {"a": "", "b": ["", ""]}
    assert [(d.path, d.severity) for d in done.diagnostics] == [
        (("a",), Severity.WARNING),
        (("b", 1), Severity.WARNING),
    ]


def test_all_required_ones_are_told_at_once() -> None:
    done = interpolate({"a": "${X:?one}", "b": {"c": ["${Y?two $A}"]}}, VARIABLES)
    assert [d.fault for d in done.diagnostics] == [
        "the variable X is not set: one",
        "the variable Y is not set: two 1",
    ]
    assert [d.path for d in done.diagnostics] == [("a",), ("b", "c", 0)]


def test_keys_and_what_has_no_variable_stay() -> None:
    tree = {"$A": [1, None, True, "x"], "b": {"c": "$A"}, "d": "5$$"}
    done = interpolate(tree, VARIABLES)
    assert done.tree == {"$A": [1, None, True, "x"], "b": {"c": "1"}, "d": "5$"}
    assert done.tree["$A"] is tree["$A"]
    assert done.touched == (("b", "c"),)
    assert tree["b"] == {"c": "$A"}


def test_deep_defaults_are_refused_and_not_followed() -> None:
    text = "${A:+" * 100 + "x" + "}" * 100
    _, (fault,) = expand(text, VARIABLES)
    assert "is not a variable" in fault.fault


def test_escape_is_undone() -> None:
    tree = {"a": ["$A", "${B:-c}", "$$", 1], "b": "$"}
    assert interpolate(escape(tree), {}) == (tree, (), ())


def test_variables_file() -> None:
    text = (
        "\ufeffA=1 # note\r\nexport B='$A #'\n\nC: y\nLONE\nOUTER\n"
        'D="a\\tb \\$x $A"\nE=$OUTER$A\n'
        "OUTER=own\nF=p@$$w\nG=a$1\n"
    )
    read = read_variables(text, "x.env", {"OUTER": "o"})
    assert read.diagnostics == ()
    assert read.values == {
        "A": "1", "B": "$A #", "C": "y", "OUTER": "own", "D": "a\tb $x 1", "E": "o1",
        "F": "p@$w", "G": "a$1",
    }  # fmt: skip


def test_variables_file_names_the_line() -> None:
    read = read_variables("A=1\nnot this one\nB='x\n", "x.env", {})
    assert [str(d.place) for d in read.diagnostics] == ["x.env:2:1", "x.env:3:3"]
