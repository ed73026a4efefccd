"""Probes over http and tcp are commands in the container: what that needs is told beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.types import Fidelity, Verdict
from orch_swarm.health import HTTP_TOOL, MEND, TCP_TOOL
from tests.integration.swarm.images import TRAEFIK_IMAGE, traefik_image

if TYPE_CHECKING:
    from pathlib import Path

    from orch.testing.conformance import Trial
    from tests.integration.conftest import Engine

pytestmark = [pytest.mark.docker, pytest.mark.root]


def serving(image: str, *command: str, **probe: Any) -> dict[str, Any]:
    """A server on port 8080 with a readiness probe."""
    quick = {"interval": "200ms", "timeout": "2s", "failure_threshold": 2}
    update = {"monitor": "1s", "progress_deadline": "15s"}
    service = {
        "image": image,
        "command": list(command),
        "probes": {"readiness": {**probe, **quick}},
        "stop_grace_period": "1s",
        "deploy": {"update_config": update},
    }
    return {"services": {"web": service}}


@pytest.mark.parametrize(
    ("probe", "tool"),
    [({"http": {"port": 8080}}, HTTP_TOOL), ({"tcp": {"port": 8080}}, TCP_TOOL)],
    ids=["http", "tcp"],
)
def test_a_probe_whose_image_has_the_tool_passes_and_says_what_it_needs(
    trial: Trial, tool_image: str, probe: dict[str, Any], tool: str
) -> None:
    document = serving(tool_image, "httpd", "-f", "-p", "8080", "-h", "/www", **probe)
    rows = [r for r in trial.plan(document).manifest.ledger.notable if tool in r.reason]
    assert rows
    assert {(r.outcome, r.mend) for r in rows} == {(Fidelity.DEGRADED, MEND)}
    trial.deployed(document)
    assert trial.service().ready == 1


def test_a_probe_whose_image_has_no_tool_fails_with_the_reason(
    trial: Trial, dockerd: Engine, tmp_path: Path
) -> None:
    traefik_image(dockerd, tmp_path)
    command = ("traefik", "--entrypoints.web.address=:8080")
    document = serving(TRAEFIK_IMAGE, *command, http={"port": 8080, "path": "/"})
    outcome = trial.deploy(document)
    assert outcome.verdict is not Verdict.DONE
    assert "see that the image holds what the check runs" in trial.told(), trial.told()
