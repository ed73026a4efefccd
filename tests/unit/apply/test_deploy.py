from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from orch.apply.session import Session
from orch.errors import (
    Conflict,
    Denied,
    Locked,
    OrchError,
    Refused,
    StalePlan,
    Transient,
    Unreachable,
    UsageFault,
)
from orch.load.source import app_from_document
from orch.plan import load_plan, save_plan
from orch.testing.platform import Killed, Script
from orch.testing.scripted import ScriptedBackend
from orch.types import Diagnostic, Event, EventKind, Instance, Operation, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orch.types import Action

INSTANCE = Instance("scripted", "default", "shop")
HEALTHY = {"condition": "service_healthy"}


def operations(plan: Any) -> dict[str, str]:
    return {action.id: str(action.operation) for action in plan.pending}


def started(shop: Any) -> list[str]:
    return [event.id for event in shop.events if event.kind == "started"]


def test_deploying_twice_changes_nothing_the_second_time(shop: Any) -> None:
    assert shop.deploy(shop.only_web()).verdict is Verdict.DONE
    plan = shop.plan(shop.only_web())
    assert not plan.pending
    assert [action.reason for action in plan.actions] == ["it is as wanted"]
    assert shop.deploy(shop.only_web()).verdict is Verdict.UNCHANGED
    assert len(shop.session().releases()) == 1


def test_what_is_depended_on_is_healthy_before_the_next_is_touched(shop: Any) -> None:
    spec = shop.document(
        jobs={"migrate": {"image": "a:1", "command": ["m"]}},
        services={
            "web": shop.service(
                depends_on={
                    "db": HEALTHY,
                    "migrate": {"condition": "service_completed_successfully"},
                }
            ),
            "db": shop.service(),
        },
    )
    assert shop.deploy(spec).verdict is Verdict.DONE
    told = [(event.id, str(event.kind)) for event in shop.events]
    web = told.index(("service/web", "started"))
    assert told.index(("service/db", "healthy")) < web
    assert told.index(("job/migrate", "healthy")) < web


def test_nothing_is_removed_before_what_is_new_is_healthy(shop: Any) -> None:
    shop.deploy(shop.document(services={"old": shop.service()}))
    shop.events.clear()
    shop.deploy(
        shop.document(
            services={"new": shop.service(configs=[{"source": "c", "target": "/c"}])},
            configs={"c": {"content": "x"}, "unused": {"content": "y"}},
        )
    )
    told = [(event.id, str(event.kind)) for event in shop.events]
    started_new = told.index(("service/new", "started"))
    assert told.index(("config/unused", "applied")) < started_new
    assert told.index(("service/new", "healthy")) < told.index(("service/old", "started"))


def test_independent_steps_run_at_the_same_time_up_to_the_bound(shop: Any) -> None:
    script = Script()
    gates = [script.hold("apply", id=f"service/s{n}") for n in range(3)]
    spec = shop.document(services={f"s{n}": shop.service() for n in range(3)})
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(shop.deploy(spec, script, concurrency=2)))
    thread.start()
    assert gates[0].reached.wait(5)
    assert gates[1].reached.wait(5)
    assert not gates[2].reached.is_set()
    gates[0].open()
    assert gates[2].reached.wait(5)
    gates[1].open()
    gates[2].open()
    thread.join(10)
    assert done[0].verdict is Verdict.DONE


def test_a_step_that_waits_for_the_platform_takes_no_place_of_others(shop: Any) -> None:
    shop.deploy(shop.document(services={f"s{n}": shop.service() for n in range(5)}))
    all_wait = threading.Barrier(5)

    class Slow(ScriptedBackend):
        def apply(self, action: Action) -> Iterator[Event]:
            yield Event(EventKind.PROGRESS, action.id, "it is being removed")
            all_wait.wait(10)
            yield from super().apply(action)

    session = Session(Slow(shop.platform), INSTANCE)
    outcome = session.apply(session.down_plan(), concurrency=2)
    assert outcome.verdict is Verdict.DONE, outcome


def test_a_failed_update_returns_everything_that_the_plan_changed(shop: Any) -> None:
    old = shop.document(
        configs={"c": {"content": "old"}},
        services={
            "api": shop.service("1", configs=[{"source": "c", "target": "/c"}]),
            "web": shop.service("1", depends_on={"api": HEALTHY}),
        },
    )
    shop.deploy(old)
    before = shop.bodies
    new = shop.document(
        configs={"c": {"content": "new"}},
        services={
            "api": shop.service("2", configs=[{"source": "c", "target": "/c"}]),
            "extra": shop.service("2"),
            "web": shop.service("broken", depends_on={"api": HEALTHY, "extra": HEALTHY}),
        },
    )
    outcome = shop.deploy(new)
    assert (outcome.verdict, outcome.exit_code) == (Verdict.ROLLED_BACK, 5)
    assert "exited with code 1" in outcome.failed["service/web"]
    assert shop.bodies == before
    assert not shop.plan(old).pending
    assert shop.session().releases()[0].outcome == "rolled-back"


def test_jobs_and_volumes_that_a_failed_deploy_made_stay_and_are_told(shop: Any) -> None:
    shop.deploy(shop.only_web())
    mount = {"type": "volume", "source": "data", "target": "/d"}
    new = shop.document(
        jobs={"migrate": {"image": "a:1"}},
        volumes={"data": {}},
        services={
            "web": shop.service(
                "broken",
                volumes=[mount],
                depends_on={"migrate": {"condition": "service_completed_successfully"}},
            )
        },
    )
    outcome = shop.deploy(new)
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert {"job/migrate", "volume/data", "service/web"} == set(shop.bodies)
    assert "job/migrate (it ran" in outcome.message
    assert "volume/data (it holds data" in outcome.message


def test_without_an_earlier_release_a_failure_stands_and_says_so(shop: Any) -> None:
    outcome = shop.deploy(shop.only_web("broken"))
    assert (outcome.verdict, outcome.exit_code) == (Verdict.FAILED, 6)
    assert "no earlier release" in outcome.message
    assert "service/web" in shop.bodies


@pytest.mark.parametrize(("action", "applied"), [("pause", False), ("continue", True)])
def test_the_spec_says_what_a_failure_leads_to(shop: Any, action: str, applied: bool) -> None:
    config = {"update_config": {"failure_action": action}}
    spec = shop.document(services={"web": shop.service(deploy=config)})
    shop.deploy(spec)
    gate = Script()
    held = gate.hold("apply", id="service/other")
    held.open()
    spec["services"] = {
        "web": shop.service("broken", deploy=config),
        "other": shop.service(depends_on={"last": HEALTHY}),
        "last": shop.service(depends_on={"late": HEALTHY}),
        "late": shop.service(),
    }
    outcome = shop.deploy(spec, gate, concurrency=1)
    assert outcome.verdict is Verdict.FAILED
    assert shop.bodies["service/web"]["image"].endswith("broken")
    if applied:
        assert "service/other" in shop.bodies


def test_a_platform_that_rolls_back_itself_is_waited_for_and_then_agreed_with(shop: Any) -> None:
    shop.platform.rolls_back = True
    shop.deploy(shop.only_web("1"))
    before = shop.bodies
    outcome = shop.deploy(shop.only_web("broken"))
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert shop.bodies == before
    assert not shop.session().drift()


def test_what_failed_is_tried_again_once_its_cause_is_mended(shop: Any) -> None:
    broken = shop.only_web("broken")
    assert shop.deploy(broken).verdict is Verdict.FAILED
    plan = shop.plan(broken)
    (action,) = plan.pending
    assert (action.operation, action.reason) == (Operation.RETRY, "its last rollout failed")
    assert action.changes == ()
    assert shop.deploy(broken).verdict is Verdict.FAILED
    shop.platform.mended = True
    assert shop.deploy(broken).verdict is Verdict.DONE
    assert shop.plan(broken).pending == ()


def test_a_saved_retry_does_nothing_once_all_is_well(shop: Any, tmp_path: Path) -> None:
    broken = shop.only_web("broken")
    shop.deploy(broken)
    save_plan(shop.plan(broken), tmp_path / "plan.json")
    shop.platform.mended = True
    session = shop.session()
    assert session.apply(load_plan(tmp_path / "plan.json")).verdict is Verdict.DONE
    assert session.apply(load_plan(tmp_path / "plan.json")).verdict is Verdict.UNCHANGED


def test_a_retry_that_fails_takes_nothing_back(shop: Any) -> None:
    shop.deploy(shop.document(services={"web": shop.service("1")}))
    config = {"update_config": {"failure_action": "continue"}}
    bad = shop.document(services={"web": shop.service("broken", deploy=config)})
    assert shop.deploy(bad).verdict is Verdict.FAILED
    bad = shop.document(services={"web": shop.service("broken")})
    shop.deploy(bad, rollback=False)
    assert shop.plan(bad).pending[0].operation is Operation.RETRY
    assert shop.deploy(bad).verdict is Verdict.FAILED
    assert shop.bodies["service/web"]["image"].endswith("broken")


def test_a_failing_rollback_is_told_as_failed(shop: Any) -> None:
    shop.deploy(shop.only_web())
    script = Script()
    script.fail("apply", Denied("not allowed"), id="service/web", on=2)
    outcome = shop.deploy(shop.only_web("broken"), script)
    assert outcome.verdict is Verdict.FAILED
    assert "returning to release 1 failed too" in outcome.message


def test_a_rollout_without_progress_ends_by_the_clock(shop: Any) -> None:
    outcome = shop.deploy(shop.only_web("stuck"))
    assert (outcome.verdict, outcome.exit_code) == (Verdict.TIMED_OUT, 7)


def test_only_transient_faults_are_tried_again(shop: Any) -> None:
    script = Script()
    script.fail("apply", Transient("429"), times=3)
    script.fail("rollout", Transient("cut"), times=2)
    script.fail("observe", Transient("503"), times=2)
    assert shop.deploy(shop.only_web(), script).verdict is Verdict.DONE
    script = Script()
    script.fail("apply", Transient("429"), times=100)
    outcome = shop.deploy(shop.only_web("2"), script)
    assert outcome.failed["service/web"] == "429"


def test_an_effect_whose_answer_was_lost_is_not_made_twice(shop: Any) -> None:
    script = Script()
    script.fail("apply", Transient("connection lost"), after=True)
    assert shop.deploy(shop.only_web(), script).verdict is Verdict.DONE
    assert not shop.plan(shop.only_web()).pending


@pytest.mark.parametrize("fault", [Unreachable("no answer"), Denied("no")])
def test_a_target_that_refuses_the_first_step_is_told_as_such(shop: Any, fault: Any) -> None:
    script = Script()
    script.fail("apply", fault, times=100)
    with pytest.raises(type(fault)):
        shop.deploy(shop.only_web(), script)


def test_a_target_that_is_lost_on_the_way_tells_what_was_sent_and_what_was_not(shop: Any) -> None:
    script = Script()
    script.fail("rollout", Unreachable("no leader", mend="start managers"), times=100)
    spec = shop.document(
        services={"db": shop.service(), "web": shop.service(depends_on={"db": HEALTHY})}
    )
    outcome = shop.deploy(spec, script)
    assert (outcome.verdict, outcome.exit_code) == (Verdict.FAILED, 9)
    assert "no leader; start managers" in outcome.message
    assert "not watched to the end: service/db, not started: service/web" in outcome.message
    assert shop.deploy(spec).verdict is Verdict.DONE


def test_an_object_moved_between_read_and_write_is_not_overwritten(shop: Any) -> None:
    shop.deploy(shop.only_web())
    script = Script()
    script.then("apply", lambda: shop.platform.tamper(INSTANCE, "service/web", user="x"))
    with pytest.raises(Conflict, match="changed meanwhile") as fault:
        shop.deploy(shop.only_web("2"), script)
    assert fault.value.exit_code == 8
    assert shop.bodies["service/web"]["user"] == "x"


def test_what_others_changed_meanwhile_stays_when_the_rest_goes_back(shop: Any) -> None:
    def spec(tag: str) -> dict[str, Any]:
        web = {**shop.service(tag), "depends_on": {"db": HEALTHY}}
        return dict(shop.document(services={"db": shop.service(tag), "web": web}))

    shop.deploy(spec("1"))
    before, script = shop.bodies["service/db"], Script()
    script.then(
        "apply",
        lambda: shop.platform.tamper(INSTANCE, "service/web", user="x"),
        id="service/web",
    )
    outcome = shop.deploy(spec("2"), script)
    assert (outcome.verdict, "others changed it" in outcome.message) == (Verdict.ROLLED_BACK, True)
    assert shop.bodies["service/db"] == before
    assert shop.bodies["service/web"]["user"] == "x"


# -- interruption, timeouts, kills -----------------------------------------------------------


def test_an_interruption_finishes_what_is_sent_and_starts_nothing_new(shop: Any) -> None:
    script, cancel = Script(), threading.Event()
    gate = script.hold("apply", id="service/db")
    spec = shop.document(
        services={"db": shop.service(), "web": shop.service(depends_on={"db": HEALTHY})}
    )
    outcomes: list[Any] = []
    work = threading.Thread(
        target=lambda: outcomes.append(shop.deploy(spec, script, cancel=cancel))
    )
    work.start()
    assert gate.reached.wait(5)
    cancel.set()
    gate.open()
    work.join(10)
    (outcome,) = outcomes
    assert (outcome.verdict, outcome.exit_code) == (Verdict.INTERRUPTED, 130)
    assert "service/web" in outcome.not_started
    assert "run the same command again" in outcome.message
    assert set(shop.bodies) == {"service/db"}
    assert shop.session().releases()[0].outcome == "interrupted"
    assert shop.deploy(spec).verdict is Verdict.DONE


def test_the_whole_time_being_over_stops_the_deploy(shop: Any) -> None:
    script = Script()
    gate = script.hold("rollout", id="service/db")
    spec = shop.document(
        services={"db": shop.service(), "web": shop.service(depends_on={"db": HEALTHY})}
    )
    outcome = shop.deploy(spec, script, timeout=0.2)
    gate.open()
    assert (outcome.verdict, outcome.exit_code) == (Verdict.TIMED_OUT, 7)
    assert outcome.not_started == ("service/db", "service/web")


def test_what_was_cut_off_before_its_health_was_seen_is_looked_at_again(shop: Any) -> None:
    script = Script()
    script.fail("rollout", Killed())  # type: ignore[arg-type]
    with pytest.raises(Killed):
        shop.deploy(shop.only_web(), script)
    assert shop.session().releases()[0].outcome == ""
    assert not shop.plan(shop.only_web()).pending
    outcome = shop.deploy(shop.only_web())
    assert outcome.verdict is Verdict.DONE
    assert ("rollout", "service/web") in shop.script.calls
    assert shop.session().releases()[0].outcome == "done"


def test_a_cut_off_release_still_names_what_to_prune(shop: Any) -> None:
    spec = shop.document(services={"a": shop.service(), "b": shop.service()})
    script = Script()
    script.fail("rollout", Killed(), id="service/b")  # type: ignore[arg-type]
    with pytest.raises(Killed):
        shop.deploy(spec, script)
    assert operations(shop.plan(shop.document(services={"a": shop.service()}))) == {
        "service/b": "delete"
    }


# -- saved plans -------------------------------------------------------------------------------


def test_a_saved_plan_is_applied_as_it_was_made(shop: Any, tmp_path: Path) -> None:
    save_plan(shop.plan(shop.only_web()), tmp_path / "plan")
    outcome = shop.session().apply(load_plan(tmp_path / "plan"))
    assert outcome.verdict is Verdict.DONE


def test_an_interrupted_plan_file_can_be_applied_again(shop: Any, tmp_path: Path) -> None:
    spec = shop.document(
        services={"a": shop.service(), "b": shop.service(depends_on={"a": HEALTHY})}
    )
    save_plan(shop.plan(spec), tmp_path / "plan")
    script = Script()
    script.fail("apply", Killed(), id="service/b")  # type: ignore[arg-type]
    with pytest.raises(Killed):
        shop.session(script).apply(load_plan(tmp_path / "plan"))
    outcome = shop.session().apply(load_plan(tmp_path / "plan"))
    assert outcome.verdict is Verdict.DONE
    assert outcome.done == ("service/b",)


def made_anew(shop: Any) -> None:
    body = shop.bodies["service/web"]
    shop.platform.remove(INSTANCE, "service/web")
    shop.platform.make_by_hand(INSTANCE, "service/web", body, owner=INSTANCE)


@pytest.mark.parametrize(
    "move",
    [
        lambda shop: shop.platform.tamper(INSTANCE, "service/web", image="x:9"),
        lambda shop: shop.platform.remove(INSTANCE, "service/web"),
        lambda shop: shop.deploy(shop.only_web("3")),
        made_anew,
    ],
    ids=["changed", "removed", "deployed", "made anew"],
)
def test_a_plan_is_stale_once_anything_moved(shop: Any, move: Any) -> None:
    shop.deploy(shop.only_web())
    plan = shop.plan(shop.only_web("2"))
    move(shop)
    with pytest.raises(StalePlan) as caught:
        shop.session().apply(plan)
    assert caught.value.exit_code == 8
    assert "make the plan again" in str(caught.value)


def test_what_we_do_not_own_may_move(shop: Any) -> None:
    shop.deploy(shop.only_web())
    plan = shop.plan(shop.only_web("2"))
    shop.platform.tamper(INSTANCE, "service/web", observed_by="somebody")
    assert shop.session().apply(plan).verdict is Verdict.DONE
    assert shop.bodies["service/web"]["observed_by"] == "somebody"


def test_a_plan_for_another_target_is_refused(shop: Any) -> None:
    plan = shop.plan(shop.only_web())
    with pytest.raises(UsageFault, match="this plan is for"):
        shop.session(instance=Instance("scripted", "other", "shop")).apply(plan)


# -- ownership ---------------------------------------------------------------------------------


def test_an_object_made_by_hand_is_adopted(shop: Any) -> None:
    body = {"image": "x:1", "extra": 1, "deploy": {"mode": "replicated"}}
    shop.platform.make_by_hand(INSTANCE, "service/web", body)
    plan = shop.plan(shop.only_web())
    assert operations(plan) == {"service/web": "adopt"}
    assert shop.session().apply(plan).verdict is Verdict.DONE
    assert shop.bodies["service/web"]["extra"] == 1
    assert not shop.plan(shop.only_web()).pending


def test_what_would_have_to_be_replaced_is_not_taken_over(shop: Any) -> None:
    shop.platform.make_by_hand(INSTANCE, "service/web", {"deploy": {"mode": "global"}})
    with pytest.raises(Refused, match=r"deploy\.mode can't be changed in place"):
        shop.plan(shop.only_web())


def test_an_object_of_another_instance_is_refused(shop: Any) -> None:
    other = Instance("scripted", "default", "other")
    shop.platform.make_by_hand(INSTANCE, "service/web", {}, owner=other)
    with pytest.raises(Refused, match="belongs to scripted/default/other"):
        shop.plan(shop.only_web())


def test_only_what_is_ours_is_pruned(shop: Any) -> None:
    shop.deploy(shop.document(services={"a": shop.service(), "b": shop.service()}))
    shop.platform.make_by_hand(INSTANCE, "service/c", {})
    plan = shop.plan(shop.document(services={"a": shop.service()}))
    assert operations(plan) == {"service/b": "delete"}
    assert not shop.plan(shop.document(services={"a": shop.service()}), prune=False).pending


def test_an_immutable_field_means_a_replacement(shop: Any) -> None:
    shop.deploy(shop.only_web())
    plan = shop.plan(shop.only_web(deploy={"mode": "global"}))
    assert operations(plan) == {"service/web": "replace"}
    assert "deploy.mode" in plan.pending[0].reason
    assert not plan.pending[0].destroys_data


def test_replacing_what_holds_data_is_marked(shop: Any) -> None:
    shop.deploy(shop.document(volumes={"data": {"driver": "a"}}))
    (action,) = shop.plan(shop.document(volumes={"data": {"driver": "b"}})).pending
    assert (action.operation, action.destroys_data) == (Operation.REPLACE, True)


def test_a_published_port_is_let_go_before_it_is_taken(shop: Any) -> None:
    port = [{"target": 80, "published": 8080}]
    shop.deploy(shop.document(services={"old": shop.service(ports=port)}))
    shop.events.clear()
    shop.deploy(shop.document(services={"new": shop.service(ports=port)}))
    assert started(shop) == ["service/old", "service/new"]


def test_an_autoscaled_size_is_left_alone(shop: Any) -> None:
    scale = {"min": 1, "max": 9, "metrics": [{"type": "cpu", "target": 70}]}
    spec = shop.only_web(deploy={"replicas": 2}, autoscale=scale)
    shop.deploy(spec)
    body = shop.bodies["service/web"]
    shop.platform.tamper(INSTANCE, "service/web", deploy={**body["deploy"], "replicas": 7})
    assert not shop.plan(spec).pending
    assert not shop.session().drift()
    shop.deploy(shop.only_web("2", deploy={"replicas": 2}, autoscale=scale))
    assert shop.bodies["service/web"]["deploy"]["replicas"] == 7


def test_what_the_target_can_not_run_now_is_refused_at_plan_time(shop: Any) -> None:
    shop.platform.problems.append(Diagnostic("no node has 64 cpus", ("services", "web")))
    with pytest.raises(Refused, match="no node has 64 cpus"):
        shop.plan(shop.only_web())


def test_a_policy_can_refuse(shop: Any) -> None:
    class NoLatest:
        name = "no-latest"

        def check(self, app: Any, manifest: Any) -> Any:
            yield Diagnostic("the tag latest is not allowed here", ("services", "web", "image"))

    session = shop.session(policies=(NoLatest(),))
    with pytest.raises(Refused, match="latest is not allowed"):
        session.plan(app_from_document(shop.only_web()))


# -- the lock ----------------------------------------------------------------------------------


def test_of_two_deploys_at_once_the_second_is_told_who_holds_the_lock(shop: Any) -> None:
    script = Script()
    gate = script.hold("apply")
    first = threading.Thread(target=shop.deploy, args=(shop.only_web(), script))
    first.start()
    assert gate.reached.wait(5)
    with pytest.raises(Locked, match="ada@here") as caught:
        shop.deploy(shop.only_web())
    assert caught.value.exit_code == 8
    gate.open()
    first.join(10)
    assert shop.deploy(shop.only_web()).verdict is Verdict.UNCHANGED


def test_a_lock_that_was_broken_starts_nothing_more(shop: Any) -> None:
    script = Script()
    renewals = script.hold("store.renew")
    gate = script.hold("apply", id="service/a")
    spec = shop.document(
        services={"a": shop.service(), "b": shop.service(depends_on={"a": HEALTHY})}
    )
    caught: list[BaseException] = []

    def deploy() -> None:
        try:
            session = shop.session(script, lock_ttl=0.15)
            session.apply(session.plan(app_from_document(spec)).plan)
        except Locked as fault:
            caught.append(fault)

    work = threading.Thread(target=deploy)
    work.start()
    assert gate.reached.wait(5)
    assert renewals.reached.wait(5)
    assert shop.session().unlock() == "ada@here"
    renewals.open()
    for thread in threading.enumerate():
        if thread.name == "lock":
            thread.join(5)
    gate.open()
    work.join(10)
    assert "the lock was lost" in str(caught[0])
    assert set(shop.bodies) == {"service/a"}


def test_a_lock_that_can_not_be_renewed_tells_why_and_what_stands(shop: Any) -> None:
    script = Script()
    script.fail("store.renew", OrchError("the disk is full"), times=100)
    gate = script.hold("apply", id="service/a")
    spec = shop.document(
        services={"a": shop.service(), "b": shop.service(depends_on={"a": HEALTHY})}
    )
    caught: list[BaseException] = []

    def deploy() -> None:
        try:
            session = shop.session(script, lock_ttl=0.15)
            session.apply(session.plan(app_from_document(spec)).plan)
        except Locked as fault:
            caught.append(fault)

    work = threading.Thread(target=deploy)
    work.start()
    assert gate.reached.wait(5)
    for thread in threading.enumerate():
        if thread.name == "lock":
            thread.join(5)
    gate.open()
    work.join(10)
    told = str(caught[0])
    assert "it could not be renewed: the disk is full" in told
    assert "not started: service/b" in told


# -- other verbs -------------------------------------------------------------------------------


def test_scale_is_recorded_and_the_next_plan_shows_what_it_takes_back(shop: Any) -> None:
    shop.deploy(shop.only_web())
    session = shop.session()
    assert session.apply(session.scale_plan({"web": 4})).verdict is Verdict.DONE
    assert shop.bodies["service/web"]["deploy"]["replicas"] == 4
    plan = shop.plan(shop.only_web())
    assert "scale web=4" in plan.notes[0]
    assert "deploy.replicas" in plan.notes[0]
    assert shop.session().releases()[0].reason == "scale web=4"


def test_scaling_refuses_what_has_no_size(shop: Any) -> None:
    shop.deploy(shop.only_web(deploy={"mode": "global"}))
    with pytest.raises(UsageFault, match="on every node"):
        shop.session().scale_plan({"web": 2})
    with pytest.raises(UsageFault, match="did you mean web"):
        shop.session().scale_plan({"wbe": 2})


def test_restart_replaces_what_runs_and_changes_nothing(shop: Any) -> None:
    shop.deploy(shop.only_web())
    before = shop.bodies
    session = shop.session()
    assert session.apply(session.restart_plan(["web"])).verdict is Verdict.DONE
    assert shop.bodies == before
    assert shop.session().releases()[0].reason == "restart web"


def test_rollback_goes_to_the_last_good_release_that_differs(shop: Any) -> None:
    shop.deploy(shop.only_web("1"))
    shop.deploy(shop.only_web("2"))
    session = shop.session()
    plan = session.rollback_plan()
    assert plan.reason == "rollback to 1"
    assert any("not undone" in note for note in plan.notes)
    assert session.apply(plan).verdict is Verdict.DONE
    assert shop.bodies["service/web"]["image"].endswith(":1")
    with pytest.raises(UsageFault, match="there is no release 9"):
        shop.session().rollback_plan(9)


def test_after_a_rollback_what_stands_is_the_last_good_release(shop: Any) -> None:
    shop.deploy(shop.only_web("1"))
    shop.deploy(shop.only_web("2"))
    assert shop.deploy(shop.only_web("broken")).verdict is Verdict.ROLLED_BACK
    session = shop.session()
    assert session.apply(session.scale_plan({"web": 3})).verdict is Verdict.DONE
    assert shop.bodies["service/web"]["image"].endswith(":2")
    session = shop.session()
    assert session.apply(session.restart_plan()).verdict is Verdict.DONE
    session = shop.session()
    assert session.apply(session.rollback_plan()).verdict is Verdict.DONE
    body = shop.bodies["service/web"]
    assert (body["image"][-1], body["deploy"]["replicas"]) == ("2", 1)


def test_drift_tells_what_somebody_else_did(shop: Any) -> None:
    shop.deploy(shop.document(services={"a": shop.service(), "b": shop.service()}))
    assert shop.session().drift() == ()
    shop.platform.tamper(INSTANCE, "service/a", image="x:9")
    shop.platform.remove(INSTANCE, "service/b")
    changed, missing = shop.session().drift()
    assert (changed.id, changed.changes[0].path, changed.changes[0].new) == (
        "service/a", ("image",), "x:9",
    )  # fmt: skip
    assert (missing.id, missing.missing) == ("service/b", True)
    plan = shop.plan(shop.document(services={"a": shop.service(), "b": shop.service()}))
    assert plan.pending[0].changes[0].drift


def test_down_keeps_volumes_unless_asked_and_leaves_nothing_else(shop: Any) -> None:
    mount = {"type": "volume", "source": "data", "target": "/d"}
    shop.deploy(
        shop.document(services={"web": shop.service(volumes=[mount])}, volumes={"data": {}})
    )
    session = shop.session()
    plan = session.down_plan()
    assert {a.id: a.reason for a in plan.actions}["volume/data"] == "kept: holds data"
    assert session.apply(plan).verdict is Verdict.DONE
    assert set(shop.bodies) == {"volume/data"}
    session = shop.session()
    plan = session.down_plan(volumes=True)
    assert plan.pending[0].destroys_data
    session.apply(plan)
    with shop.platform.state() as state:
        assert not any(state.tree[part].get(str(INSTANCE)) for part in ("objects", "records"))
        assert not state.tree["locks"]


def test_only_plans_the_named_service_and_what_it_lacks(shop: Any) -> None:
    shop.deploy(shop.document(services={"db": shop.service(), "old": shop.service()}))
    spec = shop.document(
        services={
            "db": shop.service("2"),
            "cache": shop.service(),
            "web": shop.service(depends_on={"db": HEALTHY, "cache": HEALTHY}),
            "other": shop.service(),
        }
    )
    plan = shop.plan(spec, only=("web",))
    assert operations(plan) == {"service/cache": "create", "service/web": "create"}
    shop.session().apply(plan)
    latest = shop.session().releases()[0]
    assert set(latest.document["services"]) == {"db", "old", "cache", "web"}
    assert latest.document["services"]["db"]["image"].endswith(":1")
    assert {item.id for item in latest.inventory} == {
        "service/db", "service/old", "service/cache", "service/web",
    }  # fmt: skip
    with pytest.raises(UsageFault, match="did you mean web"):
        shop.plan(spec, only=("webb",))


def test_two_instances_never_meet(shop: Any) -> None:
    shop.deploy(shop.only_web())
    other = Instance("scripted", "default", "shop-staging")
    session = shop.session(instance=other)
    session.apply(session.plan(app_from_document(shop.only_web("2"))).plan)
    session = shop.session(instance=other)
    session.apply(session.down_plan())
    assert shop.bodies["service/web"]["image"].endswith(":1")
    assert len(shop.session().releases()) == 1


def test_another_app_is_waited_for(shop: Any) -> None:
    other = Instance("scripted", "default", "base")
    spec = shop.only_web(depends_on={"base/db": HEALTHY})
    outcomes: list[Any] = []
    script = Script()
    asked = script.hold("status")
    work = threading.Thread(target=lambda: outcomes.append(shop.deploy(spec, script)))
    work.start()
    assert asked.reached.wait(5)
    assert not shop.bodies
    session = shop.session(instance=other)
    session.apply(
        session.plan(app_from_document(shop.document(services={"db": shop.service()}))).plan
    )
    asked.open()
    work.join(10)
    assert outcomes[0].verdict is Verdict.DONE


def test_conflicts_carry_their_exit_code() -> None:
    assert Conflict("x").exit_code == 8
