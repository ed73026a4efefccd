"""Values that stay in the manifests they stand in."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from orch.backend.discovery import installed
from orch.errors import UsageFault

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-7f31"
LOGINS = {
    "auths": {
        "ghcr.io": {"username": "ci", "password": CANARY},
        "quay.io": {"auth": base64.b64encode(f"bot:{CANARY}".encode()).decode()},
    }
}
MANIFEST = f"""
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Secret
    metadata: {{name: db, namespace: shop}}
    data: {{password: {base64.b64encode(CANARY.encode()).decode()}, bytes: gIGC, broken: "%%%"}}
  - apiVersion: v1
    kind: Secret
    metadata: {{name: logins}}
    stringData: {{.dockerconfigjson: '{json.dumps(LOGINS)}', other: "{{}}"}}
---
apiVersion: route.openshift.io/v1
kind: Route
metadata: {{name: web}}
spec: {{tls: {{key: {CANARY}}}}}
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "secrets.yaml").write_text(MANIFEST)
    return tmp_path


def read(base: Path, **source: Any) -> str:
    provider = installed().secret_providers["manifest"]
    return str(provider.read("db", {"path": "secrets.yaml", **source}, base))


@pytest.mark.parametrize(
    "source",
    [
        {"key": "Secret/db/password"},
        {"key": "Secret/shop/db/password"},
        {"key": "Route/web/spec.tls.key"},
        {"key": "Secret/logins/.dockerconfigjson", "options": {"registry": "ghcr.io"}},
        {"key": "Secret/logins/.dockerconfigjson", "options": {"registry": "quay.io"}},
    ],
    ids=lambda source: source["key"],
)
def test_a_value_is_found(base: Path, source: dict[str, Any]) -> None:
    assert read(base, **source) == CANARY


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ({"key": "Secret/db/missing"}, "has no Secret/db/missing"),
        ({"key": "Secret/other/db/password"}, "has no Secret/other/db/password"),
        ({"key": "Route/web/spec.tls"}, "has no Route/web"),
        ({"key": "password"}, "names no key of an object"),
        ({}, "names no key of an object"),
        ({"key": "Secret/db/bytes"}, "not text in base64"),
        ({"key": "Secret/db/broken"}, "not text in base64"),
        ({"key": "Secret/logins/other", "options": {"registry": "ghcr.io"}}, "holds no login"),
        ({"key": "Secret/db/password", "options": {"registry": "ghcr.io"}}, "holds no login"),
        ({"path": None, "key": "Secret/db/password"}, "needs a path"),
        ({"path": "none.yaml", "key": "Secret/db/password"}, "no such file"),
    ],
)
def test_a_fault_names_no_value(base: Path, source: dict[str, Any], fault: str) -> None:
    with pytest.raises(UsageFault, match=fault) as raised:
        read(base, **source)
    assert CANARY not in str(raised.value)


def test_it_has_no_versions_of_its_own(base: Path) -> None:
    provider = installed().secret_providers["manifest"]
    assert provider.version("db", {"path": "secrets.yaml"}, base) is None
