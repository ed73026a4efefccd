"""When an ended replica is started again."""

from __future__ import annotations

from typing import Any

import pytest

from orch.spec.deploy import RestartPolicy
from orch_native.agent.restart import LONGEST_PAUSE, Verdict, decide


def end(policy: dict[str, Any] | None = None, **more: Any) -> Verdict:
    known = {"is_job": False, "failed": True, "ran": 0.0, "streak": 0, "limit": 3} | more
    return decide(RestartPolicy.model_validate(policy) if policy is not None else None, **known)


def test_a_service_without_policy_comes_back_whatever_its_end() -> None:
    assert end() == Verdict(again=True, pause=5.0, streak=1)
    assert end(failed=False).again


@pytest.mark.parametrize(("streak", "pause"), [(0, 2.0), (1, 4.0), (2, 8.0), (30, LONGEST_PAUSE)])
def test_the_pause_doubles_up_to_a_bound(streak: int, pause: float) -> None:
    assert end({"delay": "2s"}, streak=streak).pause == pause


def test_a_long_delay_is_never_shortened() -> None:
    assert end({"delay": "10m"}, streak=5).pause == 600


def test_a_steady_run_ends_the_streak() -> None:
    assert end({"delay": "1s", "window": "10s"}, ran=10, streak=7) == Verdict(
        again=True, pause=1.0, streak=1
    )
    assert end({"delay": "1s", "window": "10s"}, ran=9.9, streak=1).streak == 2


def test_attempts_are_bounded() -> None:
    assert end({"max_attempts": 2}, streak=1).again
    assert end({"max_attempts": 2}, streak=2) == Verdict(
        again=False, reason="given up after 2 restarts"
    )
    assert not end({"max_attempts": 0}).again


@pytest.mark.parametrize(
    ("condition", "failed", "again"),
    [
        ("none", True, False),
        ("on-failure", False, False),
        ("on-failure", True, True),
        ("any", False, True),
    ],
)
def test_conditions(condition: str, failed: bool, again: bool) -> None:
    assert end({"condition": condition}, failed=failed).again is again


def test_a_job_is_restarted_in_place_only_where_it_asks_for_it() -> None:
    assert not end(is_job=True).again
    assert not end({"condition": "any"}, is_job=True, failed=False).again
    assert end({"condition": "on-failure"}, is_job=True, streak=2).again
    assert not end({"condition": "on-failure"}, is_job=True, streak=3).again
