"""Specs that come through pipes, and a command that is ended as it starts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from orch.load.files import PIPE_SECONDS

if TYPE_CHECKING:
    from conftest import Place

SPEC = "apiVersion: orch/v1\\nname: piped\\nservices: {a: {command: [x]}}\\n"
COMPOSE = 'services: {a: {image: "x", env_file: [a.env]}}\\n'


@pytest.mark.parametrize("file", ["<(printf '{}')", "-", "/dev/stdin"])
def test_a_spec_is_read_from_a_pipe_to_its_end(place: Place, file: str) -> None:
    if file.startswith("<"):
        line = f"orch validate -f {file.format(SPEC)}"
    else:
        line = f"printf '{SPEC}' | orch validate -f {file}"
    ended = place.shell(line)
    assert ended.code == 0, ended
    assert "piped, 1 service" in ended.out


def test_paths_in_a_piped_file_start_from_the_working_folder(place: Place) -> None:
    place.write("a.env", "A=b\n")
    ended = place.shell(f"orch import <(printf '{COMPOSE}')")
    assert ended.code == 0, ended
    assert "name: work" in ended.out


def test_the_faults_of_a_piped_file_are_told_with_their_places(place: Place) -> None:
    ended = place.shell(f"orch validate -f <(printf '{SPEC}bogus: 1\\n')")
    assert ended.code == 2, ended
    assert ":4:1: " in ended.err


def test_a_writer_may_take_its_time(place: Place) -> None:
    pause = PIPE_SECONDS + 1
    ended = place.shell(f"mkfifo p; (sleep {pause}; printf '{SPEC}') > p & orch validate -f p")
    assert ended.code == 0, ended


@pytest.mark.parametrize("option", ["-f p", "--env-file p -f orch.yaml"])
def test_a_pipe_that_nobody_writes_to_is_refused(place: Place, option: str) -> None:
    place.write("orch.yaml", "apiVersion: orch/v1\nname: x\n")
    os.mkfifo(place.folder / "p")
    ended = place.run("validate", *option.split())
    assert ended.code == 2, ended
    assert "p: this is a pipe, and nobody has written to it" in ended.err
    assert "start what writes to it" in ended.err


def test_variables_are_read_from_a_pipe(place: Place) -> None:
    place.write("orch.yaml", "apiVersion: orch/v1\nname: ${NAME}\n")
    ended = place.shell("orch validate --env-file <(echo NAME=given)")
    assert ended.code == 0, ended
    assert "given" in ended.out


OURS = re.compile(r"orch: |/orch/cli/")
ENDING = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


def ended(command: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Its code, and what it told, after a signal."""
    command.send_signal(number)
    _, told = command.communicate(timeout=20)
    return command.returncode, told


@ENDING
@pytest.mark.parametrize("after", [0.1, 0.2, 0.3, 0.5])
def test_a_command_that_is_ended_as_it_starts_leaves_no_trace(
    place: Place, number: signal.Signals, after: float
) -> None:
    os.mkfifo(place.folder / "p")
    command = place.start("validate", "-f", "p", stderr=subprocess.PIPE)
    time.sleep(after)  # the moment itself is what is tried
    code, told = ended(command, number)
    # A signal that comes before the interpreter has read our first line ends it in its own way.
    if (code, told) != (130, "orch: interrupted\n"):
        assert code in (-number, 1), (code, told)
        assert not OURS.search(told), told


@ENDING
def test_a_command_that_is_ended_as_it_reads_tells_the_code_of_the_table(
    place: Place, number: signal.Signals
) -> None:
    os.mkfifo(place.folder / "p")
    command = place.start("validate", "-f", "p", stderr=subprocess.PIPE)
    with (place.folder / "p").open("w"):  # opens when the command has opened it
        assert ended(command, number) == (130, "orch: interrupted\n")
