"""Whatever is compiled is what the API takes: unknown keys are forbidden, for every version."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from orch.compile.compile import compile_app
from orch_kubernetes.backend import KubernetesBackend
from orch_kubernetes.flavours import FLAVOURS
from tests.golden.test_golden import EXAMPLES, application
from tests.kubernetes_api import gateway

Validators = Mapping[tuple[str, str], Any]
ROOT = Path(__file__).parents[3]
SCHEMAS = Path(os.environ.get("ORCH_SCHEMAS", ROOT.parent / "shared" / "schemas"))
VERSIONS = tuple(f"1.{minor}" for minor in range(25, 38))
"""Those whose schemas PyPI's kubernetes-validate holds."""


def closed(schema: Any) -> Any:
    """The same schema, with keys that it does not name forbidden."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items() if value is not None}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    if schema.get("format") == "int-or-string":
        return {"type": ["integer", "string"]}
    return made


def _of(known: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """A validator for each API version and kind."""
    found = {}
    for name, schema in known.items():
        for kind in schema.get("x-kubernetes-group-version-kind", ()):
            api = f"{kind['group']}/{kind['version']}".lstrip("/")
            whole = {"$ref": f"#/definitions/{name}", "definitions": known}
            found[api, kind["kind"]] = jsonschema.Draft4Validator(whole)
    return found


@cache
def newest() -> Validators:
    """What the platforms' own schemas of today take."""
    known: dict[str, Any] = {}
    for file in ("kubernetes/definitions.min.json", "openshift/openshift.subset.min.json"):
        said = json.loads((SCHEMAS / file).read_text())["definitions"]
        known |= {name: closed(schema) for name, schema in said.items()}
    found = _of(known)
    crd = yaml.safe_load((SCHEMAS / "openshift/routes.crd.yaml").read_text())["spec"]
    for version in crd["versions"]:
        schema = closed(version["schema"]["openAPIV3Schema"])
        api = f"{crd['group']}/{version['name']}"
        found[api, crd["names"]["kind"]] = jsonschema.Draft4Validator(schema)
    return found


class OfVersion(dict[tuple[str, str], Any]):
    """What one version takes, by the strict schemas that kubernetes-validate holds."""

    def __init__(self, version: str) -> None:
        held = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
        self._folder = held / f"v{version}.0-local-strict"
        known = json.loads((self._folder / "_definitions.json").read_text())
        resource = Resource.from_contents(known, DRAFT202012)
        self._registry = Registry().with_resource("/api/_definitions.json", resource).crawl()

    def __missing__(self, key: tuple[str, str]) -> Any:
        group, _, version = key[0].rpartition("/")
        parts = [key[1].lower(), *([group.split(".")[0]] if group else ()), version]
        file = self._folder / f"{'-'.join(parts)}.json"
        schema = json.loads(file.read_text()) if file.exists() else None
        kind = jsonschema.Draft202012Validator
        self[key] = kind(schema, registry=self._registry) if schema else None
        return self[key]


def faults(body: Mapping[str, Any], validators: Validators | None = None) -> list[str]:
    said = (body["apiVersion"], body["kind"])
    where = f"{body['kind']} {body['metadata']['name']}"
    if body["kind"] in gateway.KINDS:
        found = gateway.faults(json.loads(json.dumps(body)))
        return [f"{where}: {place}: {told}" for place, told in found]
    validator = newest().get(said) if validators is None else validators[said]
    if validator is None:
        return [f"{said} is not known"]
    return [
        f"{where}: {'.'.join(map(str, e.absolute_path))}: {e.message}"
        for e in validator.iter_errors(json.loads(json.dumps(body)))
    ]


@pytest.fixture(autouse=True)
def _schemas() -> None:
    if not SCHEMAS.is_dir():
        pytest.skip(f"the schemas are not at {SCHEMAS}; ORCH_SCHEMAS names their place")


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_every_example_is_what_the_api_takes(folder: Path, flavour: str) -> None:
    backend = KubernetesBackend({"flavour": flavour})
    manifest = compile_app(backend, application(folder))
    assert [fault for r in manifest.resources for fault in faults(r.body)] == []


def test_a_key_that_is_not_known_is_noticed() -> None:
    backend = KubernetesBackend({})
    manifest = compile_app(backend, application(EXAMPLES[1]))
    pod = next(r.body for r in manifest.resources if r.kind == "Deployment")["spec"]["template"]
    pod["spec"]["containers"][0]["imagePullPolicies"] = "Always"
    assert any("imagePullPolicies" in f for r in manifest.resources for f in faults(r.body))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_takes_every_example(version: str) -> None:
    validators, backend = OfVersion(version), KubernetesBackend({"version": version})
    for folder in EXAMPLES:
        manifest = compile_app(backend, application(folder))
        found = [fault for r in manifest.resources for fault in faults(r.body, validators)]
        assert not found, f"{folder.name}: {found}"


def test_what_a_version_does_not_know_is_noticed() -> None:
    backend = KubernetesBackend({"version": "1.24"})
    manifest = compile_app(backend, application(EXAMPLES[4]))
    cron = next(r.body for r in manifest.resources if r.kind == "CronJob")
    assert faults({**cron, "apiVersion": "batch/v1beta1"}, OfVersion("1.25"))
    assert not faults(cron, OfVersion("1.25"))


LISTENER = {"name": "http", "port": 80, "protocol": "HTTP"}
ENCRYPTED = {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": "a.example.com"}
RULE = {"backendRefs": [{"name": "web", "port": 80}]}


def _gateway(*listeners: Any) -> dict[str, Any]:
    spec = {"gatewayClassName": "gateway", "listeners": list(listeners)}
    return {"apiVersion": gateway.API, "kind": "Gateway", "metadata": {"name": "a"}, "spec": spec}


def _http_route(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": gateway.API, "kind": "HTTPRoute", "metadata": {"name": "a"}, "spec": spec}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (_gateway(LISTENER, LISTENER), "twice"),
        (_gateway(LISTENER, {**LISTENER, "name": "b"}), "twice"),
        (_gateway({**LISTENER, "hostname": "A.example.com"}), "hostname"),
        (_gateway({**ENCRYPTED, "tls": {"mode": "Terminate"}}), "certificateRefs or options"),
        (_gateway(ENCRYPTED), "nothing says the certificate"),
        (_gateway({**LISTENER, "tls": {"certificateRefs": [{"name": "a"}]}}), "HTTP has none"),
        (_gateway(*({**LISTENER, "name": f"l{n}", "port": n + 1} for n in range(65))), "listeners"),
        (_http_route(rules=[RULE] * 17), "rules"),
        (_http_route(rules=[RULE], hostname="a"), "hostname"),
        (_http_route(rules=[RULE], hostnames=["*"]), "hostnames"),
    ],
    ids=str,
)
def test_what_the_gateway_api_refuses_is_noticed(body: dict[str, Any], told: str) -> None:
    assert any(told in fault for fault in faults(body))


def test_what_the_gateway_api_takes_is_taken() -> None:
    tls = {"mode": "Terminate", "certificateRefs": [{"name": "a"}]}
    assert faults(_gateway(LISTENER, {**ENCRYPTED, "tls": tls})) == []
    assert faults(_http_route(rules=[RULE] * 16, hostnames=["*.example.com"])) == []
