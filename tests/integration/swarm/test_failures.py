"""What goes wrong on a swarm is told with its reason and its mend."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import Conflict, Refused, Unreachable
from orch.types import EventKind, Fidelity, Operation, Verdict
from orch_swarm.backend import SwarmBackend
from orch_swarm.names import real_name
from tests.integration.swarm.conftest import OPTIONS, free_port
from tests.integration.swarm.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orch.testing.conformance import Trial
    from orch.types import Replica
    from tests.integration.conftest import Engine

pytestmark = [pytest.mark.docker, pytest.mark.root]
SOON: dict[str, Any] = {"update_config": {"progress_deadline": "5s", "monitor": "300ms"}}


def test_an_engine_in_no_swarm_is_told_with_the_command(dockerd: Engine) -> None:
    client = dockerd.client()
    if client.info()["Swarm"]["LocalNodeState"] != "inactive":
        client.swarm.leave(force=True)
    client.close()
    backend = SwarmBackend({"host": dockerd.host})
    with pytest.raises(Unreachable, match="docker swarm init") as fault:
        backend.instances()
    backend.close()
    assert fault.value.exit_code == 9


def test_a_stale_version_is_a_conflict(trial: Trial, backend: SwarmBackend) -> None:
    trial.deployed(trial.web("one"))
    row = backend.client.one("services", real_name(trial.instance, "web"))
    assert row is not None
    with pytest.raises(Conflict):
        backend.client.post(
            f"/services/{row['ID']}/update", row["Spec"], version=row["Version"]["Index"] - 1
        )


def test_what_was_changed_between_plan_and_step_is_not_overwritten(
    trial: Trial, backend: SwarmBackend
) -> None:
    trial.deployed(trial.web("one"))
    (action,) = trial.plan(trial.web("two")).plan.pending
    row = backend.client.one("services", real_name(trial.instance, "web"))
    assert row is not None
    row["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"].append("TEXT=other")
    version = row["Version"]["Index"]
    backend.client.post(f"/services/{row['ID']}/update", row["Spec"], version=version)
    with pytest.raises(Conflict):
        list(backend.apply(replace(action, instance=trial.instance)))


def test_the_same_step_twice_leaves_the_same_state(trial: Trial, backend: SwarmBackend) -> None:
    trial.deployed(trial.web("one"))
    (action,) = trial.plan(trial.web("two")).plan.pending
    for _ in range(2):
        list(backend.apply(action))
        row = backend.client.one("services", real_name(trial.instance, "web"))
        assert row is not None
        seen = row["Version"]["Index"]
    list(backend.apply(action))
    again = backend.client.one("services", real_name(trial.instance, "web"))
    assert again is not None
    assert again["Spec"] == row["Spec"]
    assert seen
    assert trial.pending(trial.web("two")) == []


def test_an_image_that_is_nowhere_is_named(trial: Trial) -> None:
    service = {**trial.workload.unstartable(), "deploy": SOON}
    outcome = trial.deploy({"services": {"web": service}})
    assert outcome.verdict is Verdict.FAILED
    assert "No such image: localhost:9/no/such-image:1" in outcome.failed["service/web"]


def test_a_port_that_is_taken_is_named(trial: Trial) -> None:
    port = free_port()
    listed = [{"target": 8080, "published": port, "mode": "host"}]
    one = {**trial.web_service("one", **SOON), "ports": listed}
    trial.deployed({"services": {"one": one}})
    outcome = trial.deploy({"services": {"one": one, "two": one}})
    assert outcome.exit_code in (5, 6)
    assert "port" in outcome.failed["service/two"]


def test_a_constraint_that_no_node_meets_is_refused_with_the_reason_of_each(trial: Trial) -> None:
    service = trial.web_service("one")
    service["deploy"]["placement"] = {"constraints": ["node.role == worker"]}
    with pytest.raises(Refused, match=r"does not meet node\.role == worker: it has 'manager'"):
        trial.plan({"services": {"web": service}})


def test_more_memory_than_any_node_has_is_refused_with_figures(trial: Trial) -> None:
    service = trial.web_service("one")
    service["deploy"]["resources"] = {"reservations": {"memory": "900G"}}
    with pytest.raises(Refused, match="MiB of memory"):
        trial.plan({"services": {"web": service}})


def test_what_a_later_engine_alone_knows_is_refused_with_its_version(
    trial: Trial, backend: SwarmBackend
) -> None:
    spoken = backend.client.api_version()
    for field, value, needed in (
        ("oom_score_adj", 100, (1, 46)),
        ("security_opt", ["no-new-privileges:true"], (1, 44)),
    ):
        document = {"services": {"web": {**trial.web_service("one"), field: value}}}
        if spoken >= needed:
            assert trial.plan(document).plan.pending
            continue
        with pytest.raises(Refused, match=rf"{field}.* needs API {needed[0]}\.{needed[1]}"):
            trial.plan(document)


def test_start_first_with_a_host_port_is_refused_in_the_plan(trial: Trial) -> None:
    service = trial.web_service("one", update_config={"order": "start-first"})
    service["ports"] = [{"target": 8080, "published": free_port(), "mode": "host"}]
    with pytest.raises(Refused, match="starts first"):
        trial.plan({"services": {"web": service}})


def test_start_first_with_an_exclusive_volume_is_refused_in_the_plan(trial: Trial) -> None:
    service = trial.web_service("one", update_config={"order": "start-first"})
    service["volumes"] = [{"type": "volume", "source": "data", "target": "/data"}]
    document = {"services": {"web": service}, "volumes": {"data": {"access": "exclusive"}}}
    with pytest.raises(Refused, match="one writer"):
        trial.plan(document)


def test_a_missing_external_network_is_told_before_anything_is_touched(trial: Trial) -> None:
    document = {**trial.web("one"), "networks": {"office": {"external": True}}}
    with pytest.raises(Refused, match="no network 'office'"):
        trial.plan(document)


def test_an_update_that_never_gets_healthy_goes_back(trial: Trial) -> None:
    trial.deployed(trial.web("good", **SOON))
    began = time.monotonic()
    outcome = trial.deploy(trial.web("bad", ready=False, **SOON))
    assert (outcome.verdict, outcome.exit_code) == (Verdict.ROLLED_BACK, 5)
    assert time.monotonic() - began < 90
    assert trial.service().healthy


def test_objects_of_others_stay(trial: Trial, backend: SwarmBackend) -> None:
    client = backend.client
    made = client.post("/configs/create", {"Name": f"{trial.instance.name}_other", "Data": "eA=="})
    try:
        trial.deployed(trial.web("one"))
        trial.down()
        assert client.one("configs", made["ID"]) is not None
    finally:
        client.delete(f"/configs/{made['ID']}")


def test_a_finished_job_is_not_waited_for_again_and_no_label_reruns_it(trial: Trial) -> None:
    document = {"jobs": {"once": trial.shell("echo ran")}}
    trial.deployed(document)
    before = [r.id for r in trial.service("once").replicas]
    trial.deployed({**document, **trial.web("one")})
    assert [r.id for r in trial.service("once").replicas] == before


def test_a_secret_as_a_variable_is_refused(trial: Trial) -> None:
    service = trial.web_service("one")
    service["environment"] = {"TOKEN": {"secret": "token"}}
    document = {
        "services": {"web": service},
        "secrets": {"token": {"provider": "env", "key": "TOKEN"}},
    }
    with pytest.raises(Refused, match="read /run/secrets/NAME"):
        trial.plan(document)


def test_a_service_made_by_hand_is_taken_over(trial: Trial, backend: SwarmBackend) -> None:
    document = trial.web("one")
    trial.deployed(document)
    row = backend.client.one("services", real_name(trial.instance, "web"))
    assert row is not None
    labels = row["Spec"]["Labels"]
    row["Spec"]["Labels"] = {k: v for k, v in labels.items() if not k.startswith("orch.")}
    backend.client.delete(f"/services/{row['ID']}")
    backend.client.post("/services/create", row["Spec"])
    (action,) = trial.plan(document).plan.pending
    assert action.operation is Operation.ADOPT
    trial.deployed(document)
    assert trial.pending(document) == []


def test_a_version_that_was_overtaken_is_written_upon_what_is_there_now(
    trial: Trial, backend: SwarmBackend, through: Relay
) -> None:
    trial.deployed(trial.web("one"))
    plan = trial.plan(trial.web("two")).plan
    through.meet("POST .*/services/.*/update", lambda: labelled(trial, backend))
    outcome = trial.run(plan)
    assert outcome.verdict is Verdict.DONE, outcome
    assert len(through.met) == 1
    row = backend.client.one("services", real_name(trial.instance, "web"))
    assert row is not None
    assert "TEXT=two" in row["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"]


def test_what_really_moved_meanwhile_ends_with_8_and_stays(
    trial: Trial, backend: SwarmBackend, through: Relay
) -> None:
    trial.deployed(trial.web("one"))
    plan = trial.plan(trial.web("two")).plan
    through.meet("POST .*/services/.*/update", lambda: tampered(trial, backend, "theirs"))
    with pytest.raises(Conflict) as fault:
        trial.run(plan)
    assert fault.value.exit_code == 8
    row = backend.client.one("services", real_name(trial.instance, "web"))
    assert row is not None
    assert "TEXT=theirs" in row["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"]


def test_a_rollback_after_one_by_the_engine_comes_from_our_releases(
    trial: Trial, backend: SwarmBackend
) -> None:
    trial.deployed(trial.web("one", **SOON))
    trial.deployed(trial.web("two", **SOON))
    outcome = trial.deploy(trial.web("bad", ready=False, **SOON))
    assert outcome.verdict is Verdict.ROLLED_BACK, outcome
    row = backend.client.one("services", real_name(trial.instance, "web"))
    assert row is not None
    # The engine's own way back is gone, or leads to what has failed.
    assert "TEXT=one" not in str(row.get("PreviousSpec"))
    outcome = trial.run(trial.session().rollback_plan(1))
    assert outcome.verdict is Verdict.DONE, outcome
    assert trial.pending(trial.web("one", **SOON)) == []


def test_a_change_of_size_or_labels_alone_is_no_update_that_is_waited_for(
    trial: Trial, backend: SwarmBackend
) -> None:
    """The engine sets no UpdateStatus for these, and `completed` stays from the update before."""
    trial.deployed(trial.web("one"))
    before = {replica.id for replica in trial.service().replicas}
    began = time.monotonic()
    trial.deployed(trial.web("one", labels={"tier": "front"}))
    trial.deployed(trial.web("one", replicas=2, labels={"tier": "front"}))
    assert time.monotonic() - began < 30
    assert before < {replica.id for replica in trial.service().replicas}
    row = backend.client.one("services", real_name(trial.instance, "web"))
    assert row is not None
    assert row["Spec"]["Labels"]["tier"] == "front"


def test_a_service_that_ends_by_itself_is_not_waited_for(trial: Trial) -> None:
    once = {**trial.shell("echo done"), "deploy": {"restart_policy": {"condition": "none"}}}
    began = time.monotonic()
    trial.deployed({"services": {"once": once}})
    assert time.monotonic() - began < 30
    assert trial.pending({"services": {"once": once}}) == []


def test_what_waits_for_another_is_told_and_waits_in_the_deploy_alone(trial: Trial) -> None:
    slow = trial.web_service("slow")
    document = {
        "services": {
            "slow": slow,
            "web": {
                **trial.web_service("one"),
                "depends_on": {"slow": {"condition": "service_healthy"}},
            },
        }
    }
    planned = trial.plan(document)
    (row,) = [r for r in planned.manifest.ledger if r.path[:3] == ("services", "web", "depends_on")]
    assert (row.outcome, "restarted later wait for nothing" in row.reason) == (
        Fidelity.EMULATED,
        True,
    )
    assert trial.run(planned.plan).verdict is Verdict.DONE
    told = [(event.kind, event.id) for event in trial.events]
    healthy = told.index((EventKind.HEALTHY, "service/slow"))
    assert healthy < told.index((EventKind.STARTED, "service/web"))


def test_a_job_that_still_runs_ends_with_its_removal(trial: Trial, backend: SwarmBackend) -> None:
    """The engine forgets the tasks of a removed job, and lets them run on."""
    trial.deploy({"jobs": {"long": trial.shell("sleep 600")}}, wait=False)
    trial.eventually("it runs", lambda: any(r.state == "running" for r in _replicas(trial)))
    (row,) = backend.client.listed("services", name=[real_name(trial.instance, "long")])
    outcome = trial.down()
    assert outcome.verdict is Verdict.DONE, outcome
    tasks = [t for t in backend.client.listed("tasks") if t["ServiceID"] == row["ID"]]
    assert [t["Status"]["State"] for t in tasks if t["Status"]["State"] == "running"] == []


def _replicas(trial: Trial) -> Sequence[Replica]:
    return trial.service("long").replicas


def labelled(trial: Trial, backend: SwarmBackend) -> None:
    """Change something that nobody else minds."""
    row = backend.client.one("services", real_name(trial.instance, "web"))
    assert row is not None
    row["Spec"]["Labels"]["seen.by"] = "others"
    version = row["Version"]["Index"]
    backend.client.post(f"/services/{row['ID']}/update", row["Spec"], version=version)


def tampered(trial: Trial, backend: SwarmBackend, text: str) -> None:
    """Change what the application says itself."""
    row = backend.client.one("services", real_name(trial.instance, "web"))
    assert row is not None
    container = row["Spec"]["TaskTemplate"]["ContainerSpec"]
    container["Env"] = [e for e in container["Env"] if not e.startswith("TEXT=")] + [f"TEXT={text}"]
    version = row["Version"]["Index"]
    backend.client.post(f"/services/{row['ID']}/update", row["Spec"], version=version)


@pytest.fixture
def through(swarm: str, trial: Trial, tmp_path: Path) -> Iterator[Relay]:
    """The trial speaks through a relay, and `backend` goes on to speak to the engine itself."""
    relay = Relay(swarm, tmp_path / "relay.sock")
    direct, trial.backend = trial.backend, SwarmBackend({"host": relay.host, **OPTIONS})
    yield relay
    trial.backend.close()
    trial.backend = direct
    relay.close()
