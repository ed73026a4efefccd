"""Settings of Kubernetes alone arrive on a cluster, change there, and go again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import Refused
from orch.types import Verdict

if TYPE_CHECKING:
    from orch.testing.conformance import Trial
    from tests.kubernetes_api.server import Api

Row = dict[str, Any]
ROLE = "eks.amazonaws.com/role-arn"
TIMEOUT = "example.com/timeout"


def overridden(trial: Trial, **kinds: Row) -> Row:
    document: Row = trial.web("one")
    ports = [{"name": "http", "target": 8080}]
    web = {**document["services"]["web"], "ports": ports, "overrides": {"kubernetes": kinds}}
    route = {"host": "shop.example.com", "service": "web", "port": "http"}
    return {**document, "services": {"web": web}, "routes": [route]}


def noted(key: str, text: str) -> Row:
    return {"metadata": {"annotations": {key: text}}}


def there(api: Api, plural: str) -> dict[str, Row]:
    found = api.platform.objects.items()
    return {key[3]: row for key, row in found if key[1] == plural and key[2] == "shop"}


def notes(row: Row, key: str) -> str | None:
    value: str | None = row["metadata"].get("annotations", {}).get(key)
    return value


def test_an_account_of_its_own_comes_changes_and_goes(trial: Trial, kubernetes_api: Api) -> None:
    trial.deployed(overridden(trial, serviceAccount=noted(ROLE, "one")))
    assert notes(there(kubernetes_api, "serviceaccounts")["shop-web"], ROLE) == "one"
    pods = there(kubernetes_api, "deployments")["web"]["spec"]["template"]["spec"]
    assert pods["serviceAccountName"] == "shop-web"
    changed = overridden(trial, serviceAccount=noted(ROLE, "two"))
    assert {id_ for _, id_ in trial.pending(changed)} == {"account/shop/web", "service/web"}
    trial.deployed(changed)
    assert notes(there(kubernetes_api, "serviceaccounts")["shop-web"], ROLE) == "two"
    gone: list[str] = []

    def look() -> None:
        spec = there(kubernetes_api, "deployments")["web"]["spec"]["template"]["spec"]
        gone.append(spec["serviceAccountName"])

    kubernetes_api.when("DELETE", "/serviceaccounts/shop-web", look)
    trial.deployed(overridden(trial))
    assert "shop-web" not in there(kubernetes_api, "serviceaccounts")
    assert gone == ["shop"], "it goes once nothing runs by it"
    assert trial.deploy(overridden(trial)).verdict is Verdict.UNCHANGED


def test_a_way_in_is_told_changed_and_forgets(trial: Trial, kubernetes_api: Api) -> None:
    for text in ("60", "90"):
        document = overridden(trial, ingress=noted(TIMEOUT, text))
        trial.deployed(document)
        (ingress,) = there(kubernetes_api, "ingresses").values()
        assert notes(ingress, TIMEOUT) == text
        assert trial.deploy(document).verdict is Verdict.UNCHANGED
    trial.deployed(overridden(trial))
    (ingress,) = there(kubernetes_api, "ingresses").values()
    assert notes(ingress, TIMEOUT) is None


def test_what_the_schema_of_an_ingress_forbids_never_arrives(
    trial: Trial, kubernetes_api: Api
) -> None:
    with pytest.raises(Refused, match="Additional properties"):
        trial.plan(overridden(trial, ingress={"spec": {"timeout": 60}}))
    assert there(kubernetes_api, "ingresses") == {}
