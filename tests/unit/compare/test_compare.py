"""Backends side by side: what is counted, what differs, who refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orch.backend.capabilities import Capabilities, NameRule
from orch.cli.render.compare import comparison_report, fields_text
from orch.cli.render.compare_shape import comparison_shape
from orch.cli.render.plain import to_text
from orch.compare.compare import compare
from orch.compile.builder import ManifestBuilder
from orch.compile.levels import Level
from orch.load.source import Loaded, app_from_document
from orch.types import Consequence, Fidelity, Ledger, LedgerEntry, Place

if TYPE_CHECKING:
    from orch.compare.compare import Comparison
    from orch.spec.application import Application
    from orch.types import Manifest

DOCUMENT: dict[str, Any] = {
    "name": "shop",
    "services": {
        "web_one": {"image": "acme/web:1", "read_only": True, "labels": {"team": "front"}},
        "web-one": {"image": "acme/web:2"},
    },
}
WIDE = NameRule(allowed="[A-Za-z0-9_-]", lower=False)
PARTS = ("image", "read_only", "labels")


@dataclass
class Platform:
    """A backend that holds each part of a service as well as it is told."""

    name: str
    outcomes: dict[str, Fidelity] = field(default_factory=dict)
    rule: NameRule = WIDE
    one_name: bool = False
    default: str = ""

    def capabilities(self) -> Capabilities:
        return Capabilities({"**": Fidelity.NATIVE}, names=self.rule)

    def compile(self, app: Application) -> Manifest:
        make = ManifestBuilder(app, self.name, self.capabilities())
        for name, view in make.app.services.items():
            called = "same" if self.one_name else name
            made = make.resource("service", f"service/{name}", called)
            for part in PARTS:
                if part in view.value.model_fields_set:
                    outcome = self.outcomes.get(part, Fidelity.NATIVE)
                    reason = "" if outcome is Fidelity.NATIVE else f"{part} on {self.name}"
                    made.put(part, getattr(view, part), outcome=outcome, reason=reason)
        if self.default:
            path = ("services", "*", self.default)
            make.default(path, Fidelity.LOST, f"no {self.default} on {self.name}")
        return make.build()


def compared(*platforms: Any, level: Level = Level.DEFAULT, **more: Any) -> Comparison:
    backends = {platform.name: platform for platform in platforms}
    return compare(app_from_document({**DOCUMENT, **more}), backends, level)


def loaded(ledger: Ledger | None = None) -> Loaded:
    return Loaded(app_from_document(DOCUMENT), Path(), ledger, lambda _: Place())


FULL = Platform("full")
POOR = Platform("poor", {"read_only": Fidelity.LOST, "labels": Fidelity.DEGRADED})


def test_outcomes_are_counted_by_field_and_by_what_they_touch() -> None:
    full, poor = compared(FULL, POOR).standings
    assert full.counts[Fidelity.NATIVE] == 5  # name, two images, read_only, one label
    assert full.held == 1
    assert poor.counts == {
        Fidelity.NATIVE: 3,
        Fidelity.EMULATED: 0,
        Fidelity.DEGRADED: 1,
        Fidelity.LOST: 1,
        Fidelity.REJECTED: 0,
    }
    assert poor.held == pytest.approx(3 / 5)
    assert poor.by_consequence[Consequence.SECURITY][Fidelity.LOST] == 1
    assert poor.by_consequence[Consequence.COSMETIC][Fidelity.DEGRADED] == 1
    assert poor.objects == {"service": 2}


def test_what_is_emulated_is_held() -> None:
    made = compared(Platform("p", {"image": Fidelity.EMULATED})).standings[0]
    assert made.held == 1


def test_a_default_that_is_not_held_is_told_and_not_counted() -> None:
    made = compared(FULL, Platform("p", default="init"))
    assert made.standings[1].held == 1
    assert made.differing() == {}
    told = to_text(comparison_report(made, loaded()))
    assert "services.*.init  no init on p (default)" in told


def test_only_fields_that_fare_otherwise_elsewhere_differ() -> None:
    assert compared(FULL, POOR).differing() == {
        ("services", "web_one", "read_only"): {"full": Fidelity.NATIVE, "poor": Fidelity.LOST},
        ("services", "web_one", "labels", "team"): {
            "full": Fidelity.NATIVE,
            "poor": Fidelity.DEGRADED,
        },
    }
    assert compared(POOR, POOR).differing() == {}


@pytest.mark.parametrize(
    ("level", "refusing"),
    [(Level.LOOSE, []), (Level.DEFAULT, ["poor"]), (Level.STRICT, ["poor"])],
)
def test_the_level_decides_who_refuses(level: Level, refusing: list[str]) -> None:
    made = compared(FULL, POOR, level=level)
    assert [standing.backend for standing in made.refusing] == refusing


def test_what_the_spec_accepts_is_not_refused() -> None:
    accepted = {"services.web_one.read_only": "ignore"}
    assert compared(POOR, fidelity=accepted).refusing == ()


def test_one_that_does_not_compile_stands_beside_the_others() -> None:
    full, broken = compared(FULL, Platform("broken", one_name=True)).standings
    assert full.accepted
    assert not broken.accepted
    assert "both called 'same'" in str(broken.faults[0])
    made = compared(FULL, Platform("broken", one_name=True))
    assert made.differing() == {}
    assert "broken: does not compile" in to_text(comparison_report(made, loaded()))


def test_names_that_a_platform_changes_are_limits() -> None:
    narrow = Platform("narrow", rule=NameRule(max_length=63))
    assert [limit.path for limit in compared(narrow).standings[0].limits] == [
        ("services", "web_one")
    ]
    assert compared(FULL).standings[0].limits == ()


def test_report_tells_counts_differences_and_reasons() -> None:
    told = to_text(comparison_report(compared(FULL, POOR), loaded()))
    assert re.search(r"^full +yes +100 % +– +– +– +– +2 +–$", told, re.MULTILINE)
    assert re.search(r"^poor +refused for 1 field +60 % +– +1 +1 ", told, re.MULTILINE)
    assert re.search(r"^poor +– +1 lost +– +– +1 degraded$", told, re.MULTILINE)
    assert "services.web_one.read_only    native  lost" in told
    assert re.search(r"^full, poor +2 service$", told, re.MULTILINE)
    assert "poor: 1 lost, security" in told
    assert "read_only on poor" in told
    assert "full:" not in told


def test_those_that_are_alike_are_told_once() -> None:
    twin = Platform("twin", POOR.outcomes)
    made = compared(FULL, POOR, twin)
    assert [[s.backend for s in group] for group in made.alike()] == [["full"], ["poor"], ["twin"]]
    same = [Platform(name, {"labels": Fidelity.NATIVE}) for name in ("one", "two")]
    told = to_text(comparison_report(compared(POOR, *same), loaded()))
    assert "one +1: one, two" in told
    assert [len(group) for group in compared(POOR, *same).alike()] == [1, 2]


def test_manifests_are_shown_when_they_are_asked_for() -> None:
    made = compared(FULL, POOR)
    assert "read_only: true" not in to_text(comparison_report(made, loaded()))
    told = to_text(comparison_report(made, loaded(), manifests=True))
    assert "web_one on full, poor" in told
    assert "read_only: true" in told
    assert "resources" not in comparison_shape(made, loaded())["backends"][0]
    shape = comparison_shape(made, loaded(), manifests=True)
    assert shape["backends"][0]["resources"][0]["id"] == "service/web_one"


def test_losses_of_reading_are_told_once() -> None:
    entry = LedgerEntry(("x",), Fidelity.LOST, Consequence.COSMETIC, reason="no such thing")
    read = loaded(Ledger((entry,)))
    told = to_text(comparison_report(compared(FULL, POOR), read))
    assert told.count("no such thing") == 1
    assert comparison_shape(compared(FULL, POOR), read)["reading"][0]["reason"] == "no such thing"


def test_what_was_lost_in_reading_is_refused_everywhere() -> None:
    entry = LedgerEntry(("x",), Fidelity.LOST, Consequence.DATA, reason="no such thing")
    app = app_from_document(DOCUMENT)
    backends: dict[str, Any] = {"full": FULL, "poor": POOR}
    made = compare(app, backends, Level.DEFAULT, Ledger((entry,)))
    assert [standing.backend for standing in made.refusing] == ["full", "poor"]


def test_fields_share_what_they_have_in_common() -> None:
    web, db = ("services", "web"), ("services", "db")
    assert fields_text([(*web, "image")]) == "services.web.image"
    paths = [(*web, "probes", "a", "b"), (*web, "probes", "c"), (*db, "image")]
    assert fields_text(paths) == "services.db.image; services.web.probes: a.b, c"
