"""How a plan is shown: nothing is left out that changes, nothing secret-like is made up."""

from __future__ import annotations

import json
from dataclasses import replace

from orch.cli.render import machine
from orch.cli.render.markdown import to_markdown
from orch.cli.render.outcome import outcome_report
from orch.cli.render.page import to_html
from orch.cli.render.plain import to_text
from orch.cli.render.plan import changes_report, plan_report
from orch.types import Action, Change, Instance, Op, Operation, Outcome, Plan, Verdict

INSTANCE = Instance("native", "default", "shop")


def plan(*actions: Action, revision: int = 4, base: int = 3) -> Plan:
    return Plan(INSTANCE, "native", actions, {}, revision, "f", base_revision=base)


def update(*changes: Change, id_: str = "service/web") -> Action:
    name = id_.rpartition("/")[2]
    return Action(Operation.UPDATE, id_, "service", name, "changed", changes=changes)


def text(*actions: Action) -> str:
    return to_text(plan_report(plan(*actions)))


def test_changed_field_is_old_and_new() -> None:
    told = text(update(Change(Op.CHANGE, ("image",), "acme/web:1", "acme/web:2")))
    assert "~ update service/web  (changed)" in told
    assert "~ image: acme/web:1 → acme/web:2" in told


def test_added_and_removed_fields() -> None:
    told = text(
        update(
            Change(Op.ADD, ("environment", "A"), None, "b c"),
            Change(Op.REMOVE, ("ports", 0, "published"), 80),
        )
    )
    assert '+ environment.A: "b c"' in told
    assert "- ports[0].published: 80" in told


def test_text_of_several_lines_is_a_difference_of_lines() -> None:
    old = "".join(f"line {n}\n" for n in range(20))
    told = text(update(Change(Op.CHANGE, ("content",), old, old.replace("line 7", "line seven"))))
    assert "-line 7\n" in told
    assert "+line seven\n" in told
    assert "line 15" not in told


def test_only_the_last_newline_differs() -> None:
    told = text(update(Change(Op.CHANGE, ("content",), "a\nb\n", "a\nb")))
    assert "the newline at the end differs" in told


def test_drift_and_destroyed_data_are_marked() -> None:
    gone = Action(
        Operation.DELETE, "volume/data", "volume", "data", "not in the spec", destroys_data=True
    )
    told = text(update(Change(Op.CHANGE, ("replicas",), 5, 3, drift=True)), gone)
    assert "replicas: 5 → 3  (drift" in told
    assert "- delete volume/data  (not in the spec)  DESTROYS DATA" in told


def test_summary_counts_every_kind() -> None:
    made = Action(Operation.CREATE, "service/a", "service", "a", "new", body={"image": "a:1"})
    same = Action(Operation.NOOP, "service/b", "service", "b", "as wanted")
    told = text(made, same, update())
    assert "Plan: 1 to create, 1 to update, 1 unchanged." in told
    assert "revision 3 → 4" in told
    assert "service/b" not in told


def test_nothing_to_do() -> None:
    told = text(Action(Operation.NOOP, "service/b", "service", "b", "as wanted"))
    assert "Nothing to do: 1 object is as the spec says." in told


def test_unchanged_objects_on_demand() -> None:
    same = Action(Operation.NOOP, "service/b", "service", "b", "as wanted")
    assert "no-op service/b  (as wanted)" in to_text(plan_report(plan(same), unchanged=True))


def test_values_can_not_steer_the_terminal() -> None:
    told = text(update(Change(Op.CHANGE, ("command",), "a", "\x1b[2Jgone")))
    assert "\x1b" not in told


def test_other_forms_hold_the_same_and_are_escaped() -> None:
    report = changes_report(plan(update(Change(Op.CHANGE, ("image",), "<a>", "b|`c`"))))
    page, mark = to_html(report), to_markdown(report)
    assert "&lt;a&gt;" in page
    assert "<a>" not in page
    assert "```diff" in mark
    assert '"<a>" → "b|`c`"' in mark


def test_machine_form_keeps_null_apart_from_missing() -> None:
    shape = machine.plan(plan(update(Change(Op.ADD, ("a",), None, None))))
    change = json.loads(json.dumps(shape))["actions"][0]["changes"][0]
    assert change == {"op": "add", "path": "a", "new": None, "drift": False}


def test_a_new_object_shows_what_was_written_and_counts_the_rest() -> None:
    pace = {"parallelism": 1, "delay": "0s", "monitor": "5s"}
    body = {
        "image": "a:1",
        "init": False,
        "tty": False,
        "ports": [{"target": 80, "protocol": "tcp"}],
        "deploy": {"mode": "replicated", "replicas": 2, "update_config": pace},
    }
    made = Action(Operation.CREATE, "service/a", "service", "a", "it is not there", body=body)
    waits = {"db": {"condition": "service_healthy"}}
    said = {"image": "a:1", "ports": [{"target": 80}], "deploy": {"replicas": 2}}
    said["depends_on"] = waits  # an edge of the plan, in no body
    document = {"services": {"a": said}}
    told = to_text(plan_report(replace(plan(made), document=document)))
    assert "+ image: a:1" in told
    assert '+ ports: [{"target": 80}]' in told
    assert '+ deploy: {"replicas": 2}' in told
    assert "init" not in told
    assert "… 2 fields more by default" in told
    assert "+ init: false" in text(made)


def test_a_new_object_in_a_platforms_own_words_is_shown_whole() -> None:
    body = {"kind": "Deployment", "spec": {"replicas": 2}}
    made = Action(Operation.CREATE, "service/a", "service", "a", "it is not there", body=body)
    document = {"services": {"a": {"image": "a:1"}}}
    told = to_text(plan_report(replace(plan(made), document=document)))
    assert "+ kind: Deployment" in told
    assert "by default" not in told


def test_a_failure_is_told_once_with_what_stands_beside_it() -> None:
    why = "a-0 crashed 3 times: exit code 3"
    message = f"service/a: {why}; nothing was completed, not started: service/b"
    end = Outcome(Verdict.FAILED, 1, failed={"service/a": why}, message=message)
    told = to_text(outcome_report(end, INSTANCE, {}, None))
    assert told.count(why) == 1
    assert "failed, revision 1; nothing was completed, not started: service/b" in told
