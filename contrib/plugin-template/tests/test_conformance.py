"""The suite that every backend passes; what the platform can't do, its capabilities say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from orch_example.backend import ExampleBackend

from orch.testing.conformance import BackendConformance
from orch.testing.workloads import Scripted

if TYPE_CHECKING:
    from pathlib import Path

RUNS_NOTHING = "a file runs nothing, so nothing can fail"
TO_DO = {
    "test_a_first_deploy_that_fails_says_so": RUNS_NOTHING,
    "test_a_failed_update_is_rolled_back": RUNS_NOTHING,
    "test_something_that_can_not_start_fails_with_its_reason": RUNS_NOTHING,
    "test_what_failed_is_tried_again_as_it_is": RUNS_NOTHING,
    "test_what_waits_for_a_failed_service_is_not_touched": RUNS_NOTHING,
    "test_a_changed_config_is_shown_and_replaces_replicas": "compile carries no configs",
    "test_a_secret_that_is_no_text_is_refused_as_a_variable": "compile carries no secrets",
    "test_a_secret_value_is_in_nothing_that_is_shown_or_kept": "compile carries no secrets",
}


class TestExample(BackendConformance):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> ExampleBackend:
        return ExampleBackend({"path": str(tmp_path)})

    @pytest.fixture
    def workload(self) -> Scripted:
        """What the cases run: name a command or image that your platform can start."""
        return Scripted()

    @pytest.fixture(autouse=True)
    def _to_do(self, request: pytest.FixtureRequest) -> None:
        """Strict: a case that passes must leave the list."""
        if reason := TO_DO.get(request.function.__name__):
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
