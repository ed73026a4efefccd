"""Secrets of a swarm: how many bytes the engine takes, and that we refuse all others before."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import OrchError, UsageFault
from orch_swarm.capabilities import LIMITS

if TYPE_CHECKING:
    from orch.testing.conformance import Trial
    from orch_swarm.backend import SwarmBackend

pytestmark = [pytest.mark.docker, pytest.mark.root]
LEAST, MOST = 1, 500 * 1024 - 1


def of_bytes(size: int) -> bytes:
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def document(trial: Trial) -> dict[str, Any]:
    web = {**trial.web_service(), "secrets": [{"source": "keys", "target": "keys.p12"}]}
    return {"services": {"web": web}, "secrets": {"keys": {"provider": "env"}}}


@pytest.mark.parametrize("size", [LEAST - 1, LEAST, MOST, MOST + 1])
def test_the_engine_takes_what_we_take(backend: SwarmBackend, trial: Trial, size: int) -> None:
    assert LIMITS["secret_bytes"] == (LEAST, MOST)
    data = base64.b64encode(of_bytes(size)).decode()
    asked = {"Name": f"{trial.instance.name}-probe", "Labels": {}, "Data": data}
    trial.secrets.values["keys"] = of_bytes(size)
    if LEAST <= size <= MOST:
        backend.client.post("/secrets/create", asked)
        backend.client.delete(f"/secrets/{asked['Name']}")
        trial.plan(document(trial))
        return
    with pytest.raises(OrchError):
        backend.client.post("/secrets/create", asked)
    with pytest.raises(UsageFault, match=rf"secrets\.keys: its value has {size} bytes"):
        trial.plan(document(trial))


def test_the_largest_arrives_to_the_byte(trial: Trial) -> None:
    trial.secrets.values["keys"] = of_bytes(MOST)
    trial.deployed(document(trial))
    wanted = sha256(of_bytes(MOST)).hexdigest()
    assert trial.exec(f'test "$(sha256sum < /run/secrets/keys.p12)" = "{wanted}  -"') == 0
