"""Logs, commands in replicas, events, figures, and reasons."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from orch.backend.contract import (
    SupportsEvents,
    SupportsExec,
    SupportsForward,
    SupportsLogs,
    SupportsMetrics,
    SupportsWhy,
)
from orch.errors import UsageFault
from orch.testing.conformance.trial import Cases, Trial, needs
from orch.testing.workloads import PORT


class LookCases(Cases):
    """What can be seen of something that runs."""

    @needs("logs")
    def test_logs_of_every_replica_can_be_read(self, trial: Trial) -> None:
        assert isinstance(trial.backend, SupportsLogs)
        trial.deployed(trial.web("one", replicas=2))
        lines = trial.eventually("two lines", lambda: self._lines(trial, two=2))
        assert {line.text for line in lines} == {"serving one"}
        assert len({line.replica for line in lines}) == 2
        assert all(line.service == "web" and line.time > 0 for line in lines)

    @staticmethod
    def _lines(trial: Trial, two: int) -> list[Any]:
        lines = list(trial.logs())
        return lines if len(lines) >= two else []

    @needs("logs")
    def test_logs_are_chosen_by_tail_and_time(self, trial: Trial) -> None:
        talker = trial.shell("for i in 1 2 3 4 5; do echo line $i; done; sleep 600")
        trial.deployed({"services": {"talk": talker}})
        lines = trial.eventually("five lines", lambda: self._lines(trial, two=5))
        assert [line.text for line in lines] == [f"line {n}" for n in range(1, 6)]
        assert [line.text for line in trial.logs(tail=2)] == ["line 4", "line 5"]
        assert list(trial.logs(since=lines[-1].time + 60)) == []
        assert [line.text for line in trial.logs(services=("talk",), tail=1)] == ["line 5"]

    @needs("logs")
    def test_logs_are_followed(self, trial: Trial) -> None:
        trial.deployed({"services": {"talk": trial.shell("while :; do echo more; sleep 1; done")}})
        seen: list[str] = []
        enough = threading.Event()

        def follow() -> None:
            for line in trial.logs(follow=True):
                seen.append(line.text)
                if len(seen) >= 4:
                    enough.set()
                    return

        threading.Thread(target=follow, daemon=True).start()
        assert enough.wait(30), seen

    @needs("exec")
    def test_a_command_runs_in_a_replica(
        self, trial: Trial, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert isinstance(trial.backend, SupportsExec)
        trial.deployed(trial.web("one"))
        command = ["sh", "-c", 'echo "text $TEXT"; echo wrong >&2; exit 7']
        replica = trial.service().replicas[0].id
        code = trial.backend.exec(trial.instance, "web", replica, command, tty=False)
        assert code == 7
        said = capfd.readouterr()
        assert (said.out, said.err) == ("text one\n", "wrong\n")

    @needs("forward")
    def test_a_port_of_a_replica_is_reached_from_here(self, trial: Trial) -> None:
        backend = trial.backend
        assert isinstance(backend, SupportsForward)
        trial.deployed(trial.web("one"))
        assert backend.port_of(trial.instance, "web", "http") == PORT
        with pytest.raises(UsageFault, match="metrics"):
            backend.port_of(trial.instance, "web", "metrics")
        tunnel = backend.dial(trial.instance, "web", "", PORT)
        tunnel.send(b"GET / HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(tunnel.receive, b""))
        tunnel.close()
        assert answer.split()[1] == b"200"
        assert answer.endswith(b"one")

    @needs("events")
    def test_events_tell_what_happened(self, trial: Trial) -> None:
        assert isinstance(trial.backend, SupportsEvents)
        trial.deployed(trial.web("one"))
        told = list(trial.backend.events(trial.instance, follow=False, since=None))
        assert any(event.id.startswith("service/web") for event in told), told
        assert all(event.time > 0 for event in told)

    @needs("metrics")
    def test_use_of_memory_is_told_by_replica(self, trial: Trial) -> None:
        backend = trial.backend
        assert isinstance(backend, SupportsMetrics)
        trial.deployed(trial.web("one"))
        replica = trial.service().replicas[0].id
        figures = trial.eventually(
            "figures", lambda: backend.metrics(trial.instance).get(replica, {})
        )
        assert figures["memory"] > 0
        assert figures["cpu"] >= 0

    @needs("why")
    def test_what_runs_explains_where_it_is(self, trial: Trial) -> None:
        backend = trial.backend
        assert isinstance(backend, SupportsWhy)
        trial.deployed(trial.web("one"))
        assert " ".join(backend.why(trial.instance, "web")).strip()
