"""What only a real cluster shows: its controllers, its scheduler, its kubelet."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any

import pytest

from orch.types import Verdict

if TYPE_CHECKING:
    from orch.testing.conformance import Trial
    from orch_kubernetes.backend import KubernetesBackend

pytestmark = [pytest.mark.optional, pytest.mark.slow, pytest.mark.timeout(300)]
FAILS = {"monitor": "0s", "progress_deadline": "8s"}


def deployments(trial: Trial) -> str:
    return f"/apis/apps/v1/namespaces/{trial.instance.name}/deployments"


def test_a_canary_that_fails_is_alone_and_goes(trial: Trial, backend: KubernetesBackend) -> None:
    pace = {**FAILS, "canary": 1, "parallelism": 4, "order": "start-first", "monitor": "1s"}
    good = trial.web("good", replicas=4, update_config=pace)
    trial.deployed(good)
    most, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            (web,) = backend.client.listed(deployments(trial))
            status = web["status"]
            if status.get("observedGeneration") == web["metadata"]["generation"]:
                most.append(status.get("replicas", 0) - 4)

    looking = threading.Thread(target=look)
    plan = trial.plan(trial.web("bad", ready=False, replicas=4, update_config=pace)).plan
    looking.start()
    outcome = trial.run(plan)
    over.set()
    looking.join()
    assert outcome.verdict is Verdict.ROLLED_BACK, trial.told()
    assert max(most) == 1, "no more than the canary was ever made beside the old ones"
    assert trial.pending(good) == []


def test_a_canary_that_is_well_is_followed_by_all(trial: Trial) -> None:
    pace = {**FAILS, "canary": 1, "parallelism": 3, "monitor": "1s"}
    trial.deployed(trial.web("one", replicas=3, update_config=pace))
    second = trial.web("two", replicas=3, update_config=pace)
    trial.deployed(second)
    assert any("go first" in event.message for event in trial.events), trial.told()
    assert trial.service().updated == 3
    assert trial.pending(second) == []


def test_an_ordered_service_gets_rid_of_its_stuck_pod(trial: Trial) -> None:
    good = trial.web("good", replicas=2, ordered=True, update_config={"monitor": "0s"})
    trial.deployed(good)
    bad = copy.deepcopy(good)
    bad["services"]["web"] |= trial.workload.unstartable()
    bad["services"]["web"]["deploy"]["update_config"]["progress_deadline"] = "20s"
    outcome = trial.deploy(bad)
    assert outcome.verdict is Verdict.ROLLED_BACK, trial.told()
    assert "Image" in outcome.failed["service/web"]
    assert trial.service().ready == 2
    assert trial.pending(good) == []


def test_the_schedulers_words_are_told(trial: Trial) -> None:
    resources = {"reservations": {"cpus": 900}}
    outcome = trial.deploy(trial.web("one", update_config=FAILS, resources=resources))
    assert "Insufficient cpu" in outcome.failed["service/web"]
    assert any("Insufficient cpu" in line for line in trial.why())


def test_a_crash_is_told_by_its_code(trial: Trial) -> None:
    pace = {**FAILS, "monitor": "3s"}
    crash: dict[str, Any] = {**trial.shell("exit 3"), "deploy": {"update_config": pace}}
    outcome = trial.deploy({"services": {"web": crash}})
    assert "ended with code 3" in outcome.failed["service/web"]


def test_a_priority_belongs_to_one_namespace(trial: Trial, backend: KubernetesBackend) -> None:
    document = trial.web("one", priority=50)
    trial.deployed(document)
    classes = backend.client.listed("/apis/scheduling.k8s.io/v1/priorityclasses")
    name = trial.instance.name
    assert f"{name}.{name}-50" in {row["metadata"]["name"] for row in classes}
    assert trial.pending(document) == []


def test_a_job_that_is_gone_after_its_time_is_not_run_again(
    trial: Trial, backend: KubernetesBackend
) -> None:
    if not backend.facts.has("job_ttl"):
        pytest.skip("this cluster removes no jobs by itself")
    document = {"jobs": {"prepare": trial.shell("echo done", ttl="1s")}}
    trial.deployed(document)
    trial.eventually("the job is gone", lambda: not trial.status().services)
    assert trial.pending(document) == []


def test_every_kind_of_field_is_as_wanted_once_it_is_there(
    trial: Trial, backend: KubernetesBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Defaults, amounts and what the API leaves out are no changes, and no drift."""
    document = trial.web(
        "one",
        replicas=2,
        resources={
            "limits": {"cpus": 1.5, "memory": "96M"},
            "reservations": {"cpus": 0.05, "memory": "16M"},
        },
        disruption={"max_unavailable": 1},
    )
    web = document["services"]["web"]
    part = {"image": web["image"], "command": ["sh", "-c", "true"]}
    web |= {
        "volumes": [
            {"type": "volume", "source": "data", "target": "/data"},
            {"type": "tmpfs", "target": "/scratch", "tmpfs": {"size": "16M"}},
        ],
        "extra_hosts": {"db": "10.1.2.3"},
        "dns_opt": ["ndots:2"],
        "shm_size": "8M",
        "autoscale": {"min": 2, "max": 4, "metrics": [{"type": "cpu", "target": 70}]},
        "pre_start": [part],
        "sidecars": {"side": {**part, "command": ["sh", "-c", "sleep 600"]}},
    }
    web["environment"]["EMPTY"] = ""
    document |= {
        "volumes": {"data": {"per_replica": True, "size": "16M"}},
        "routes": [{"host": "shop.example.com", "service": "web", "port": "http"}],
        "policies": [{"to": {"service": "web", "port": "http"}, "from": [{"service": "web"}]}],
        "jobs": {
            "report": trial.shell("true", schedule="0 3 * * *"),
            "once": trial.shell("true", timeout="2m"),
        },
    }
    trial.deployed(document)
    asked: list[str] = []
    real = backend.client.apply

    def apply(path: str, *args: Any, **how: Any) -> Any:
        asked.append(path)
        return real(path, *args, **how)

    monkeypatch.setattr(backend.client, "apply", apply)
    assert trial.pending(document) == []
    assert asked == [], "all is evidently as wanted: no dry run is needed"
    assert trial.session().drift() == ()
