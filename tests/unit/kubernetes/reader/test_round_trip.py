"""What orch writes for Kubernetes, read back, is the same application but for named differences."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from orch.compile.compile import compile_app
from orch.load.document import app_from_document
from orch.load.resolve import resolve
from orch.spec.deploy import UpdateConfig
from orch.types import Fidelity
from orch_kubernetes.backend import KubernetesBackend
from orch_kubernetes.reader.reading import read_live
from tests.golden.test_golden import EXAMPLES, application

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.backend.contract import Reading
    from orch.spec.application import Application

DIFFERENCES = Path(__file__).with_name("round_trip_differences.tsv")
WAYS = {
    "ingress": {"flavour": "plain"},
    "gateway": {"flavour": "plain", "routes": "gateway"},
    "openshift": {"flavour": "openshift"},
    "old": {"flavour": "plain", "version": "1.20"},
}


class Difference(NamedTuple):
    """A difference that is meant: for which ways, at which paths, and why."""

    way: str
    pattern: str
    why: str

    def means(self, way: str, path: str) -> bool:
        pattern = re.escape(self.pattern).replace(r"\*\*", ".*").replace(r"\*", "[^ ]*?")
        return self.way in ("*", way) and re.fullmatch(pattern, path) is not None


@cache
def differences() -> tuple[Difference, ...]:
    lines = DIFFERENCES.read_text().splitlines()[1:]
    return tuple(Difference(*line.split("\t")) for line in lines)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from leaves(member, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from leaves(member, f"{path}.{index}")
    else:
        yield path, value


def plain(app: Application) -> dict[str, Any]:
    """Every value of an application by its path; what is not said of updates is the default."""
    body = app.model_dump(mode="json", by_alias=True)
    for service in body["services"].values():
        if service["deploy"]["update_config"] is None:
            service["deploy"]["update_config"] = UpdateConfig().model_dump(mode="json")
    return {path: value for path, value in leaves(body) if value is not None}


def read_back(app: Application, way: str) -> Reading:
    manifest = compile_app(KubernetesBackend(WAYS[way]), app)
    return read_live([dict(r.body) for r in manifest.resources if r.kind != "external"], app.name)


def found(folder: Path, way: str) -> dict[str, tuple[Any, Any]]:
    app = application(folder)
    again, faults = resolve(app_from_document(dict(read_back(app, way).document)), ())
    assert not faults
    before, after = plain(app), plain(again)
    return {
        path: (before.get(path), after.get(path))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_only_named_differences(folder: Path, way: str) -> None:
    unnamed = {
        path: values
        for path, values in found(folder, way).items()
        if not any(one.means(way, path) for one in differences())
    }
    assert unnamed == {}


def test_every_named_difference_is_there() -> None:
    all_ = [(way, path) for way in WAYS for folder in EXAMPLES for path in found(folder, way)]
    stale = [one for one in differences() if not any(one.means(*pair) for pair in all_)]
    assert stale == []


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_nothing_of_our_own_is_lost(folder: Path) -> None:
    rows = read_back(application(folder), "ingress").ledger.notable
    assert [row for row in rows if row.outcome is Fidelity.LOST] == []
