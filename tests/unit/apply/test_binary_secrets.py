"""Secrets that are not text: they arrive to the byte, are told nowhere, and refused as text."""

from __future__ import annotations

import base64
import threading
from typing import Any

import pytest

from orch.apply.redact import LONG_LINE, Redactor
from orch.errors import OrchError, UsageFault
from orch.load.source import app_from_document
from orch.testing.platform import Script

EVERY_BYTE = bytes(range(256))
CANARY = b"\xffc4n4ry-in-bytes\x00\xfe"


@pytest.fixture
def spec(shop: Any) -> Any:
    shop.vault.values["ks"] = EVERY_BYTE
    return shop.document(
        services={"web": shop.service(secrets=[{"source": "ks", "target": "ks"}])},
        secrets={"ks": {"provider": "vault", "key": "ks"}},
    )


def sent(shop: Any) -> bytes:
    """What went out with the secret last."""
    (values,) = [values for id_, values in shop.platform.sent[-2:] if id_ == "secret/ks"]
    value: bytes = values["ks"]
    return value


def test_bytes_go_out_as_they_are(shop: Any, spec: Any) -> None:
    shop.deploy(spec)
    assert sent(shop) == EVERY_BYTE
    assert shop.plan(spec).pending == ()


@pytest.mark.parametrize("form", [base64.b64encode, base64.encodebytes])
def test_base64_is_decoded_where_the_spec_says_so(shop: Any, spec: Any, form: Any) -> None:
    spec["secrets"]["ks"]["encoding"] = "base64"
    shop.vault.values["ks"] = form(EVERY_BYTE).decode()
    shop.deploy(spec)
    assert sent(shop) == EVERY_BYTE


def test_base64_stays_as_it_is_where_the_spec_says_nothing(shop: Any, spec: Any) -> None:
    shop.vault.values["ks"] = "AAEC"
    shop.deploy(spec)
    assert sent(shop) == b"AAEC"


@pytest.mark.parametrize("given", ["not base64: c4n4ry", "abcd-efgh", "AAE1x", "c4n4r\u00fd=="])
def test_what_is_not_base64_is_told_without_it(shop: Any, spec: Any, given: str) -> None:
    spec["secrets"]["ks"]["encoding"] = "base64"
    shop.vault.values["ks"] = given
    session = shop.session()
    with pytest.raises(UsageFault, match=r"secrets\.ks: its value is not base64") as caught:
        session.plan(app_from_document(spec))
    assert given not in str(caught.value)
    assert session.redacted(f"got {given}") == "got ***"


def test_bytes_of_a_variable_that_are_no_text_are_kept(shop: Any, spec: Any) -> None:
    shop.vault.values["ks"] = b"\xff\xfe".decode(errors="surrogateescape")
    shop.deploy(spec)
    assert sent(shop) == b"\xff\xfe"


def test_another_byte_is_another_version(shop: Any, spec: Any) -> None:
    plan = shop.plan(spec)
    shop.vault.values["ks"] = EVERY_BYTE[:-1]
    assert shop.plan(spec).versions != plan.versions
    with pytest.raises(OrchError, match="'ks' changed since the plan"):
        shop.session().apply(plan)


def test_text_has_the_version_of_its_bytes(shop: Any, spec: Any) -> None:
    shop.vault.values["ks"] = "grüße"
    text = shop.plan(spec).versions
    shop.vault.values["ks"] = "grüße".encode()
    assert shop.plan(spec).versions == text


def test_a_providers_version_counts_with_the_encoding(shop: Any, spec: Any) -> None:
    shop.vault.versions["ks"] = "v7"
    shop.vault.values["ks"] = "AAEC"
    shop.deploy(spec)
    spec["secrets"]["ks"]["encoding"] = "base64"
    assert shop.plan(spec).versions != {"ks": "v7"}
    shop.deploy(spec)
    assert sent(shop) == b"\0\1\2"


# -- where only text will do -------------------------------------------------------------------

USES: list[tuple[dict[str, Any], str, str]] = [
    (
        {"services": {"web": {"environment": {"KS": {"secret": "ks"}}}}},
        "services.web.environment.KS",
        "list it under `secrets`",
    ),
    (
        {"services": {"web": {"sidecars": {"s": {"environment": {"KS": {"secret": "ks"}}}}}}},
        "services.web.sidecars.s.environment.KS",
        "mount it as a file",
    ),
    (
        {"jobs": {"j": {"pre_start": [{"environment": {"KS": {"secret": "ks"}}}]}}},
        "jobs.j.pre_start[0].environment.KS",
        "mount it as a file",
    ),
    (
        {"registries": {"ghcr.io": {"username": "ci", "password": {"secret": "ks"}}}},
        'registries["ghcr.io"].password',
        "the password alone",
    ),
    (
        {"routes": [{"tls": {"cert": {"secret": "crt"}, "key": {"secret": "ks"}}}]},
        "routes[0].tls.key",
        "openssl x509",
    ),
]


def used(shop: Any, spec: Any, use: dict[str, Any]) -> dict[str, Any]:
    """The spec with one more use of the secret."""
    for name, service in use.get("services", {}).items():
        spec["services"][name] |= service
        for beside in service.get("sidecars", {}).values():
            beside["image"] = "example.com/side:1"
    for name, job in use.get("jobs", {}).items():
        first = [{"image": "example.com/init:1", **one} for one in job["pre_start"]]
        spec["jobs"] = {name: {**shop.service(), "pre_start": first}}
    for route in use.get("routes", ()):
        spec["services"]["web"]["ports"] = [{"target": 80}]
        spec["routes"] = [{"service": "web", "port": 80, **route}]
        spec["secrets"]["crt"] = {"provider": "vault", "key": "crt"}
        shop.vault.values["crt"] = "-----BEGIN CERTIFICATE-----"
    return {**spec, "registries": use.get("registries", {})}


@pytest.mark.parametrize("value", [EVERY_BYTE[128:], b"text with a \0 in it"])
@pytest.mark.parametrize(("use", "place", "mend"), USES)
def test_bytes_that_are_no_text_are_refused_where_text_is_meant(
    shop: Any, spec: Any, use: dict[str, Any], place: str, mend: str, value: bytes
) -> None:
    shop.vault.values["ks"] = value
    with pytest.raises(UsageFault, match="'ks' is not UTF-8 text") as caught:
        shop.plan(used(shop, spec, use))
    assert caught.value.place == place
    assert mend in caught.value.mend
    shop.vault.values["ks"] = "grüße"
    assert shop.plan(used(shop, spec, use)).pending


ALIKE: list[dict[str, Any]] = [
    {"labels": {"secret": "ks"}},
    {"environment": {"secret": "ks"}},
    {"logging": {"driver": "local", "options": {"secret": "ks"}}},
]


@pytest.mark.parametrize("more", ALIKE)
def test_what_only_looks_like_a_secret_is_none(shop: Any, spec: Any, more: dict[str, Any]) -> None:
    spec["services"]["web"] |= more
    assert shop.plan(spec).pending


@pytest.mark.parametrize("name", ["x-ray", "overrides-api"])
def test_a_use_is_found_whatever_names_are_on_the_way(shop: Any, spec: Any, name: str) -> None:
    variable = {"x-K": {"secret": "ks"}}
    spec["services"][name] = {**spec["services"].pop("web"), "environment": variable}
    with pytest.raises(UsageFault, match="'ks' is not UTF-8 text") as caught:
        shop.plan(spec)
    assert "x-K" in caught.value.place


def test_a_value_read_late_is_refused_before_what_uses_it_is_sent(shop: Any, spec: Any) -> None:
    shop.vault.versions["ks"] = "v7"
    spec["services"]["web"]["environment"] = {"KS": {"secret": "ks"}}
    outcome = shop.deploy(spec)
    assert "not UTF-8 text" in outcome.failed["secret/ks"]
    assert shop.platform.sent == []


@pytest.mark.parametrize(("size", "fits"), [(1 << 20, True), ((1 << 20) + 1, False)])
def test_its_size_is_that_of_the_bytes_delivered(
    shop: Any,
    spec: Any,
    size: int,
    fits: bool,
) -> None:
    spec["secrets"]["ks"]["encoding"] = "base64"
    shop.vault.values["ks"] = base64.b64encode(bytes(size)).decode()
    if fits:
        shop.plan(spec)
        return
    with pytest.raises(UsageFault, match=r"secrets\.ks: its value has 1048577 bytes"):
        shop.plan(spec)


# -- told nowhere ------------------------------------------------------------------------------


def spellings(value: bytes) -> list[str]:
    """What a program could write for some bytes."""
    return [
        value.decode(errors="replace"),
        repr(value)[2:-1],
        value.hex(),
        base64.b64encode(value).decode(),
        base64.urlsafe_b64encode(value).decode(),
        base64.b64encode(value).decode().rstrip("="),
        *base64.encodebytes(value).decode().splitlines(),
        *pem_lines(value),
    ]


def pem_lines(value: bytes) -> list[str]:
    """Base64 as PEM has it; the last line may be too short to be a value of its own."""
    whole = base64.b64encode(value).decode()
    lines = [whole[at : at + 64] for at in range(0, len(whole), 64)]
    return [line for line in lines if len(line) >= LONG_LINE]


@pytest.mark.parametrize("value", [CANARY, EVERY_BYTE, b"plain text, and no more"])
def test_bytes_are_found_in_every_spelling(value: bytes) -> None:
    redactor = Redactor()
    redactor.learn([value])
    for spelling in spellings(value):
        clean = redactor.text(f"got <{spelling}>")
        assert clean in ("got <***>", "got <***=>", "got <***==>"), spelling


@pytest.mark.parametrize("encoding", ["utf-8", "base64"])
def test_no_fault_tells_bytes_in_any_spelling(shop: Any, spec: Any, encoding: str) -> None:
    given = base64.b64encode(CANARY).decode()
    shop.vault.values["ks"] = CANARY if encoding == "utf-8" else given
    spec["secrets"]["ks"]["encoding"] = encoding
    script, told = Script(), "; ".join(spellings(CANARY))
    script.fail("apply", ValueError(f"bad: {told}"), id="secret/ks", times=9)
    try:
        said = repr(shop.deploy(spec, script)) + repr(shop.events)
    except OrchError as fault:
        said = str(fault) + repr(fault.args)
    assert "bad: " in said
    assert not [spelling for spelling in spellings(CANARY) if spelling in said]


def test_who_learns_a_value_at_once_with_another_knows_it_too() -> None:
    redactor, value = Redactor(), bytes(range(256)) * 2000
    first = threading.Thread(target=redactor.learn, args=([value],))
    first.start()
    redactor.learn([value])
    assert redactor.text(value.hex()) == "***"
    first.join()


def test_a_short_value_leaves_other_words_alone() -> None:
    redactor = Redactor()
    redactor.learn([b"1", b"ab"])
    assert redactor.text("1 of 31, 6162 and YWI: ab") == "*** of 31, 6162 and YWI: ***"
