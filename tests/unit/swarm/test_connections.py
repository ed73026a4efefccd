"""Which engine is meant, and what ssh is asked to run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from orch.errors import UsageFault
from orch_swarm.contexts import USUAL, Endpoint, endpoint
from orch_swarm.ssh import command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two contexts; `lab` is the current one."""
    for name, said in (
        ("lab", {"Host": "tcp://lab:2376"}),
        ("far", {"Host": "ssh://far", "SkipTLSVerify": True}),
    ):
        meta = tmp_path / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
        meta.mkdir(parents=True)
        text = json.dumps({"Name": name, "Endpoints": {"docker": said}})
        (meta / "meta.json").write_text(text)
    (tmp_path / "config.json").write_text('{"currentContext": "lab"}')
    return tmp_path


@pytest.mark.parametrize(
    ("asked", "variables", "wanted"),
    [
        (None, {}, Endpoint("tcp://lab:2376")),
        ("far", {}, Endpoint("ssh://far", verify=False)),
        ("far", {"DOCKER_HOST": "tcp://h"}, Endpoint("ssh://far", verify=False)),
        (None, {"DOCKER_CONTEXT": "far"}, Endpoint("ssh://far", verify=False)),
        (
            None,
            {"DOCKER_HOST": "tcp://h", "DOCKER_CONTEXT": "far"},
            Endpoint("tcp://h", verify=False),
        ),
        ("default", {}, Endpoint(USUAL, verify=False)),
        (
            None,
            {"DOCKER_HOST": "tcp://h", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"},
            Endpoint("tcp://h", Path("/c")),
        ),
    ],
)
def test_what_docker_would_use(
    folder: Path, asked: str | None, variables: dict[str, str], wanted: Endpoint
) -> None:
    assert endpoint(asked, {"DOCKER_CONFIG": str(folder), **variables}) == wanted


def test_what_can_not_be_read_is_named(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(UsageFault, match=r"config\.json"):
        endpoint(None, {"DOCKER_CONFIG": str(folder)})
    with pytest.raises(UsageFault, match="no docker context 'gone'"):
        endpoint("gone", {"DOCKER_CONFIG": str(folder)})


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("ssh://m1", ["--", "m1", "docker", "system", "dial-stdio"]),
        (
            "ssh://ops@m1:2222",
            ["-l", "ops", "-p", "2222", "--", "m1", "docker", "system", "dial-stdio"],
        ),
        (
            "ssh://m1/run/d.sock",
            ["--", "m1", "docker", "--host", "unix:///run/d.sock", "system", "dial-stdio"],
        ),
    ],
)
def test_what_ssh_is_asked_to_run(host: str, wanted: list[str]) -> None:
    said = command(host)
    assert said[0] == "ssh"
    assert said[-len(wanted) :] == wanted


@pytest.mark.parametrize("host", ["ssh://", "ssh://m1:port", "ssh://ops:canary@m1"])
def test_addresses_that_are_none(host: str) -> None:
    with pytest.raises(UsageFault) as fault:
        command(host)
    assert "canary" not in str(fault.value)
