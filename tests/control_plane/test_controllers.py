"""What only a real cluster shows: its controllers, its scheduler, its kubelet."""

from __future__ import annotations

import copy
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from orch.testing.conformance import Trial
from orch.testing.workloads import Containers
from orch.types import Verdict
from orch_kubernetes.backend import KubernetesBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.control_plane.conftest import KubernetesCluster

pytestmark = [pytest.mark.optional, pytest.mark.slow, pytest.mark.timeout(300)]
FAILS = {"monitor": "0s", "progress_deadline": "8s"}


@pytest.fixture
def live(kubernetes_cluster: KubernetesCluster) -> Iterator[Trial]:
    backend = KubernetesBackend({"kubeconfig": str(kubernetes_cluster.kubeconfig)})
    name = f"t{uuid.uuid4().hex[:8]}"
    trial = Trial(backend, Containers(kubernetes_cluster.image), "default", name)
    yield trial
    trial.session().unlock()
    trial.down()
    backend.client.delete(f"/api/v1/namespaces/{name}")
    backend.close()


def deployments(trial: Trial) -> str:
    return f"/apis/apps/v1/namespaces/{trial.instance.name}/deployments"


def test_a_canary_that_fails_is_alone_and_goes(live: Trial) -> None:
    pace = {**FAILS, "canary": 1, "parallelism": 4, "order": "start-first", "monitor": "1s"}
    good = live.web("good", replicas=4, update_config=pace)
    live.deployed(good)
    most, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            (web,) = live.backend.client.listed(deployments(live))  # type: ignore[attr-defined]
            status = web["status"]
            if status.get("observedGeneration") == web["metadata"]["generation"]:
                most.append(status.get("replicas", 0) - 4)

    looking = threading.Thread(target=look)
    plan = live.plan(live.web("bad", ready=False, replicas=4, update_config=pace)).plan
    looking.start()
    outcome = live.run(plan)
    over.set()
    looking.join()
    assert outcome.verdict is Verdict.ROLLED_BACK, live.told()
    assert max(most) == 1, "no more than the canary was ever made beside the old ones"
    assert live.pending(good) == []


def test_a_canary_that_is_well_is_followed_by_all(live: Trial) -> None:
    pace = {**FAILS, "canary": 1, "parallelism": 3, "monitor": "1s"}
    live.deployed(live.web("one", replicas=3, update_config=pace))
    second = live.web("two", replicas=3, update_config=pace)
    live.deployed(second)
    assert any("go first" in event.message for event in live.events), live.told()
    assert live.service().updated == 3
    assert live.pending(second) == []


def test_an_ordered_service_gets_rid_of_its_stuck_pod(live: Trial) -> None:
    pace = {**FAILS, "progress_deadline": "20s"}
    good = live.web("good", replicas=2, ordered=True, update_config=pace)
    live.deployed(good)
    bad = copy.deepcopy(good)
    bad["services"]["web"] |= live.workload.unstartable()
    outcome = live.deploy(bad)
    assert outcome.verdict is Verdict.ROLLED_BACK, live.told()
    assert "Image" in outcome.failed["service/web"]
    assert live.service().ready == 2
    assert live.pending(good) == []


def test_the_schedulers_words_are_told(live: Trial) -> None:
    resources = {"reservations": {"cpus": 900}}
    outcome = live.deploy(live.web("one", update_config=FAILS, resources=resources))
    assert "Insufficient cpu" in outcome.failed["service/web"]
    assert any("Insufficient cpu" in line for line in live.backend.why(live.instance, "web"))  # type: ignore[attr-defined]


def test_a_crash_is_told_by_its_code(live: Trial) -> None:
    pace = {**FAILS, "monitor": "3s"}
    crash: dict[str, Any] = {**live.shell("exit 3"), "deploy": {"update_config": pace}}
    outcome = live.deploy({"services": {"web": crash}})
    assert "ended with code 3" in outcome.failed["service/web"]


def test_a_priority_belongs_to_one_namespace(live: Trial) -> None:
    document = live.web("one", priority=50)
    live.deployed(document)
    classes = live.backend.client.listed("/apis/scheduling.k8s.io/v1/priorityclasses")  # type: ignore[attr-defined]
    name = live.instance.name
    assert f"{name}.{name}-50" in {row["metadata"]["name"] for row in classes}
    assert live.pending(document) == []


def test_a_job_that_is_gone_after_its_time_is_not_run_again(live: Trial) -> None:
    if not live.backend.facts.has("job_ttl"):  # type: ignore[attr-defined]
        pytest.skip("this cluster removes no jobs by itself")
    document = {"jobs": {"prepare": live.shell("echo done", ttl="1s")}}
    live.deployed(document)
    live.eventually("the job is gone", lambda: not live.status().services)
    assert live.pending(document) == []


def test_every_kind_of_field_is_as_wanted_once_it_is_there(live: Trial) -> None:
    """Defaults, amounts and what the API leaves out are no changes, and no drift."""
    document = live.web(
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
            "report": live.shell("true", schedule="0 3 * * *"),
            "once": live.shell("true", timeout="2m"),
        },
    }
    live.deployed(document)
    client = live.backend.client  # type: ignore[attr-defined]
    asked: list[str] = []
    real = client.apply
    client.apply = lambda path, *args, **how: (asked.append(path), real(path, *args, **how))[1]
    assert live.pending(document) == []
    assert asked == [], "all is evidently as wanted: no dry run is needed"
    assert live.session().drift() == ()
