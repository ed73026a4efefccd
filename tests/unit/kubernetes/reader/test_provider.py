"""Values that stay in the manifests they stand in."""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import orch.load.files
from orch.backend.discovery import installed
from orch.errors import UsageFault
from orch_kubernetes.reader import KubernetesReader
from orch_kubernetes.reader.contents import NOT_KEPT

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


def read(base: Path, **source: Any) -> bytes:
    provider = installed().secret_providers["manifest"]
    given = provider.read("db", {"path": "secrets.yaml", **source}, base)
    return given if isinstance(given, bytes) else given.encode()


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
    assert read(base, **source) == CANARY.encode()


def test_a_value_that_is_no_text_is_read_to_the_byte(base: Path) -> None:
    assert read(base, key="Secret/db/bytes") == b"\x80\x81\x82"


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ({"key": "Secret/db/missing"}, "has no Secret/db/missing"),
        ({"key": "Secret/other/db/password"}, "has no Secret/other/db/password"),
        ({"key": "Route/web/spec.tls"}, "has no Route/web"),
        ({"key": "password"}, "names no key of an object"),
        ({}, "names no key of an object"),
        ({"key": "Secret/db/broken"}, "is not base64"),
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


PIPED = b"""
apiVersion: v1
kind: Secret
metadata: {name: db}
data: {bytes: gIGC, text: bWFkZSB1cA==}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers: [{name: web, image: "web:1", volumeMounts: [{name: db, mountPath: /db}]}]
  volumes: [{name: db, secret: {secretName: db}}]
"""


def test_a_value_that_is_kept_nowhere_is_asked_for_in_base64_when_it_is_no_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orch.load.files._stdin.cache_clear()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PIPED)))
    reading = KubernetesReader().read([Path("-")], {}, ())
    orch.load.files._stdin.cache_clear()
    assert reading.document["secrets"] == {
        "db.bytes": {"provider": "env", "key": "DB_BYTES", "encoding": "base64"},
        "db.text": {"provider": "env", "key": "DB_TEXT"},
    }
    mends = {row.mend for row in reading.ledger.notable if row.reason == NOT_KEPT}
    asked = "set the variable DB_BYTES to the value in base64"
    assert mends == {asked, "set the variable DB_TEXT"}
