"""The server as a real process with the real agent: started, raced, killed, replaced, stopped."""

from __future__ import annotations

import gc
import os
import random
import signal
import stat
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from orch.errors import Denied, Locked, OrchError, Unreachable, UsageFault
from orch.types import Instance
from orch_native import daemon
from orch_native.api import RolloutPhase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orch_native.client import NativeClient

SHOP = Instance("native", "default", "shop")
LOOP_ROUNDS = 8
OLDER = """
import sys
import orch.version
orch.version.__version__ = "0.0.1"
from orch_native.daemon_process import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def _failed_connections() -> Iterator[None]:
    """The HTTP library leaves the socket of a failed connection to the collector."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state"
    yield folder
    client = daemon.connect(folder)
    if client is not None:
        for namespace, name in client.instances():
            instance = Instance("native", namespace, name)
            for resource in client.resources(instance):
                client.delete_resource(instance, resource.kind, resource.name)
                for _ in client.rollout(instance, resource.kind, resource.name, timeout=30):
                    pass
        client.stop(tasks=True)
        client.close()
        daemon.await_end(folder)


def sleeper(marker: str, replicas: int = 1, **update: Any) -> dict[str, Any]:
    return {
        "command": ["sh", "-c", f"exec sleep 8640{marker}"],
        "deploy": {"replicas": replicas, "update_config": {"monitor": "0s", **update}},
    }


def running(marker: str) -> list[int]:
    wanted = ["sleep", f"8640{marker}"]
    found = psutil.process_iter(["cmdline"])
    return [process.pid for process in found if process.info["cmdline"] == wanted]


def follow(client: NativeClient, name: str = "web", kind: str = "service") -> RolloutPhase:
    *_, last = client.rollout(SHOP, kind, name, timeout=60)
    return last.phase


def test_many_starters_find_one_server_that_only_its_owner_can_use(state: Path) -> None:
    def pid() -> int:
        with daemon.ensure_running(state) as client:
            return client.about().pid

    with ThreadPoolExecutor(8) as pool:
        pids = set(pool.map(lambda _: pid(), range(8)))
    assert len(pids) == 1
    assert stat.S_IMODE(daemon.socket_path(state).stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "daemon.log").stat().st_mode) == 0o600


def test_path_too_long_for_a_socket_works(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    long = tmp_path / ("a" * 80) / ("b" * 80)
    if len(str(tmp_path)) > 60:
        monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")
    with daemon.ensure_running(long) as client:
        assert client.about().state == str(long)
        client.stop()
    daemon.await_end(long)


def test_service_runs_is_asked_and_leaves_nothing(state: Path) -> None:
    with daemon.ensure_running(state) as client:
        body = {
            "command": ["sh", "-c", "echo hello-from-$ORCH_ADDRESS; exec sleep 86401"],
            "deploy": {"replicas": 2, "update_config": {"monitor": "0s"}},
        }
        client.put_resource(SHOP, "service", "web", body, revision=1)
        assert follow(client) is RolloutPhase.HEALTHY
        (web,) = client.status(SHOP).services
        assert (web.ready, web.healthy, len(web.replicas)) == (2, True, 2)
        lines = list(client.logs(SHOP, services=["web"]))
        assert {line.replica for line in lines} == {replica.id for replica in web.replicas}
        assert all(line.text.startswith("hello-from-") for line in lines)
        session = client.exec(SHOP, "web", "1", ["sh", "-c", "read x; echo got $x; exit 7"])
        session.write(b"this\n")
        session.close_stdin()
        said = b"".join(data for stream, data in session.output() if stream == 1)
        assert (said.strip(), session.exit_code()) == (b"got this", 7)
        session.close()
        assert any("healthy" in event.message for event in client.events(SHOP))
        assert "2 of 2 ready" in client.why(SHOP, "web")[0]
        with pytest.raises(UsageFault, match="no service, job or replica"):
            client.why(SHOP, "nobody")
        client.delete_resource(SHOP, "service", "web")
        assert follow(client) is RolloutPhase.GONE
        assert client.instances() == []


def test_killed_task_comes_back(state: Path) -> None:
    with daemon.ensure_running(state) as client:
        body = sleeper("11") | {"stop_grace_period": "1s"}
        body["deploy"] |= {"restart_policy": {"delay": "100ms"}}
        client.put_resource(SHOP, "service", "web", body)
        assert follow(client) is RolloutPhase.HEALTHY
        (before,) = running("11")
        os.kill(before, signal.SIGKILL)
        end = time.monotonic() + 60
        while running("11") in ([], [before]):
            assert time.monotonic() < end
            time.sleep(0.02)


def test_tasks_outlive_the_server_and_end_with_it_when_asked(state: Path) -> None:
    with daemon.ensure_running(state) as client:
        client.put_resource(SHOP, "service", "web", sleeper("22", 2))
        assert follow(client) is RolloutPhase.HEALTHY
        before = running("22")
        client.stop()
    daemon.await_end(state)
    assert running("22") == before
    with daemon.ensure_running(state) as client:
        assert client.status(SHOP).services[0].ready == 2
        assert running("22") == before
        client.stop(tasks=True)
    daemon.await_end(state)
    assert running("22") == []
    with daemon.ensure_running(state) as client:
        end = time.monotonic() + 60
        while len(running("22")) != 2:
            assert time.monotonic() < end, "what is wanted starts with the server again"
            time.sleep(0.05)
        client.delete_resource(SHOP, "service", "web")
        assert follow(client) is RolloutPhase.GONE


def test_sigterm_ends_the_server_in_order_and_no_task(state: Path) -> None:
    others = set(running("55"))
    with daemon.ensure_running(state) as client:
        client.put_resource(SHOP, "service", "web", sleeper("55"))
        assert follow(client) is RolloutPhase.HEALTHY
        os.kill(client.about().pid, signal.SIGTERM)
    daemon.await_end(state)
    assert not daemon.socket_path(state).exists()
    assert "ended" in daemon.log_tail(state)
    left = set(running("55")) - others
    daemon.ensure_running(state).close()  # so that the fixture finds whom to ask to end it
    assert len(left) == 1


def test_api_describes_itself(state: Path) -> None:
    import httpx

    with daemon.ensure_running(state):
        transport = httpx.HTTPTransport(uds=str(daemon.socket_path(state)))
        with httpx.Client(transport=transport, base_url="http://orch") as http:
            document = http.get("/v1/openapi.json").json()
            put = document["paths"]["/v1/apps/{namespace}/{app}/resources/{kind}/{name}"]["put"]
            assert put["requestBody"]["required"]
            assert {"Problem"} <= document["components"]["schemas"].keys()
            answer = http.put("/v1/apps/a/b/resources/service/c", json={"body": "canary-77"})
            assert answer.headers["content-type"] == "application/problem+json"
            assert (answer.status_code, answer.json()["kind"]) == (400, "usage")
            assert "canary-77" not in answer.text
            assert http.get("/v1/nowhere").json()["kind"] == "not-found"


def test_older_server_is_replaced_and_its_tasks_go_on(state: Path) -> None:
    daemon.prepare(state)
    log = (state / "older.log").open("wb")
    older = subprocess.Popen(
        [sys.executable, "-c", OLDER, "--state", str(state)], stdout=log, stderr=log
    )
    try:
        end = time.monotonic() + 60
        while not daemon.socket_path(state).exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        from orch_native.client import NativeClient

        with NativeClient(daemon.socket_path(state)) as client:
            assert client.about().version == "0.0.1"
            client.put_resource(SHOP, "service", "web", sleeper("33"))
            assert follow(client) is RolloutPhase.HEALTHY
        before = running("33")
        with daemon.ensure_running(state) as client:
            assert client.about().pid != older.pid
            assert client.status(SHOP).services[0].ready == 1
        assert older.wait(10) == 0
        assert running("33") == before
    finally:
        log.close()
        if older.poll() is None:
            older.kill()
            older.wait()


def test_records_and_the_lock(state: Path) -> None:
    from orch.errors import Conflict

    with daemon.ensure_running(state) as client:
        client.create_record(SHOP, "r1/part", b"\x00data")
        with pytest.raises(Conflict, match="there already"):
            client.create_record(SHOP, "r1/part", b"other")
        assert client.read_record(SHOP, "r1/part") == b"\x00data"
        with pytest.raises(KeyError):
            client.read_record(SHOP, "r2")
        assert client.record_names(SHOP, "r1") == ["r1/part"]
        assert client.instances() == [("default", "shop")]
        client.delete_record(SHOP, "r1/part")
        held = client.acquire_lock(SHOP, "ann@host", 30)
        with pytest.raises(Locked, match="ann@host"):
            client.acquire_lock(SHOP, "bob@host", 30)
        assert client.renew_lock(SHOP, held.token, 30).expires > held.expires
        assert client.break_lock(SHOP) == "ann@host"
        with pytest.raises(Locked, match="lost"):
            client.renew_lock(SHOP, held.token, 30)
        short = client.acquire_lock(SHOP, "bob@host", 0.01)
        time.sleep(0.02)
        assert client.acquire_lock(SHOP, "ann@host", 30).token != short.token
        client.release_lock(SHOP, short.token)
        with pytest.raises(Locked):
            client.acquire_lock(SHOP, "bob@host", 30)


_HOLDER = """
import sys, time
from pathlib import Path
from orch.types import Instance
from orch_native.client import NativeClient
client = NativeClient(Path(sys.argv[1]))
client.acquire_lock(Instance("native", "default", "shop"), "ann@host", 300)
print("held", flush=True)
time.sleep(300)
"""


def test_nobody_waits_for_the_lock_of_a_process_that_was_killed(state: Path) -> None:
    with daemon.ensure_running(state) as client:
        command = [sys.executable, "-c", _HOLDER, str(daemon.socket_path(state))]
        holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(Locked, match="ann@host"):
                client.acquire_lock(SHOP, "bob@host", 30)
        finally:
            holder.kill()
            holder.communicate()
        assert client.acquire_lock(SHOP, "bob@host", 30).holder == "bob@host"


@pytest.mark.slow
def test_kill_at_any_moment_loses_nothing_accepted_and_doubles_nothing(state: Path) -> None:
    chance = random.Random(7)
    accepted = 0
    for number in range(1, LOOP_ROUNDS + 1):
        client = daemon.ensure_running(state)
        if accepted:
            kept = client.resource(SHOP, "service", "web")
            assert kept is not None
            assert kept.revision >= accepted
        pid = client.about().pid
        body = sleeper("44", 3, order=chance.choice(["stop-first", "start-first"]))
        body["environment"] = {"ROUND": str(number)}
        try:
            client.put_resource(SHOP, "service", "web", body, revision=number)
            accepted = number
            time.sleep(chance.random() * 0.8)
        except OrchError:
            pass
        client.close()
        os.kill(pid, signal.SIGKILL)
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait(5)
    with daemon.ensure_running(state) as client:
        assert follow(client) is RolloutPhase.HEALTHY
        replicas = client.status(SHOP).services[0].replicas
        assert sorted(replica.index for replica in replicas if replica.ready) == [0, 1, 2]
        assert len(running("44")) == 3
        rounds = {psutil.Process(pid).environ()["ROUND"] for pid in running("44")}
        assert rounds == {str(accepted)}
        client.delete_resource(SHOP, "service", "web")
        assert follow(client) is RolloutPhase.GONE
    assert running("44") == []


def test_a_state_that_is_not_ours_or_no_folder_is_told_with_a_way_out(tmp_path: Path) -> None:
    plain = tmp_path / "file"
    plain.write_text("")
    with pytest.raises(UsageFault, match=r"can't be a state folder.*ORCH_STATE"):
        daemon.ensure_running(plain)
    if os.geteuid() != 0:
        pytest.skip("only root can leave a folder to another user")
    state = tmp_path / "theirs"
    state.mkdir(mode=0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(Denied, match=r"another user.*ORCH_STATE"):
            daemon.ensure_running(state)
    finally:
        os.seteuid(0)


def test_a_server_that_is_gone_is_told_in_plain_words(tmp_path: Path) -> None:
    from orch_native.client import NativeClient

    with NativeClient(tmp_path / "orch.sock") as client, pytest.raises(Unreachable) as caught:
        client.about()
    told = str(caught.value)
    assert "does not answer: No such file or directory" in told
    assert "start it with `orch server`" in told
