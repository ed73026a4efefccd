"""What goes wrong on a swarm is told with its reason and its mend."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import Conflict, Refused, Unreachable, UsageFault
from orch.types import Operation, Verdict
from orch_swarm.backend import SwarmBackend
from orch_swarm.names import real_name
from tests.integration.swarm.conftest import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from orch.testing.conformance import Trial
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
    trial.deployed(trial.web("two"))


def test_an_image_that_is_nowhere_is_named(trial: Trial) -> None:
    service = {**trial.workload.unstartable(), "deploy": SOON}
    outcome = trial.deploy({"services": {"web": service}})
    assert outcome.verdict is Verdict.FAILED
    assert "no-such" in outcome.failed["service/web"]


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


def test_start_first_with_a_host_port_is_refused_in_the_plan(trial: Trial) -> None:
    service = trial.web_service("one", update_config={"order": "start-first"})
    service["ports"] = [{"target": 8080, "published": free_port(), "mode": "host"}]
    with pytest.raises(Refused, match="starts first"):
        trial.plan({"services": {"web": service}})


def test_a_missing_external_network_is_told_before_anything_is_touched(trial: Trial) -> None:
    document = {**trial.web("one"), "networks": {"office": {"external": True}}}
    with pytest.raises(Refused, match="no network 'office'"):
        trial.plan(document)


def test_an_update_that_never_gets_healthy_goes_back(trial: Trial) -> None:
    trial.deployed(trial.web("good", **SOON))
    began = time.monotonic()
    outcome = trial.deploy(trial.web("bad", ready=False, **SOON))
    assert outcome.verdict is Verdict.ROLLED_BACK
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


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    for name in ("ca", "cert"):
        subprocess.run(
            [
                "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                "-subj", f"/CN={name}", "-keyout", folder / "key.pem",
                "-out", folder / f"{name}.pem",
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip
    return folder


def test_wrong_certificates_are_told(certificates: Path) -> None:
    backend = SwarmBackend({"host": f"tcp://127.0.0.1:{free_port()}", "tls": str(certificates)})
    with pytest.raises(Unreachable) as fault:
        backend.instances()
    assert "TLS" in fault.value.mend


def test_missing_certificates_are_named(tmp_path: Path) -> None:
    backend = SwarmBackend({"host": "tcp://127.0.0.1:2376", "tls": str(tmp_path)})
    with pytest.raises(UsageFault, match=r"ca\.pem"):
        backend.instances()
