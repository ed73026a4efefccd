"""Which backends and flavours, which places, and which prices a command line means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.backend.discovery import installed
from orch.cli.candidates import available, expanded, opened_all, price_tables
from orch.cli.complete import complete_candidates
from orch.cli.live_compare import place_of
from orch.cli.render.out import Out
from orch.errors import UsageFault

if TYPE_CHECKING:
    from pathlib import Path

FLAVOURS = [f"kubernetes:{name}" for name in installed().backends["kubernetes"].flavours]
NOTHING: Any = None


def test_every_backend_in_every_flavour_is_compared_by_default() -> None:
    found = available(Out())
    assert found[:2] == ("native", "swarm")
    assert set(FLAVOURS) < set(found)
    assert "kubernetes" not in found


def test_all_flavours_are_spelt_out_once() -> None:
    assert expanded(["native", "kubernetes:eks", "kubernetes:all"]) == (
        "native",
        "kubernetes:eks",
        *(name for name in FLAVOURS if name != "kubernetes:eks"),
    )


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("kubernetes:esk", "did you mean kubernetes:eks?"),
        ("kubernetes:zzz", "choose one of plain, k3s"),
        ("native:x", "write native alone"),
    ],
)
def test_an_unknown_flavour_is_told(name: str, mend: str) -> None:
    with pytest.raises(UsageFault) as fault:
        expanded([name])
    assert fault.value.mend.startswith(mend)


def test_each_flavour_is_a_backend_of_its_own() -> None:
    with opened_all(["kubernetes", "kubernetes:openshift"]) as backends:
        made: Any = dict(backends)
    assert made["kubernetes"].facts.flavour.name == "plain"
    assert made["kubernetes:openshift"].facts.flavour.name == "openshift"


def test_flavours_are_completed_behind_a_comma() -> None:
    assert complete_candidates(NOTHING, NOTHING, "native,kubernetes:eks") == [
        "native,kubernetes:eks",
        "native,kubernetes:eks-fargate",
    ]
    assert complete_candidates(NOTHING, NOTHING, "nat") == ["native"]


def test_public_prices_come_with_the_backends_that_are_compared(tmp_path: Path) -> None:
    assert price_tables(["native"], []) == ()
    (shipped,) = price_tables(["kubernetes:eks", "kubernetes:gke"], [])
    assert shipped.of("kubernetes:eks")
    own = tmp_path / "own.yaml"
    own.write_text(
        "{version: 1, currency: EUR, prices: [{backend: 'kubernetes:eks', item: cluster, price: 1,"
        " per: month, seen: 2026-01-01, source: us}]}"
    )
    public, ours = price_tables(["kubernetes:eks"], [own])
    assert public.of("kubernetes:eks") == ()
    assert public.of("kubernetes:gke")
    assert [row.price for row in ours.prices] == [1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    (tmp_path / "targets.yaml").write_text(
        "prod: {backend: swarm, namespace: live, options: {host: 'ssh://a'}}\n"
        "lab: {backend: native}\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("text", "name", "backend", "namespace"),
    [
        ("swarm", "swarm", "swarm", ""),
        ("swarm:staging", "swarm", "swarm", "staging"),
        ("prod", "prod", "swarm", "live"),
        ("prod:other", "prod", "swarm", "other"),
        ("swarm:prod", "prod", "swarm", "live"),
        ("native:prod", "native", "native", "prod"),
    ],
)
def test_a_place_is_a_target_or_a_backend_and_a_namespace(
    folder: Path, text: str, name: str, backend: str, namespace: str
) -> None:
    found = place_of(text, folder)
    assert (found.name, found.backend, found.namespace) == (name, backend, namespace)


def test_an_unknown_place_is_told(folder: Path) -> None:
    with pytest.raises(UsageFault) as fault:
        place_of("nomad:x", folder)
    assert fault.value.place == "--live nomad:x"
    assert fault.value.mend.startswith("choose one of lab, prod, kubernetes, native")
