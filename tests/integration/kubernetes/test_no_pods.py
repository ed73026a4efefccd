"""Pods that can't be made or started: the reason is told, and nothing is waited for without end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.spec.deploy import UpdateConfig
from orch.types import Verdict
from orch_kubernetes.watch import rollout

if TYPE_CHECKING:
    from orch.testing.conformance import Trial
    from tests.kubernetes_api.server import Api

FORBIDDEN = 'violates PodSecurity "restricted:latest": runAsNonRoot != true'
SOON = UpdateConfig(progress_deadline="2s")


def job(trial: Trial, **said: Any) -> dict[str, Any]:
    return {**trial.web(), "jobs": {"migrate": {"image": "busybox:1", **said}}}


@pytest.mark.parametrize("deploy", [{"mode": "global"}, {"ordered": True}])
def test_the_reason_of_pods_that_are_not_admitted_is_told(
    trial: Trial, kubernetes_api: Api, deploy: dict[str, Any]
) -> None:
    kubernetes_api.controllers.forbids = FORBIDDEN
    update = {"progress_deadline": "2s", "order": "stop-first", "monitor": "0s"}
    outcome = trial.deploy(trial.web(update_config=update, **deploy))
    assert outcome.verdict is Verdict.FAILED
    assert FORBIDDEN in trial.told()


def test_a_job_whose_pod_is_not_admitted_ends_with_the_reason(
    trial: Trial, kubernetes_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout, "USUAL", SOON)
    trial.deployed(trial.web())
    kubernetes_api.controllers.forbids = FORBIDDEN
    outcome = trial.deploy(job(trial))
    assert "0 of 1 done after 2 s" in outcome.failed["job/migrate"]
    assert FORBIDDEN in trial.told()


def test_a_job_that_never_starts_is_given_up(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "USUAL", SOON)
    outcome = trial.deploy(job(trial, image="slow/image"))
    assert "0 of 1 done after 2 s" in outcome.failed["job/migrate"]
    assert "i/o timeout" in outcome.failed["job/migrate"]


def test_a_refusal_that_is_over_is_no_reason_any_more(trial: Trial, kubernetes_api: Api) -> None:
    kubernetes_api.controllers.forbids = FORBIDDEN
    deploy = {"mode": "global", "update_config": {"progress_deadline": "1s", "monitor": "0s"}}
    assert trial.deploy(trial.web(**deploy)).verdict is Verdict.FAILED
    kubernetes_api.controllers.forbids = ""
    trial.deployed(trial.web(**deploy))
    slow = {"image": "slow/image", **trial.web(**deploy)["services"]["web"]} | {
        "image": "slow/image"
    }
    outcome = trial.deploy({**trial.web(), "services": {"web": slow}})
    assert FORBIDDEN not in outcome.failed["service/web"]
