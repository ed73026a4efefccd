"""What others say in other words is no difference."""

from __future__ import annotations

from typing import Any

import pytest

from orch_swarm.meaning import understood

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a check by the shell": (
        {"Container": {"Healthcheck": {"Test": ["CMD-SHELL", "true"]}}},
        {"Container": {"Healthcheck": {"Test": ["CMD", "/bin/sh", "-c", "true"]}}},
    ),
    "spaces in a rule": (
        {"Placement": {"Constraints": ["node.role == manager"]}},
        {"Placement": {"Constraints": ["node.role==manager"]}},
    ),
    "the order of aliases": (
        {"Networks": {"front": {"Aliases": ["www", "web"]}}},
        {"Networks": {"front": {"Aliases": ["web", "www"]}}},
    ),
    "what is usual": (
        {"Container": {}},
        {
            "Container": {"StopGracePeriod": 10_000_000_000},
            "RestartPolicy": {"Condition": "any", "Delay": 5_000_000_000},
            "EndpointSpec": {"Mode": "vip"},
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_in_other_words_is_the_same(name: str) -> None:
    live, wanted = CASES[name]
    assert understood(live, wanted) == wanted


def test_what_differs_stays() -> None:
    live = {
        "Container": {"StopGracePeriod": 1, "Healthcheck": {"Test": ["CMD-SHELL", "a"]}},
        "Placement": {"Constraints": ["node.role == manager"]},
        "Networks": {"front": {"Aliases": ["web"]}},
    }
    wanted = {
        "Container": {"StopGracePeriod": 10_000_000_000, "Healthcheck": {"Test": ["CMD", "a"]}},
        "Placement": {"Constraints": ["node.role==worker"]},
        "Networks": {"front": {"Aliases": ["web", "www"]}},
    }
    assert understood(live, wanted) == live
