"""Places of keys and values, also through merge keys and aliases."""

import subprocess
import sys
from pathlib import Path

import pytest

from orch.load.files import parse
from orch.load.positions import Positions
from orch.types import Place

TEXT = "a: &x\n  b: 1\nc:\n  <<: [*x]\n  d: [1, {e: 2}]\n  f:\n'1': one\n2: two\n"


@pytest.mark.parametrize(
    ("path", "key", "value", "known"),
    [
        (("a", "b"), (2, 3), (2, 6), True),
        (("c", "b"), (2, 3), (2, 6), True),
        (("c", "d"), (5, 3), (5, 6), True),
        (("c", "d", 1, "e"), (5, 11), (5, 14), True),
        (("c", "d", 1, "absent"), (5, 10), (5, 10), False),
        (("c", "d", 7), (5, 3), (5, 3), False),
        (("c", "f"), (6, 3), (6, 3), True),
        (("1",), (7, 1), (7, 6), True),
        ((2,), (8, 1), (8, 4), True),
        ((), (1, 1), (1, 1), True),
    ],
)
def test_place(path: tuple[str | int, ...], key: object, value: object, known: bool) -> None:
    positions = Positions(TEXT, "f")
    assert positions.key(path) == Place("f", *key)
    assert positions.value(path) == Place("f", *value)
    assert positions.knows(path) is known


def test_what_the_composer_refuses_has_no_line() -> None:
    assert Positions("a: [", "f").key(("a",)) == Place("f")


@pytest.mark.parametrize(
    "text", ["v: 0xa_b\n", "v: 1_0\n", "v: -0x1f\n", "v: 0b1\n", "v: 0B_1\n", "v: _.1\n"]
)
def test_what_only_looks_like_a_number_stays_text(text: str) -> None:
    assert parse(text, "f") == {"v": text[3:-1]}


@pytest.mark.parametrize("tag", ["", "!x "])
@pytest.mark.parametrize("name", ["orch.yaml", "compose.yaml"])
def test_what_nests_without_end_is_refused_and_kills_nobody(
    tmp_path: Path, tag: str, name: str
) -> None:
    """In a process of its own: a parser's C stack that ends takes the process with it."""
    file = tmp_path / name
    file.write_text(f"name: {tag}{'[' * 100_000}{']' * 100_000}\nname: twice\n")
    command = [sys.executable, "-m", "orch.cli", "validate", "-f", file]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended
    assert "nest" in ended.stderr
    assert "Traceback" not in ended.stderr
