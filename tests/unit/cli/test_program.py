"""How the process ends: nothing that was written, waited for or registered is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LEAVES = """
import atexit, sys, threading, time
import orch.cli

def late():
    time.sleep(0.2)
    print("thread ended")

def work(arguments=None):
    atexit.register(print, "cleaned up")
    threading.Thread(target=late).start()
    sys.stdout.write("written\\n" * 1000)
    return 7

class Heap:
    def __del__(self):
        print("taken apart")

kept = Heap()
orch.cli.main = work
sys.exit(orch.cli.program())
"""
FAILS = """
import sys
import orch.cli

def work(arguments=None):
    raise RuntimeError("a fault of our own")

orch.cli.main = work
sys.exit(orch.cli.program())
"""


def ended(program: str) -> subprocess.CompletedProcess[str]:
    """A Python process of this text, at its end."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


def test_output_threads_and_cleaners_are_waited_for_and_the_heap_is_left() -> None:
    done = ended(LEAVES)
    assert done.returncode == 7
    assert done.stdout == "written\n" * 1000 + "thread ended\ncleaned up\n"
    assert done.stderr == ""


def test_a_fault_of_our_own_is_told_with_its_trace() -> None:
    done = ended(FAILS)
    assert done.returncode == 1
    assert "RuntimeError: a fault of our own" in done.stderr


@pytest.mark.parametrize("verb", ["--version", "--help", "schema", "backends"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_stream_that_is_full_is_told(verb: str, unbuffered: str) -> None:
    assert Path("/dev/full").is_char_device(), "something wrote a file over this host's /dev/full"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "orch.cli", verb],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    (told,) = done.stderr.splitlines()
    assert told.startswith("orch: the output is not whole: ")
    assert told.endswith("No space left on device")
