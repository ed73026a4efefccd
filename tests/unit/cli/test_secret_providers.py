"""Secrets from variables and files; no message ever holds a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.errors import UsageFault
from orch_secrets import EnvironmentSecrets, FileSecrets

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "c4n4ry-v4lu3"


def read(folder: Path, **source: Any) -> bytes:
    return FileSecrets().read("db", source, folder)


def test_a_file_is_the_secret_to_the_byte(tmp_path: Path) -> None:
    content = b"a\r\nb\n" + bytes(range(256))
    (tmp_path / "s").write_bytes(content)
    assert read(tmp_path, path="s") == content
    assert read(tmp_path, path=str(tmp_path / "s")) == content


def test_trim_takes_one_newline_away(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a\n\n")
    assert read(tmp_path, path="s", options={"trim": "true"}) == b"a\n"


def test_faults_of_files(tmp_path: Path) -> None:
    for source, fault in (
        ({}, "needs a path"),
        ({"path": "x"}, "can't be read"),
        ({"path": "."}, "can't be read"),
    ):
        with pytest.raises(UsageFault, match=fault) as raised:
            read(tmp_path, **source)
        assert raised.value.place == "secrets.db"
        assert CANARY not in str(raised.value)
        assert raised.value.__cause__ is None


def test_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB", CANARY)
    monkeypatch.setenv("db", "own name")
    assert EnvironmentSecrets().read("db", {"key": "DB"}, tmp_path) == CANARY
    assert EnvironmentSecrets().read("db", {}, tmp_path) == "own name"
    monkeypatch.delenv("DB")
    with pytest.raises(UsageFault, match="the variable DB is not set"):
        EnvironmentSecrets().read("db", {"key": "DB"}, tmp_path)
