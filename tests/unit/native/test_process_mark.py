from __future__ import annotations

import subprocess
import sys

import pytest

from orch_native.process_mark import has_ended, own_mark

_TELL = "from orch_native.process_mark import own_mark; print(own_mark(), flush=True); input()"


def test_a_process_has_ended_once_it_is_killed_even_before_it_is_reaped() -> None:
    command = [sys.executable, "-c", _TELL]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        mark = process.stdout.readline().strip()
        assert not has_ended(mark)
        process.kill()
        process.stdout.read()
        while not has_ended(mark):
            pass
    assert has_ended(mark)


def test_this_process_lives_and_another_with_its_number_does_not() -> None:
    namespace, pid, start = own_mark().rsplit(" ", 2)
    assert not has_ended(f"{namespace} {pid} {start}")
    assert has_ended(f"{namespace} {pid} {int(start) + 1}")


@pytest.mark.parametrize("mark", ["", "x", "other/pid:[1] 1 1", "a b c d"])
def test_what_can_not_be_judged_has_not_ended(mark: str) -> None:
    assert not has_ended(mark)
