from __future__ import annotations

import pytest

from orch.spec.constraint import Constraint, ConstraintFault, parse_constraint
from orch_native.messages import DriverFacts, NodeFacts
from orch_native.server.scheduler import constraint_fault

NODE = NodeFacts(
    "one",
    cpus=1000,
    memory=1,
    disk=1,
    attributes={"os": "linux", "arch": "amd64", "rack": "r1"},
    labels={"tier": "web"},
    drivers={"docker": DriverFacts("docker", available=True, labels={"tier": "web"})},
    addresses=("192.0.2.7",),
)


@pytest.mark.parametrize(
    ("text", "constraint"),
    [
        ("node.labels.tier == web", Constraint("node.labels.tier", "==", ("web",))),
        ("node.labels.tier!=web", Constraint("node.labels.tier", "!=", ("web",))),
        ("node.arch  not  in ( a , b )", Constraint("node.arch", "not in", ("a", "b"))),
        ("node.ip =~ ^192[.]", Constraint("node.ip", "=~", ("^192[.]",))),
        ("node.hostname == in the hall", Constraint("node.hostname", "==", ("in the hall",))),
    ],
)
def test_a_rule_is_read_and_written_back(text: str, constraint: Constraint) -> None:
    assert parse_constraint(text) == constraint
    assert parse_constraint(str(constraint)) == constraint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("web", "is not a constraint; write `node.labels.tier == web`"),
        ("node.arch in amd64", "'amd64' is not a set of values; write (a, b)"),
        ("node.arch in ()", "is not a set of values"),
        ("node.arch =~ [", "is not a regular expression"),
        ("node.hostnme == a", "did you mean node.hostname?"),
        ("node.label.tier == a", "did you mean node.labels.tier?"),
        ("node.labels. == a", "nodes have no 'node.labels.'"),
        ("node.attr.rack == r1", "did you mean node.attributes.rack?"),
    ],
)
def test_a_fault_has_its_mend(text: str, told: str) -> None:
    with pytest.raises(ConstraintFault) as caught:
        parse_constraint(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "node.labels.tier == web",
        "engine.labels.tier == web",
        "node.labels.none != web",
        "node.attributes.rack in (r0, r1)",
        "node.platform.arch not in (arm64)",
        "node.os =~ ^lin",
        "node.ip == 192.0.2.7",
        "node.id == one",
        "node.role == manager",
    ],
)
def test_what_the_loader_takes_the_scheduler_judges_alike(text: str) -> None:
    assert constraint_fault(text, NODE) == ""
    negated = text.replace("==", "!!").replace("!=", "==").replace("!!", "!=")
    if negated != text:
        assert "wanted" in constraint_fault(negated, NODE)
