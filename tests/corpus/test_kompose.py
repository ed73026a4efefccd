"""Kompose's fixtures both ways: objects beside theirs, and a spec of theirs beside a spec of ours.

A line of a table names a difference with its reason; one that nobody finds any more is a fault.
`+` is what ours has alone, `-` what theirs has alone, `~` what differs.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from orch.compile.compile import compile_app
from orch_kubernetes.backend import KubernetesBackend
from tests.corpus.kompose import FIXTURES, OUTPUTS, Fixture, leaves

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__)
OBJECTS, SPECS = (HERE.with_name(f"kompose_{name}.tsv") for name in ("objects", "specs"))
WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "DeploymentConfig", "Pod"}
_FREE = re.compile(r"(annotations|labels|matchLabels|selector|environment)\..*")
THERE = pytest.mark.skipif(
    not OUTPUTS.is_dir(), reason="the corpus is not there; ORCH_CORPUS names its place"
)


class Difference(NamedTuple):
    """A difference that is meant: in which fixtures, what, and why."""

    fixture: str
    pattern: str
    why: str

    def means(self, fixture: str, found: str) -> bool:
        pattern = re.escape(self.pattern).replace(r"\*\*", ".*").replace(r"\*", "[^.]+")
        return self.fixture in ("*", fixture.partition("/")[0]) and bool(
            re.fullmatch(pattern, found)
        )


@cache
def differences(table: Path) -> tuple[Difference, ...]:
    lines = table.read_text().splitlines()[1:]
    return tuple(Difference(*line.split("\t")) for line in lines)


def compared(ours: dict[str, Any], theirs: dict[str, Any], before: str = "") -> Iterator[str]:
    """What differs between two mappings from paths to values, each kind of difference once."""
    found: dict[str, None] = {}
    for path in {**ours, **theirs}:
        if ours.get(path) != theirs.get(path):
            sign = "+" if path not in theirs else "-" if path not in ours else "~"
            general = _FREE.sub(r"\1.X", re.sub(r"\.\d+(?=\.|$)", ".N", path))
            found[f"{sign} {before}{general}"] = None
    yield from found


def kind_of(body: Any) -> str:
    return "Workload" if body["kind"] in WORKLOADS else str(body["kind"])


def by_name(bodies: list[Any]) -> dict[tuple[str, str], Any]:
    return {(kind_of(body), body["metadata"]["name"]): body for body in bodies}


def object_differences(fixture: Fixture) -> Iterator[str]:
    flavour = "openshift" if "-os" in fixture.output else "plain"
    manifest = compile_app(KubernetesBackend({"flavour": flavour}), fixture.compose())
    written = [dict(r.body) for r in manifest.resources if r.kind != "external"]
    ours, theirs = by_name(written), by_name(fixture.objects())
    for key in {**ours, **theirs}:
        if key not in ours or key not in theirs:
            yield f"{'-' if key in theirs else '+'} {key[0]}"
        else:
            one, other = (dict(leaves(side[key])) for side in (ours, theirs))
            yield from compared(one, other, f"{key[0]}.")


def spec_differences(fixture: Fixture) -> Iterator[str]:
    def said(app: Any) -> dict[str, Any]:
        return dict(leaves(app.model_dump(mode="json", by_alias=True, exclude_unset=True)))

    yield from compared(said(fixture.compose()), said(fixture.kubernetes()))


WAYS = ((OBJECTS, object_differences), (SPECS, spec_differences))


@THERE
@pytest.mark.parametrize(("table", "find"), WAYS, ids=["objects", "specs"])
@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.name)
def test_only_named_differences(fixture: Fixture, table: Path, find: Any) -> None:
    rows = differences(table)
    unnamed = [
        one for one in find(fixture) if not any(row.means(fixture.name, one) for row in rows)
    ]
    assert unnamed == []


@THERE
@pytest.mark.parametrize(("table", "find"), WAYS, ids=["objects", "specs"])
def test_every_named_difference_is_there(table: Path, find: Any) -> None:
    all_ = [(fixture.name, one) for fixture in FIXTURES for one in find(fixture)]
    stale = [row for row in differences(table) if not any(row.means(*pair) for pair in all_)]
    assert stale == []


@THERE
def test_differences_by_kind(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {
        table.stem: sum(1 for fixture in FIXTURES for _ in find(fixture)) for table, find in WAYS
    }
    with capsys.disabled():
        print(f"\nKompose's fixtures: {len(FIXTURES)}; differences, all of them named: {counts}")
    assert all(counts.values())
