"""An application on a swarm of three hosts: where it is placed, and what becomes of it when
hosts, engines and leaders go."""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from orch.apply.releases import History
from orch.errors import Refused, TimedOut, Unreachable, UsageFault
from orch.testing.conformance import Trial
from orch.testing.workloads import Containers
from orch.types import EventKind, Verdict
from orch_swarm import client as swarm_client
from orch_swarm.backend import SwarmBackend
from orch_swarm.names import real_name
from tests.integration.conftest import TOOL_IMAGE
from tests.integration.swarm.conftest import OPTIONS
from tests.integration.swarm.hosts import Cluster, eventually
from tests.integration.swarm.load import under_load

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from orch.types import Event, Plan
    from tests.integration.swarm.hosts import Host

pytestmark = [
    pytest.mark.docker,
    pytest.mark.root,
    pytest.mark.slow,
    # The SDK leaves a socket to the collector when an engine that had answered is gone.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
LAG = 3.0
"""Seconds by which our view may come after the engine's own."""
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


def test_a_global_service_is_on_every_host_and_one_always_answers(
    cluster: Cluster, trial: Trial
) -> None:
    def document(text: str) -> dict[str, Any]:
        web = trial.web_service(text, mode="global")
        web["ports"] = [{"target": 8080, "published": 8080, "mode": "host"}]
        return {"services": {"web": web}}

    trial.deployed(document("one"))
    assert places(trial) == Counter(["h1", "h2", "h3"])
    seen = trial.service()
    assert (seen.ready, seen.wanted, seen.healthy) == (3, 3, True)
    assert seen.endpoints == ("h1:8080", "h2:8080", "h3:8080")
    urls = [f"http://{host.address}:8080" for host in cluster.hosts]
    with under_load(cluster.outside(sys.executable), *urls) as load:
        trial.deployed(document("two"))
    print(load.row("update of host ports, host by host"))
    assert load.lost == {}
    # The hosts were updated one by one, so that a client had somewhere to turn to.
    assert load.turned
    assert load.texts == ["one", "two"]


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
    with pytest.raises(Refused, match="4 replicas are wanted, and h1, h2, h3 may each have 1"):
        trial.plan(trial.web("one", replicas=4, placement=ONE_EACH))


def test_lines_of_all_hosts_are_read_through_one_manager(trial: Trial) -> None:
    every = {**trial.shell("hostname; echo here; sleep 600"), "deploy": {"mode": "global"}}
    trial.deployed({"services": {"every": every}})

    def lines() -> set[str]:
        found = trial.logs()
        return {line.replica for line in found if line.text == "here"}

    replicas = {r.id for r in trial.service("every").replicas}
    trial.eventually("a line of each host", lambda: lines() == replicas)


def test_a_command_runs_where_its_replica_is_and_elsewhere_it_is_told_how(
    cluster: Cluster, trial: Trial
) -> None:
    every = {**trial.shell("sleep 600"), "deploy": {"mode": "global"}}
    trial.deployed({"services": {"every": every}})
    here = backend_of(cluster.hosts[0])
    try:
        for replica in trial.service("every").replicas:
            command = ["test", "-d", "/www"]
            if replica.node == "h1":
                assert here.exec(trial.instance, "every", replica.id, command, tty=False) == 0
                continue
            with pytest.raises(UsageFault, match=f"runs on {replica.node}") as fault:
                here.exec(trial.instance, "every", replica.id, command, tty=False)
            assert "docker exec -it" in fault.value.mend
    finally:
        here.close()


# -- hosts go --------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_what_dies_is_seen_as_it_returns_elsewhere_and_at_home(
    cluster: Cluster, trial: Trial
) -> None:
    def document(text: str) -> dict[str, Any]:
        every = {**trial.shell("exec sleep 600"), "deploy": {"mode": "global"}}
        web = trial.web_service(text, replicas=2, placement=ONE_EACH)
        return {"services": {"web": web, "every": every}}

    def after(what: str, harm: Callable[[Host], object]) -> Host:
        host = _follower_with_a_replica(cluster, trial)
        seen.append(Recovery.of(cluster, trial, what, lambda: harm(host)))
        return host

    seen: list[Recovery] = []
    trial.deployed(document("one"))
    after("a container killed", lambda host: _kill(host, trial))
    left = after("a host drained", lambda host: cluster.update(host, Availability="drain"))
    trial.deployed(document("two"))
    assert left.name not in places(trial)
    assert f"{left.name} is set to drain" in trial.why()
    cluster.update(left, Availability="active")
    trial.session().wait(timeout=120)
    lost = after("a host lost", lambda host: host.switch_off())
    print("\n".join(["", *(recovery.row() for recovery in seen)]))
    # The managers still give the state that the host told last: running.
    assert lost.name not in places(trial)
    assert lost.name not in places(trial, "every")
    now = trial.session().wait(timeout=120).services
    assert [(s.name, s.wanted, s.ready) for s in now] == [("every", 2, 2), ("web", 2, 2)]
    cluster.restore()
    trial.eventually("the host is home again", lambda: places(trial, "every")[lost.name] == 1)
    assert trial.session().wait(timeout=120).healthy


@dataclass
class Recovery:
    """Seconds after a harm: until `status` tells of it, until the engine itself lists another task
    that runs, and until `status` has as many replicas again."""

    what: str
    noticed: float
    replaced: float
    well: float

    @classmethod
    def of(cls, cluster: Cluster, trial: Trial, what: str, harm: Callable[[], object]) -> Recovery:
        """Do harm to one replica of two, and watch both sides to the end."""
        before = _ready(trial)
        began = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            replaced = pool.submit(_await_another, cluster, trial, before)
            harmed = pool.submit(harm)
            trial.eventually(f"{what}: noticed", lambda: before - _ready(trial))
            noticed = time.monotonic() - began
            trial.eventually(f"{what}: well", lambda: len(_ready(trial)) == len(before))
            well = time.monotonic() - began
            harmed.result()
        found = cls(what, noticed, replaced.result() - began, well)
        assert abs(found.well - found.replaced) < LAG, found
        return found

    def row(self) -> str:
        """A line of a table."""
        return (
            f"{self.what:<20} noticed {self.noticed:5.1f} s, replaced {self.replaced:5.1f} s by "
            f"the engine's own list, well {self.well:5.1f} s by ours"
        )


def _await_another(cluster: Cluster, trial: Trial, before: Collection[str]) -> float:
    """When a manager itself first lists a task that runs and was not there before."""
    manager = cluster.leader()
    with manager.connected() as client:
        service = client.services.get(real_name(trial.instance, "web"))

        def has_another() -> bool:
            tasks = service.tasks()
            return any(t["ID"] not in before and t["Status"]["State"] == "running" for t in tasks)

        eventually("another task runs", has_another)
    return time.monotonic()


def _ready(trial: Trial) -> set[str]:
    return {r.id for r in trial.service().replicas if r.ready}


def _kill(host: Host, trial: Trial) -> None:
    label = f"com.docker.swarm.service.name={real_name(trial.instance, 'web')}"
    with host.connected() as client:
        for container in client.containers.list(filters={"label": label}, ignore_removed=True):
            container.kill()


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
    said = trial.why()
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

    outcome = here.session().apply(plan, on_event=kill_once, timeout=240)
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

    code, told = _end_of(here, plan, kill_once)
    assert code == 9, told
    assert "another manager" in told
    alone.close()
    eventually("another leads", lambda: cluster.nodes() and cluster.leader() is not leader)
    trial.session().unlock()
    trial.deployed(trial.web("two", placement=placement))
    assert trial.service().healthy


def test_a_worker_is_told_from_a_manager(cluster: Cluster, trial: Trial) -> None:
    worker = cluster.others(cluster.leader())[0]
    cluster.update(worker, Role="worker")
    alone = backend_of(worker)
    eventually("it is a worker", lambda: not worker.is_manager())
    with pytest.raises(Unreachable, match="name a manager"):
        alone.status(trial.instance)
    alone.close()
    several = backend_of(worker, *cluster.others(worker))
    assert several.status(trial.instance).services == ()
    several.close()


def test_without_a_quorum_a_deploy_says_what_is_undone_and_goes_on_later(
    cluster: Cluster, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    # These managers vote after a third of the usual time.
    monkeypatch.setattr(swarm_client, "ELECTION_SECONDS", swarm_client.ELECTION_SECONDS / 3)
    leader = cluster.leader()
    alone, other = cluster.others(leader)
    later = {**trial.web_service("later"), "depends_on": {"web": {"condition": "service_healthy"}}}
    document = {"services": {**trial.web("two")["services"], "later": later}}
    trial.deployed(trial.web("one"))
    backend = backend_of(alone)
    here = Trial(backend, trial.workload, "tests", trial.instance.name)

    def cut(event: Event) -> None:
        if event.kind is EventKind.APPLIED and event.id == "service/web":
            leader.set_cable("down")
            other.set_cable("down")

    code, told = _end_of(here, here.plan(document).plan, cut)
    assert code == 9, told
    for said in ("no leader", "more than half", "watched to the end: service/web", "started: serv"):
        assert said in told
    with pytest.raises(Unreachable, match=r"no leader.*more than half") as fault:
        here.status()
    assert fault.value.exit_code == 9
    cluster.restore()
    trial.session().unlock()
    trial.deployed(document)
    assert trial.status().healthy
    assert trial.pending(document) == []
    backend.close()


def _end_of(trial: Trial, plan: Plan, on_event: Callable[[Event], None]) -> tuple[int, str]:
    """The exit code of a deploy and what it said, whichever was lost first: rollout or lock."""
    try:
        outcome = trial.session().apply(plan, on_event=on_event, timeout=100)
    except Unreachable as fault:
        return fault.exit_code, str(fault)
    return outcome.exit_code, outcome.message
