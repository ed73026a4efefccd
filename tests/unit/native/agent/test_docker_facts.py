from __future__ import annotations

import threading
import time

import pytest

from orch_native.agent import docker_facts
from orch_native.agent.docker_facts import EngineFacts
from orch_native.agent.driver import Unreached

Answer = tuple[dict[str, str], dict[str, str]]


def test_an_engine_that_hangs_is_away_after_a_moment_and_there_once_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docker_facts, "PATIENCE", 0.2)
    answers, calls = threading.Event(), []

    def version() -> Answer:
        calls.append(time.monotonic())
        answers.wait(30)
        return {"Name": "here"}, {"Version": "20.10"}

    facts = EngineFacts("docker", frozenset({"exec"}), version)
    begun = time.monotonic()
    found = facts.now()
    assert not found.available
    assert "does not answer within 0.2 seconds" in found.reason
    again = [facts.now() for _ in range(100)]
    assert not any(found.available for found in again)
    assert time.monotonic() - begun < 2
    assert len(calls) == 1
    answers.set()
    while not (found := facts.now()).available:
        assert time.monotonic() - begun < 10
    assert (found.version, found.features) == ("20.10", frozenset({"exec"}))
    assert facts.look().info == {"Name": "here"}


def test_an_engine_that_was_just_started_is_seen_soon() -> None:
    up = False

    def version() -> Answer:
        if not up:
            raise Unreached("no Docker engine answers at unix:///x: Connection refused")
        return {}, {"Version": "20.10"}

    facts = EngineFacts("docker", frozenset(), version)
    assert "Connection refused" in facts.now().reason
    up = True
    until = time.monotonic() + docker_facts.BAD_SECONDS + 1
    while not facts.now().available:
        assert time.monotonic() < until


def test_a_fault_of_ours_is_not_taken_for_an_absent_engine() -> None:
    def version() -> Answer:
        raise ZeroDivisionError

    facts = EngineFacts("docker", frozenset(), version)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            facts.now()
