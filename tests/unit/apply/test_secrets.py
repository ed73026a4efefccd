from __future__ import annotations

import re
from typing import Any

import pytest

from orch.apply.records import delete_record, read_record, write_record
from orch.apply.redact import Redactor
from orch.errors import OrchError, StalePlan, Unreachable, UsageFault
from orch.load.source import app_from_document
from orch.plan import save_plan
from orch.testing.platform import Platform, Script
from orch.testing.scripted import ScriptedBackend
from orch.types import Event, EventKind, Instance, Verdict

INSTANCE = Instance("scripted", "default", "shop")
CANARY = 'c4n"ary/Wert+1'


@pytest.fixture
def spec(shop: Any) -> Any:
    shop.vault.values["pw"] = CANARY
    return shop.document(
        services={"web": shop.service(secrets=[{"source": "pw", "target": "pw"}])},
        secrets={"pw": {"provider": "vault", "key": "pw"}},
    )


def test_a_value_goes_out_with_its_object_and_nowhere_else(
    shop: Any, spec: Any, tmp_path: Any
) -> None:
    session = shop.session()
    plan = session.plan(app_from_document(spec)).plan
    save_plan(plan, tmp_path / "plan")
    session.apply(plan, on_event=shop.events.append)
    assert ("secret/pw", {"pw": CANARY.encode()}) in shop.platform.sent
    assert ("service/web", {}) in shop.platform.sent
    with shop.platform.state() as state:
        held = repr(state.tree)
    seen = held + repr(plan) + repr(shop.events) + (tmp_path / "plan").read_text()
    assert all(spelling not in seen for spelling in (CANARY, CANARY.replace('"', '\\"')))


def test_a_version_is_no_bare_hash_and_is_the_same_every_time(shop: Any, spec: Any) -> None:
    from hashlib import sha256

    first, second = shop.plan(spec).versions, shop.plan(spec).versions
    assert first == second
    assert not sha256(CANARY.encode()).hexdigest().startswith(first["pw"])
    other = shop.session(instance=Instance("scripted", "default", "other"))
    assert other.plan(app_from_document(spec)).plan.versions != first


def test_a_rotated_value_rolls_what_uses_it(shop: Any, spec: Any) -> None:
    shop.deploy(spec)
    shop.vault.values["pw"] = "another-value"
    assert [a.id for a in shop.plan(spec).pending] == ["secret/pw", "service/web"]


def test_a_providers_own_version_is_used(shop: Any, spec: Any) -> None:
    shop.vault.versions["pw"] = "v7"
    assert shop.plan(spec).versions == {"pw": "v7"}


@pytest.mark.parametrize("own", ["V7", "a-b", "a_b", "x" * 25, ""])
def test_one_that_does_not_fit_into_every_platforms_names_is_hashed(
    shop: Any, spec: Any, own: str
) -> None:
    shop.vault.versions["pw"] = own
    version = shop.plan(spec).versions["pw"]
    assert re.fullmatch("[0-9a-f]{16}", version)
    shop.vault.versions["pw"] = f"{own}x"
    assert shop.plan(spec).versions["pw"] != version


def test_a_value_that_changed_since_makes_the_plan_stale(shop: Any, spec: Any) -> None:
    plan = shop.plan(spec)
    shop.vault.values["pw"] = "another-value"
    with pytest.raises(StalePlan, match="the secret 'pw' changed"):
        shop.session().apply(plan)


def test_so_does_one_that_the_plan_leaves_as_it_is_before_anything_is_done(
    shop: Any, spec: Any
) -> None:
    shop.deploy(spec)
    spec["services"]["web"]["environment"] = {"NEW": "1"}
    plan = shop.plan(spec)
    assert [a.id for a in plan.pending] == ["service/web"]
    shop.vault.values["pw"] = "another-value"
    with pytest.raises(StalePlan, match="the secret 'pw' changed"):
        shop.session().apply(plan)
    assert [r.number for r in shop.session().releases()] == [1]


def test_scaling_needs_no_value(shop: Any, spec: Any) -> None:
    shop.deploy(spec)
    shop.vault.values.clear()
    session = shop.session()
    assert session.apply(session.scale_plan({"web": 2})).verdict is Verdict.DONE


@pytest.mark.parametrize("kind", [ValueError, Unreachable])
def test_no_fault_tells_a_value(shop: Any, spec: Any, kind: Any) -> None:
    script = Script()
    script.fail("apply", kind(f"bad password {CANARY!r}"), id="secret/pw", times=9)
    try:
        said = repr(shop.deploy(spec, script)) + repr(shop.events)
    except OrchError as fault:
        said = str(fault) + repr(fault.args) + repr(fault.__cause__) + repr(fault.__context__)
    assert "bad password" in said
    assert CANARY not in said


def test_a_provider_that_breaks_is_told_without_its_words(shop: Any, spec: Any) -> None:
    class Loud:
        name = "vault"

        def read(self, *_: Any) -> str:
            raise RuntimeError(CANARY)

        version = read

    with pytest.raises(UsageFault) as caught:
        shop.session(providers={"vault": Loud()}).plan(app_from_document(spec))
    assert "RuntimeError" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_an_unknown_provider_is_told_with_the_nearest(shop: Any, spec: Any) -> None:
    spec["secrets"]["pw"]["provider"] = "vualt"
    with pytest.raises(UsageFault, match=r"secrets\.pw\.provider.*did you mean vault"):
        shop.plan(spec)


@pytest.mark.parametrize(
    ("value", "text", "clean"),
    [
        ("s3cret", "got s3cret!", "got ***!"),
        ("ab", "ab abc", "*** abc"),
        ("a/b+c=", "q=a%2Fb%2Bc%3D", "q=***"),
        ('x"y"z', r'{"v": "x\"y\"z"}', '{"v": "***"}'),
        ("longer text", "bG9uZ2VyIHRleHQ=", "***"),
        ("first line\nsecond line", "only second line came", "only *** came"),
    ],
)
def test_values_are_found_in_every_spelling(value: str, text: str, clean: str) -> None:
    redactor = Redactor()
    redactor.learn([value])
    assert redactor.text(text) == clean


# -- records -----------------------------------------------------------------------------------


def test_what_an_event_holds_keeps_its_shape() -> None:
    redactor = Redactor()
    redactor.learn(["c4n4ry"])
    data = {"replicas": ("web-0", "c4n4ry-1"), "ports": [1, 2]}
    event = redactor.event(Event(EventKind.FAILED, "service/web", data=data))
    assert event.data == {"replicas": ("web-0", "***-1"), "ports": [1, 2]}


def test_a_record_larger_than_the_limit_is_whole_or_not_there() -> None:
    platform, script = Platform(limit=900), Script()
    store = ScriptedBackend(platform, script).store(INSTANCE)
    value = {str(n): hash(str(n)) for n in range(500)}
    script.fail("store.create", Unreachable("gone"), on=4)
    with pytest.raises(Unreachable):
        write_record(store, "release-000001", value)
    with pytest.raises(KeyError):
        read_record(store, "release-000001")
    write_record(store, "release-000001", value)
    assert read_record(store, "release-000001") == value
    delete_record(store, "release-000001")
    assert store.names() == []


def test_a_damaged_or_newer_record_is_refused() -> None:
    store = ScriptedBackend().store(INSTANCE)
    store.create("a", b'{"format": 99, "orch": "9.1", "digest": ""}')
    with pytest.raises(UsageFault, match=r"use orch 9\.1 or later"):
        read_record(store, "a")
    store.create("b", b'{"format": 1, "orch": "0.1", "digest": "x", "data": "AAAA"}')
    with pytest.raises(OrchError, match="damaged"):
        read_record(store, "b")


def test_ten_releases_and_the_last_good_one_are_kept(shop: Any) -> None:
    shop.deploy(shop.only_web("1"))
    for _ in range(12):
        shop.deploy(shop.only_web("broken"))
    numbers = [release.number for release in shop.session().releases()]
    assert numbers == [*range(13, 3, -1), 1]


def test_all_secrets_that_cannot_be_read_are_told_at_once(shop: Any) -> None:
    names = ("one", "two")
    spec = shop.document(
        services={"web": shop.service(secrets=[{"source": n, "target": n} for n in names])},
        secrets={
            "one": {"provider": "vaalt", "key": "one"},
            "two": {"provider": "vault", "key": "nowhere"},
        },
    )
    with pytest.raises(UsageFault, match="2 secrets can't be read") as caught:
        shop.plan(spec)
    assert "secrets.one.provider: there is no secret provider 'vaalt'" in str(caught.value)
    assert "secrets.two" in str(caught.value)
