"""The command where its surroundings are odd: streams, folder and settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Place

SPEC = "apiVersion: orch/v1\nname: odd\nservices: {a: {command: [café, …]}}\n"


@pytest.mark.parametrize("words", ["--version", "validate", "plan"])
def test_a_closed_stream_is_written_to_in_vain(place: Place, words: str) -> None:
    place.write("orch.yaml", SPEC)
    ended = place.shell(f"orch {words} >&- 2>&-")
    assert ended.code == 0, ended


def test_a_stream_that_lacks_letters_gets_their_codes(place: Place) -> None:
    place.write("orch.yaml", SPEC)
    ended = place.run(
        "compile", "-o", "json", LC_ALL="POSIX", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"
    )
    assert ended.code == 0, ended
    assert "\\u2026" in ended.out
    assert json.loads(place.run("compile", "-o", "json").out)


def test_a_folder_that_is_gone_is_told(place: Place) -> None:
    ended = place.shell("mkdir gone && cd gone && rmdir ../gone && orch status")
    assert ended.code == 2, ended
    assert "no longer there" in ended.err


def test_an_option_that_no_backend_has_is_refused(place: Place) -> None:
    place.write("orch.yaml", SPEC)
    ended = place.run("status", "--backend", "native", "--option", "drvier=process")
    assert ended.code == 2, ended
    assert "did you mean driver?" in ended.err
