"""A spec without its apiVersion is taken for a Compose file: its own keys tell what is missing."""

from __future__ import annotations

import pytest

from orch.spec.application import Application, Service
from orch.spec.deploy import Deploy
from orch_compose.schema import COMPOSE, SERVICE
from orch_compose.schema_parts import DEPLOY
from orch_compose.shape import Either, Keys


@pytest.mark.parametrize(
    ("model", "shape"), [(Application, COMPOSE), (Service, SERVICE), (Deploy, DEPLOY)]
)
def test_every_key_that_only_orch_has_points_to_the_api_version(
    model: type[Application | Service | Deploy], shape: Keys | Either
) -> None:
    keys = shape.keys if isinstance(shape, Either) else shape
    assert isinstance(keys, Keys)
    for key in model.model_fields.keys() - keys.fields.keys() - {"apiVersion", "resources"}:
        assert "apiVersion: orch/v1" in keys.elsewhere.get(key, ""), key
