"""Kompose's fixtures: their Compose files with the objects that are expected of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from orch.backend.discovery import installed
from orch.load.files import parse_documents
from orch.load.source import Source, load
from orch_kubernetes.reader.objects import things, wrap
from tests.corpus.outcomes import CORPUS as COMPOSE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.spec.application import Application

INPUTS = COMPOSE / "kubernetes+kompose/script/test/fixtures"
OUTPUTS = COMPOSE.parent / "kubernetes/kubernetes+kompose/script/test/fixtures"


class Fixture(NamedTuple):
    """A Compose file, or several that belong together, and the objects expected of it."""

    folder: str
    inputs: tuple[str, ...]
    output: str

    @property
    def name(self) -> str:
        return f"{self.folder}/{self.output}"

    def compose(self) -> Application:
        files = tuple(INPUTS / self.folder / name for name in self.inputs)
        return load(Source(files, variables={"HOME": "/h"}), installed().readers).app

    def kubernetes(self) -> Application:
        return load(Source((OUTPUTS / self.folder / self.output,)), installed().readers).app

    def objects(self) -> list[dict[str, Any]]:
        file = OUTPUTS / self.folder / self.output
        documents = parse_documents(file.read_text(), str(file))
        return [thing.item.plain() for thing in things([wrap(body) for body in documents])]


def _both(folder: str, stem: str = "output-{}.yaml", *inputs: str) -> tuple[Fixture, Fixture]:
    named = inputs or ("compose.yaml",)
    k8s, os = (Fixture(folder, named, stem.format(way)) for way in ("k8s", "os"))
    return k8s, os


FIXTURES = (
    Fixture("compose-env-interpolation", ("compose.yaml",), "output-k8s.yaml"),
    Fixture(
        "compose-v3.3-test", ("compose-endpoint-mode-1.yaml",), "output-k8s-endpoint-mode-1.json"
    ),
    Fixture(
        "compose-v3.3-test", ("compose-endpoint-mode-2.yaml",), "output-k8s-endpoint-mode-2.json"
    ),
    Fixture("compose-v3.3-test", ("compose-endpoint-mode-1.yaml",), "output-os-mode-1.json"),
    *_both("configmap-file-configs", "output-{}-1.yaml", "compose-1.yaml"),
    *_both("configmap-file-configs", "output-{}-2.yaml", "compose-2.yaml"),
    *_both("configmap-file-configs", "output-{}-3.yaml", "compose-3.yaml"),
    *_both("configmap-volume", "output-{}-withlabel.yaml", "compose-withlabel.yaml"),
    Fixture(
        "controller",
        ("compose-controller-label-v3.yaml",),
        "output-k8s-controller-v3-template.json",
    ),
    Fixture("controller", ("compose-global.yaml",), "output-k8s-global-template.json"),
    *_both("envvars-interpolation"),
    *_both("expose"),
    *_both("external-traffic-policy", "output-{}-v1.yaml", "compose-v1.yaml"),
    *_both("external-traffic-policy", "output-{}-v2.yaml", "compose-v2.yaml"),
    *_both("fsgroup"),
    *_both("healthcheck", "output-healthcheck-{}.yaml", "compose-healthcheck.yaml"),
    Fixture("keyonly-envs", ("env.yml",), "output-k8s-template.json"),
    Fixture("label", ("compose.yaml",), "output-k8s.yaml"),
    *_both("multiple-files", "output-{}.yaml", "first.yaml", "second.yaml"),
    *_both("namespace"),
    *_both("network", "output-{}.json", "compose-v3.yaml"),
    Fixture("network-mode-service", ("compose.yaml",), "output-k8s.yaml"),
    Fixture("network-policies", ("compose.yaml",), "output-k8s.yaml"),
    Fixture("ports-with-ip", ("docker-compose.yml",), "output-k8s.json"),
    *_both("read-only"),
    *_both("resources-lowercase"),
    Fixture("security-contexts", ("compose.yaml",), "output-k8s.yaml"),
    Fixture("single-file-output", ("compose.yaml",), "output-k8s.yaml"),
    Fixture("stdin", ("docker-compose.yaml",), "output-k8s.json"),
    Fixture("tty-true", ("docker-compose.yml",), "output-k8s-template.json"),
    *_both("v2"),
    *_both("v3.0"),
    *_both("vols-subpath"),
)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its path."""
    if isinstance(value, dict) and value:
        for key, member in value.items():
            yield from leaves(member, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for index, member in enumerate(value):
            yield from leaves(member, f"{path}.{index}")
    elif value not in (None, {}, [], ""):
        yield path, value
