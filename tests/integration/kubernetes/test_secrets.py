"""What Secrets hold on the API: the very bytes, also once they come back from an earlier one."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from orch.apply.session import Session
from orch.backend.discovery import installed
from orch.errors import UsageFault
from orch.load.source import Source, load
from orch.types import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from orch.testing.conformance import Trial
    from tests.kubernetes_api.server import Api

EVERY_BYTE = bytes(range(256))
PEM = "-----BEGIN CERTIFICATE-----\nbWFkZSB1cA==\n"
PASSWORD = 'p"ss\\wörd'


def document(trial: Trial, **more: Any) -> dict[str, Any]:
    web = trial.web_service()
    return {
        "services": {"web": {**web, "secrets": [{"source": "keys", "target": "keys.p12"}]}},
        "secrets": {"keys": {"provider": "env"}},
        **more,
    }


def encrypted(trial: Trial) -> dict[str, Any]:
    """A spec with secrets of every kind: a file, a login, a certificate with its key."""
    trial.secrets.values |= {"login": PASSWORD, "crt": PEM, "key": PEM[::-1]}
    names = ("keys", "login", "crt", "key")
    pair = {"cert": {"secret": "crt"}, "key": {"secret": "key"}}
    return document(
        trial,
        secrets={name: {"provider": "env"} for name in names},
        registries={"registry.example.com": {"username": "ci", "password": {"secret": "login"}}},
        routes=[{"host": "shop.example.com", "service": "web", "port": "http", "tls": pair}],
    )


def held(api: Api, start: str) -> dict[str, bytes]:
    """What the Secret holds whose name starts so, of those that something names."""
    users = ("Deployment", "ServiceAccount", "Ingress", "Gateway")
    rows = api.platform.objects.values()
    texts = json.dumps([row for row in rows if row["kind"] in users])
    (found,) = (
        row
        for (_, plural, _, name), row in api.platform.objects.items()
        if plural == "secrets" and name.startswith(start) and f'"{name}"' in texts
    )
    return {key: base64.b64decode(text) for key, text in found["data"].items()}


def apply(trial: Trial, plan: Any) -> None:
    outcome = trial.run(plan, wait=False, rollback=False)
    assert outcome.verdict is Verdict.DONE, outcome


def test_the_very_bytes_are_held(trial: Trial, kubernetes_api: Api) -> None:
    trial.secrets.values["keys"] = EVERY_BYTE
    apply(trial, trial.plan(encrypted(trial)).plan)
    assert held(kubernetes_api, "keys-") == {"keys": EVERY_BYTE}
    assert held(kubernetes_api, "tls-") == {"tls.crt": PEM.encode(), "tls.key": PEM[::-1].encode()}
    login = json.loads(held(kubernetes_api, "registry-")[".dockerconfigjson"])
    assert login["auths"]["registry.example.com"]["password"] == PASSWORD
    assert trial.pending(encrypted(trial)) == []
    assert trial.session().drift() == ()


def test_new_labels_leave_what_is_held(trial: Trial, kubernetes_api: Api) -> None:
    trial.secrets.values["keys"] = EVERY_BYTE
    apply(trial, trial.plan(encrypted(trial)).plan)
    labelled = {**encrypted(trial), "labels": {"team": "shop"}}
    changed = {action.id for action in trial.plan(labelled).plan.pending}
    assert {"secret/keys", "certificate/shop.example.com"} <= changed
    apply(trial, trial.plan(labelled).plan)
    assert held(kubernetes_api, "keys-") == {"keys": EVERY_BYTE}
    assert held(kubernetes_api, "tls-") == {"tls.crt": PEM.encode(), "tls.key": PEM[::-1].encode()}
    assert "{{orch." not in json.dumps(list(kubernetes_api.platform.objects.values()))


def test_bytes_that_the_cluster_holds_are_not_read_again(trial: Trial, kubernetes_api: Api) -> None:
    trial.secrets.values["keys"] = EVERY_BYTE
    apply(trial, trial.plan(encrypted(trial)).plan)
    renamed = encrypted(trial)
    renamed["secrets"]["keys"]["name"] = "other"
    apply(trial, trial.plan(renamed).plan)
    assert held(kubernetes_api, "other-") == {"keys": EVERY_BYTE}
    trial.secrets.values["keys"] = EVERY_BYTE[::-1]
    apply(trial, trial.plan(encrypted(trial)).plan)
    assert held(kubernetes_api, "keys-") == {"keys": EVERY_BYTE[::-1]}
    trial.secrets.values.clear()
    apply(trial, trial.session().rollback_plan(1))
    assert held(kubernetes_api, "keys-") == {"keys": EVERY_BYTE}


@pytest.mark.parametrize(
    ("secret", "place"),
    [
        ("login", r'registries\["registry\.example\.com"\]\.password'),
        ("crt", r"routes\[0\]\.tls\.cert"),
    ],
)
def test_a_login_or_a_certificate_that_is_no_text_is_refused_before(
    trial: Trial, kubernetes_api: Api, secret: str, place: str
) -> None:
    wanted = encrypted(trial)
    trial.secrets.values |= {"keys": EVERY_BYTE, secret: EVERY_BYTE}
    with pytest.raises(UsageFault, match=rf"{place}: the secret '{secret}' is not UTF-8 text"):
        trial.plan(wanted)
    made = {name for (_, plural, _, name) in kubernetes_api.platform.objects if plural == "secrets"}
    assert made == {"orch.shop.key"}, "only what keyed hashes are made with"


@pytest.mark.parametrize("more", [0, 1])
def test_a_mebibyte_of_bytes_is_the_most(trial: Trial, kubernetes_api: Api, more: int) -> None:
    trial.secrets.values["keys"] = bytes(range(256)) * 4096 + b"x" * more
    if more:
        with pytest.raises(UsageFault, match=r"secrets\.keys: its value has 1048577 bytes"):
            trial.plan(document(trial))
        return
    apply(trial, trial.plan(document(trial)).plan)
    assert len(held(kubernetes_api, "keys-")["keys"]) == 1 << 20


MANIFESTS = f"""
apiVersion: v1
kind: Secret
metadata: {{name: web}}
data: {{keys.p12: {base64.b64encode(EVERY_BYTE).decode()}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
        - {{name: web, image: "busybox:1", volumeMounts: [{{name: keys, mountPath: /keys}}]}}
      volumes: [{{name: keys, secret: {{secretName: web}}}}]
"""
COMPOSE = """
services:
  web: {image: "busybox:1", secrets: [{source: keys, target: /keys/keys.p12}]}
secrets:
  keys: {file: ./keys.p12}
"""


@pytest.mark.parametrize(("name", "text"), [("m.yaml", MANIFESTS), ("compose.yaml", COMPOSE)])
def test_bytes_of_other_formats_are_held(
    trial: Trial, kubernetes_api: Api, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "keys.p12").write_bytes(EVERY_BYTE)
    loaded = load(Source((tmp_path / name,)), installed().readers)
    app = loaded.app.model_copy(update={"name": trial.instance.name})
    providers = installed().secret_providers
    session = Session(trial.backend, trial.instance, providers=providers, base=loaded.base)
    outcome = session.apply(session.plan(app).plan, wait=False, rollback=False)
    assert outcome.verdict is Verdict.DONE, outcome
    (value,) = held(kubernetes_api, "keys" if name == "compose.yaml" else "web").values()
    assert value == EVERY_BYTE
