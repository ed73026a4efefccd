"""An application on a swarm of three hosts: where it is placed, and what becomes of it when
hosts, engines and leaders go."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from orch.apply.releases import History
from orch.backend.contract import LogQuery
from orch.errors import Refused, TimedOut, Unreachable
from orch.testing.conformance import Trial
from orch.testing.workloads import Containers
from orch.types import EventKind, Verdict
from orch_swarm.backend import SwarmBackend
from tests.integration.conftest import TOOL_IMAGE
from tests.integration.swarm.conftest import OPTIONS
from tests.integration.swarm.hosts import Cluster, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orch.types import Event
    from tests.integration.swarm.hosts import Host

pytestmark = [
    pytest.mark.docker,
    pytest.mark.root,
    pytest.mark.slow,
    # The SDK leaves a socket to the collector when an engine that had answered is gone.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ONE_EACH = {"max_replicas_per_node": 1}


class Quick(Containers):
    """Servers that heed the stop signal, and jobs."""

    def web(self, text: str, *, ready: bool = True) -> dict[str, Any]:
        return {**super().web(text, ready=ready), "init": True}

    def shell(self, script: str) -> dict[str, Any]:
        return {**super().shell(script), "init": True}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, tool_archive: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("hosts"))
    try:
        made.switch_on()
        made.found_swarm(tool_archive, TOOL_IMAGE)
        yield made
    finally:
        made.switch_off()


def backend_of(*hosts: Host, **options: str) -> SwarmBackend:
    """A target that names these managers, in this order."""
    return SwarmBackend({"host": ",".join(h.socket for h in hosts), **OPTIONS, **options})


@pytest.fixture
def trial(cluster: Cluster) -> Iterator[Trial]:
    """An application on the three hosts, any of which may be asked."""
    backend = backend_of(*cluster.hosts)
    made = Trial(backend, Quick(TOOL_IMAGE), "tests", f"t{uuid.uuid4().hex[:8]}")
    yield made
    cluster.restore()
    made.session().unlock()
    made.down()
    backend.close()


def places(trial: Trial, name: str = "web") -> Counter[str]:
    """How many ready replicas each host has."""
    return Counter(r.node for r in trial.service(name).replicas if r.ready)


# -- placement -------------------------------------------------------------------------------------


def test_replicas_spread_by_label_before_hosts(cluster: Cluster, trial: Trial) -> None:
    for host, zone in zip(cluster.hosts, ("a", "b", "b"), strict=True):
        cluster.update(host, Labels={"zone": zone})
    spread = {"preferences": [{"spread": "node.labels.zone"}]}
    trial.deployed(trial.web("one", replicas=6, placement=spread))
    seen = places(trial)
    assert seen["h1"] == 3, seen
    assert seen["h2"] + seen["h3"] == 3, seen


def test_a_global_service_is_on_every_host_and_says_where(trial: Trial) -> None:
    document = trial.web("one", mode="global")
    document["services"]["web"]["ports"] = [{"target": 8080, "published": 8080, "mode": "host"}]
    trial.deployed(document)
    assert places(trial) == Counter(["h1", "h2", "h3"])
    seen = trial.service()
    assert (seen.ready, seen.wanted, seen.healthy) == (3, 3, True)
    assert seen.endpoints == ("h1:8080", "h2:8080", "h3:8080")


def test_a_constraint_that_no_host_meets_is_refused_with_the_reason_of_each(
    cluster: Cluster, trial: Trial
) -> None:
    cluster.update(cluster.hosts[1], Labels={"disk": "slow"})
    placement = {"constraints": ["node.labels.disk == fast"]}
    with pytest.raises(Refused) as fault:
        trial.plan(trial.web("one", placement=placement))
    for said in ("h1 does not meet", "it has 'slow'", "h3 does not meet"):
        assert said in str(fault.value)


def test_more_replicas_than_hosts_may_hold_are_refused(trial: Trial) -> None:
    with pytest.raises(Refused, match=r"4 replicas are wanted, and h1, h.*may each have 1"):
        trial.plan(trial.web("one", replicas=4, placement=ONE_EACH))


def test_lines_of_all_hosts_are_read_through_one_manager(trial: Trial) -> None:
    every = {**trial.shell("hostname; echo here; sleep 600"), "deploy": {"mode": "global"}}
    trial.deployed({"services": {"every": every}})

    def lines() -> set[str]:
        found = trial.backend.logs(trial.instance, LogQuery())  # type: ignore[attr-defined]
        return {line.replica for line in found if line.text == "here"}

    replicas = {r.id for r in trial.service("every").replicas}
    trial.eventually("a line of each host", lambda: lines() == replicas)


# -- hosts go --------------------------------------------------------------------------------------


def test_a_drained_host_is_left_and_no_deploy_fails(cluster: Cluster, trial: Trial) -> None:
    trial.deployed(trial.web("one", replicas=3))
    left = cluster.hosts[2]
    cluster.update(left, Availability="drain")
    trial.deployed(trial.web("two", replicas=3))
    seen = trial.eventually("all are elsewhere", lambda: _settled(trial, 3, without=left.name))
    assert left.name not in seen
    said = trial.backend.why(trial.instance, "web")  # type: ignore[attr-defined]
    assert f"{left.name} is set to drain" in said


def _settled(trial: Trial, wanted: int, without: str) -> Counter[str] | None:
    seen = places(trial)
    return seen if sum(seen.values()) == wanted and without not in seen else None


def test_replicas_of_a_lost_host_return_elsewhere(cluster: Cluster, trial: Trial) -> None:
    trial.deployed(trial.web("one", replicas=2, placement=ONE_EACH))
    lost = _follower_with_a_replica(cluster, trial)
    lost.switch_off()
    eventually("it is seen to be down", lambda: cluster.state_of(lost) == "down")
    # The managers still give the state that the host told last: running.
    seen = trial.service()
    assert lost.name not in places(trial)
    assert not any(lost.name in endpoint for endpoint in seen.endpoints)
    trial.session().wait(timeout=90)
    seen = trial.service()
    assert (seen.ready, seen.healthy) == (2, True)
    assert lost.name not in places(trial)


def test_deploy_and_down_do_not_wait_for_a_lost_host(cluster: Cluster, trial: Trial) -> None:
    trial.deployed(trial.web("one", replicas=2, placement=ONE_EACH))
    lost = _follower_with_a_replica(cluster, trial)
    lost.kill_engine()
    eventually("it is seen to be down", lambda: cluster.state_of(lost) == "down")
    outcome = trial.deployed(trial.web("two", replicas=2, placement=ONE_EACH))
    assert outcome.verdict is Verdict.DONE
    assert trial.down().verdict is Verdict.DONE
    assert trial.status().services == ()


def test_waiting_for_a_lost_host_that_nothing_replaces_says_why(
    cluster: Cluster, trial: Trial
) -> None:
    lost = cluster.others(cluster.leader())[0]
    placement = {"constraints": [f"node.hostname == {lost.name}"]}
    trial.deployed(trial.web("one", placement=placement))
    lost.switch_off()
    eventually("it is seen to be down", lambda: cluster.state_of(lost) == "down")
    trial.eventually("it is not healthy", lambda: not trial.status().healthy)
    with pytest.raises(TimedOut, match=r"no suitable node|is down"):
        trial.session().wait(timeout=3)
    said = trial.backend.why(trial.instance, "web")  # type: ignore[attr-defined]
    assert f"{lost.name} is down" in said


def _follower_with_a_replica(cluster: Cluster, trial: Trial) -> Host:
    names = set(places(trial)) - {cluster.leader().name}
    return cluster[min(names)]


# -- managers go -----------------------------------------------------------------------------------


def test_a_deploy_goes_on_when_its_leader_is_killed(cluster: Cluster, trial: Trial) -> None:
    leader = cluster.leader()
    first = [leader, *cluster.others(leader)]
    # The replicas are kept off the host that dies: this is about the managers alone.
    placement = {"constraints": [f"node.hostname != {leader.name}"]}
    pace = {"parallelism": 1, "monitor": "2s", "progress_deadline": "90s"}
    backend = backend_of(*first)
    here = Trial(backend, trial.workload, "tests", trial.instance.name)
    terms: dict[str, Any] = {"replicas": 3, "placement": placement, "update_config": pace}
    here.deployed(here.web("one", **{**terms, "update_config": {}}))
    plan = here.plan(here.web("two", **terms)).plan
    killer = threading.Thread(target=leader.switch_off)

    def kill_once(event: Event) -> None:
        if event.kind is EventKind.APPLIED and event.id == "service/web" and not killer.ident:
            killer.start()

    outcome = here.session().apply(plan, on_event=kill_once, timeout=110)
    killer.join()
    assert outcome.verdict is Verdict.DONE, outcome
    assert History(backend.store(here.instance)).latest.number == outcome.revision
    assert here.service().healthy
    assert here.pending(here.web("two", **terms)) == []
    backend.close()


def test_a_deploy_cut_off_with_its_only_manager_is_continued_through_another(
    cluster: Cluster, trial: Trial
) -> None:
    leader = cluster.leader()
    placement = {"constraints": [f"node.hostname != {leader.name}"]}
    alone = backend_of(leader)
    here = Trial(alone, trial.workload, "tests", trial.instance.name)
    here.deployed(here.web("one", placement=placement))
    plan = here.plan(here.web("two", placement=placement)).plan
    killed = threading.Event()

    def kill_once(event: Event) -> None:
        if event.kind is EventKind.APPLIED and not killed.is_set():
            killed.set()
            leader.kill_engine()

    with pytest.raises(Unreachable) as fault:
        here.session().apply(plan, on_event=kill_once, timeout=60)
    assert "another manager" in str(fault.value)
    alone.close()
    eventually("another leads", lambda: cluster.nodes() and cluster.leader() is not leader)
    trial.session().unlock()
    trial.deployed(trial.web("two", placement=placement))
    assert trial.service().healthy


def test_a_worker_is_told_from_a_manager(cluster: Cluster, trial: Trial) -> None:
    worker = cluster.others(cluster.leader())[0]
    cluster.update(worker, Role="worker")
    alone = backend_of(worker)
    eventually("it is a worker", lambda: "ManagerStatus" not in cluster.nodes()[worker.name])
    with pytest.raises(Unreachable, match="name a manager"):
        alone.status(trial.instance)
    alone.close()
    several = backend_of(worker, *cluster.others(worker))
    assert several.status(trial.instance).services == ()
    several.close()


def test_without_a_quorum_it_is_said_so_and_afterwards_all_is_there(
    cluster: Cluster, trial: Trial
) -> None:
    trial.deployed(trial.web("one"))
    leader = cluster.leader()
    gone = [leader, cluster.others(leader)[0]]
    for host in gone:
        host.switch_off()
    asked = backend_of(*cluster.hosts)
    with pytest.raises(Unreachable, match=r"no leader.*more than half") as fault:
        asked.status(trial.instance)
    asked.close()
    assert fault.value.exit_code == 9
    cluster.restore()
    trial.eventually("it is healthy again", lambda: trial.status().healthy)
    trial.deployed(trial.web("two"))
