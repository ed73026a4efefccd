"""A list that is written empty asks for nothing, and so nothing of it gets lost."""

from __future__ import annotations

import pytest

from orch.backend.discovery import installed
from orch.compile.compile import compile_app
from orch.spec.application import Application
from orch.types import Fidelity, parse_path

LISTS = (
    "secrets", "configs", "volumes", "ports", "cap_drop", "security_opt", "devices", "pre_start",
    "post_start", "pre_stop", "profiles", "dns", "group_add",
)  # fmt: skip
PLACEMENT = ("constraints", "preferences", "tolerations", "affinity", "anti_affinity")


@pytest.mark.parametrize("name", ["kubernetes", "native", "swarm"])
def test_a_list_that_is_written_empty_loses_nothing(name: str) -> None:
    said = {field: [] for field in LISTS}
    placed = {"placement": {field: [] for field in PLACEMENT}}
    web = {"image": "ghcr.io/acme/web:1", **said, "deploy": placed}
    app = Application.model_validate({"name": "shop", "services": {"web": web}, "routes": []})
    ledger = compile_app(installed().backends[name].create({}), app).ledger
    rows = {entry.path: entry.outcome for entry in ledger}
    paths = ["routes", *(f"services.web.{field}" for field in LISTS)]
    paths += [f"services.web.deploy.placement.{field}" for field in PLACEMENT]
    assert {path: rows[parse_path(path)] for path in paths} == dict.fromkeys(paths, Fidelity.NATIVE)


def test_a_list_that_is_not_empty_is_lost_all_the_same() -> None:
    web = {"image": "ghcr.io/acme/web:1", "post_start": [{"command": ["a"]}]}
    app = Application.model_validate({"name": "shop", "services": {"web": web}})
    ledger = compile_app(installed().backends["swarm"].create({}), app).ledger
    assert ledger.worst() is Fidelity.LOST
