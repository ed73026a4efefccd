"""Scalars as Go's YAML and Compose read and write them."""

from __future__ import annotations

from typing import Any

import pytest

from orch.load.goscalars import resolve
from orch_compose import scalars, short


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("nULL", "nULL"),
        ("TRUE", True),
        ("yes", "yes"),
        ("on", "on"),
        ("12", 12),
        ("+12", 12),
        ("-012", -10),
        ("0o17", 15),
        ("0b101", 5),
        ("0xFf", 255),
        ("08", 8.0),
        ("1_000", 1000),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.2.3", "1.2.3"),
        ("22:22", "22:22"),
        ("2001-01-01", "2001-01-01"),
        ("0", 0),
        ("-", "-"),
        (".", "."),
    ],
)
def test_resolve(text: str, value: Any) -> None:
    found = resolve(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (288, "288"),
        (1.10, "1.1"),
        (8.0, "8"),
        (1e30, "1e+30"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (123456789.25, "123456789.25"),
        (1e20, "100000000000000000000"),
        (-2.5, "-2.5"),
        (0.0, "0"),
    ],
)
def test_text_of(value: Any, text: str) -> None:
    assert scalars.text_of(value) == text


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0", 0),
        ("1m30s", 90_000),
        ("1.5h", 5_400_000),
        ("2d", 172_800_000),
        ("1w", 604_800_000),
        ("10ms", 10),
        ("1500us", 2),
        ("+5s", 5000),
        (".5s", 500),
    ],
)
def test_duration(text: str, milliseconds: int) -> None:
    assert scalars.duration(text) == milliseconds


@pytest.mark.parametrize("wrong", ["", "5", "5x", "s", "1h 5m", 5, True])
def test_no_duration(wrong: Any) -> None:
    with pytest.raises(ValueError, match="is not a duration; write"):
        scalars.duration(wrong)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (5, 5),
        ("5", 5),
        ("5b", 5),
        ("1k", 1024),
        ("1kb", 1024),
        ("1KiB", 1024),
        ("1.5g", 3 << 29),
        ("-1", -1),
        (-1, -1),
    ],
)
def test_size(value: Any, size: int) -> None:
    assert scalars.size(value) == size


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        (288, "0440"),
        ("0440", "0440"),
        ("440", "0440"),
        ("0o444", "0444"),
        (0, "0000"),
        (1023, "1777"),
    ],
)
def test_mode(value: Any, mode: str) -> None:
    assert scalars.mode(value) == mode


@pytest.mark.parametrize(
    ("parse", "wrong"),
    [
        (scalars.size, "5 apples"),
        (scalars.size, True),
        (scalars.mode, "9"),
        (scalars.mode, "rw"),
        (scalars.integer, "1.5"),
        (scalars.integer, True),
        (scalars.number, "one"),
        (scalars.flag, "maybe"),
        (short.port_range, "70000"),
        (short.port_range, "9-8"),
        (short.device, "a:b:c:d"),
        (short.extra_host, "host"),
        (short.ports, "[::1:80:80"),
    ],
)
def test_refusals_say_what_to_write(parse: Any, wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"; (write|close)"):
        parse(wrong)


@pytest.mark.parametrize("word", ["true", "Yes", "ON", "1", "y", True])
def test_flags_that_are_true(word: Any) -> None:
    assert scalars.flag(word)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("/a", ("", "/a", [])),
        ("data:/b", ("data", "/b", [])),
        ("a:/b", ("", "a:/b", [])),
        ("./a:/b:ro,z", ("./a", "/b", ["ro", "z"])),
        ("C:\\a:/b", ("C:\\a", "/b", [])),
        ("C:\\a:D:\\b:ro", ("C:\\a", "D:\\b", ["ro"])),
        ("c:/a:/b", ("c:/a", "/b", [])),
    ],
)
def test_mounts(text: str, parts: tuple[str, str, list[str]]) -> None:
    mount = short.mount(text)
    assert (mount.source, mount.target, mount.options) == parts


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("a", False),
        ("./a", True),
        ("~/a", True),
        ("/a", True),
        ("C:\\a", True),
        ("", False),
        ("..", True),
        ("\\\\host\\a", True),
    ],
)
def test_paths_and_names(source: str, path: bool) -> None:
    assert short.ShortMount(source, "/x").is_path is path
