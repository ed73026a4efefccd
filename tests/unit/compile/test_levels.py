from __future__ import annotations

from typing import Any

import pytest

from orch.backend.capabilities import NameRule
from orch.compile.compile import compile_app
from orch.compile.levels import Level, judge, refusal
from orch.compile.naming import platform_name
from orch.errors import InvalidSpec, OrchError, Refused
from orch.load.source import app_from_document
from orch.types import (
    Consequence,
    Dependency,
    Fidelity,
    Ledger,
    LedgerEntry,
    Manifest,
    Resource,
)

PATH = ("services", "web", "read_only")


def judged(
    outcome: Fidelity, consequence: Consequence, level: Level, default: bool = False, **wishes: str
) -> Any:
    app = app_from_document(
        {"name": "a", "fidelity": {k.replace("__", "."): v for k, v in wishes.items()}}
    )
    entry = LedgerEntry(PATH, outcome, consequence, reason="r", default=default)
    return judge(app, Manifest("a", "b", (), Ledger((entry,))), level)


@pytest.mark.parametrize(
    ("outcome", "consequence", "level", "refused"),
    [
        (Fidelity.LOST, Consequence.SECURITY, Level.DEFAULT, True),
        (Fidelity.LOST, Consequence.DATA, Level.DEFAULT, True),
        (Fidelity.LOST, Consequence.COSMETIC, Level.DEFAULT, False),
        (Fidelity.DEGRADED, Consequence.SECURITY, Level.DEFAULT, False),
        (Fidelity.DEGRADED, Consequence.COSMETIC, Level.STRICT, True),
        (Fidelity.LOST, Consequence.COSMETIC, Level.STRICT, True),
        (Fidelity.EMULATED, Consequence.DATA, Level.STRICT, False),
        (Fidelity.LOST, Consequence.DATA, Level.LOOSE, False),
        (Fidelity.REJECTED, Consequence.COSMETIC, Level.LOOSE, True),
    ],
)
def test_a_level_says_which_losses_are_refused(
    outcome: Fidelity, consequence: Consequence, level: Level, refused: bool
) -> None:
    judgement = judged(outcome, consequence, level)
    assert bool(judgement.refused) is refused
    assert bool(judgement.reported) is not refused


def test_a_refusal_tells_what_is_alike_in_one_line() -> None:
    told = {"outcome": Fidelity.REJECTED, "consequence": Consequence.DATA}
    rows = [LedgerEntry(("services", f"s{n}", "pid"), reason="r", **told) for n in range(3)]
    other = LedgerEntry(("services", "s0", "ipc"), reason="r", **told)
    assert str(refusal(iter([*rows, other]))).splitlines()[:3] == [
        "4 fields are not held by this target:",
        "  services.s0.pid and 2 more like it: rejected, data: r",
        "  services.s0.ipc: rejected, data: r; change the spec or the target",
    ]


def test_the_spec_can_require_or_ignore_a_field() -> None:
    lost = (Fidelity.LOST, Consequence.SECURITY)
    assert judged(*lost, Level.LOOSE, services__web="require").refused
    ignored = judged(*lost, Level.STRICT, services__web__read_only="ignore")
    assert not ignored.refused
    assert not ignored.reported
    nearest = judged(*lost, Level.LOOSE, services__web="require", services__web__read_only="ignore")
    assert not nearest.refused
    assert judged(Fidelity.REJECTED, Consequence.DATA, Level.LOOSE, services="ignore").refused


def test_a_default_that_nobody_wrote_refuses_nothing() -> None:
    assert judged(Fidelity.LOST, Consequence.DATA, Level.STRICT, default=True).reported


def test_a_refusal_names_every_field_and_what_to_do() -> None:
    with pytest.raises(Refused) as caught:
        judged(Fidelity.LOST, Consequence.DATA, Level.DEFAULT).demand()
    assert "services.web.read_only: lost, data: r" in str(caught.value)
    assert "--loose" in caught.value.mend
    assert caught.value.exit_code == 4


class Fixed:
    name = "fixed"

    def __init__(self, *resources: Resource) -> None:
        self.resources = resources

    def compile(self, app: Any) -> Manifest:
        return Manifest(app.name, self.name, self.resources, Ledger(()))


def one(id_: str, name: str, *after: str) -> Resource:
    return Resource(id_, "service", name, {}, tuple(Dependency(other) for other in after))


APP = app_from_document({"name": "a"})


def test_names_that_collide_are_told_both() -> None:
    backend: Any = Fixed(one("service/A.b", "a-b"), one("service/a_b", "a-b"))
    with pytest.raises(InvalidSpec, match=r"service/A\.b and service/a_b are both called 'a-b'"):
        compile_app(backend, APP)


@pytest.mark.parametrize(
    ("resources", "fault"),
    [
        ((one("s/a", "a"), one("s/a", "b")), "occurs 2 times"),
        ((one("s/a", "a", "s/b"),), "s/b, which is not there"),
        ((one("s/a", "a", "s/b"), one("s/b", "b", "s/a")), "is a circle"),
    ],
)
def test_a_broken_promise_of_a_plugin_is_told_as_such(resources: Any, fault: str) -> None:
    backend: Any = Fixed(*resources)
    with pytest.raises(OrchError, match=fault):
        compile_app(backend, APP)


def test_another_app_may_be_depended_on() -> None:
    backend: Any = Fixed(one("s/a", "a", "app:other/db"))
    assert compile_app(backend, APP).resources


def test_a_legal_name_stays_and_any_other_gets_a_digest() -> None:
    rule = NameRule(max_length=20)
    assert platform_name("web", rule, "shop") == "shop-web"
    assert platform_name("Web_1", rule).startswith("web-1-")
    assert len(platform_name("x" * 40, rule)) == 20
    assert platform_name("a", rule, "b-c") == platform_name("c-a", rule, "b")
