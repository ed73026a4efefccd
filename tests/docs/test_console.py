"""The console blocks of the pages, run for real, each page in a folder and state of its own.

A block of another language whose first line is `# file: NAME` is written to that file before the
blocks after it run. `$ command` exits 0, or as `# exits N` behind it says (`*` is any code).
Lines that a page shows as output must come in their order; `…` stands for anything.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import Block, blocks, pages

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNNABLE = [page for page in pages() if any(b.language == "console" for b in blocks(page))]
COMMAND = re.compile(r"^\$ (.+?)(?:\s+# exits (\d+|\*))?$")
ENTRY_POINTS = "[orch]\n{name} = {name}\n"


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[dict[str, str]]:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "run").mkdir(mode=0o700)
    programs = Path(sys.executable).parent
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(home),
        "ORCH_STATE": str(tmp_path / "state"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "PYTHONPATH": str(tmp_path / "plugins"),
        "LC_ALL": "C.UTF-8",
        "DOCKER_HOST": f"unix://{tmp_path}/no-engine.sock",
    }
    try:
        yield environment
    finally:
        stop = ["orch", "server", "stop", "--tasks"]
        subprocess.run(stop, env=environment, cwd=tmp_path, check=False, capture_output=True)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.stem)
def test_page(page: Path, tmp_path: Path, surroundings: dict[str, str]) -> None:
    if "docker run" in page.read_text():
        pytest.fail(f"{page}: pages run without containers")
    work = tmp_path / "work"
    work.mkdir()
    for block in blocks(page):
        if block.file:
            write_file(block, work, tmp_path / "plugins")
        elif block.language == "console":
            run_block(block, work, surroundings)


def write_file(block: Block, work: Path, plugins: Path) -> None:
    if block.language != "python":
        path = work / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
        return
    name = block.file.removesuffix(".py")
    installed = plugins / f"{name}-1.dist-info"
    installed.mkdir(parents=True)
    (plugins / block.file).write_text(block.text)
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(ENTRY_POINTS.format(name=name))


def run_block(block: Block, work: Path, environment: dict[str, str]) -> None:
    shown: list[str] = []
    output = ""
    for line in block.text.splitlines():
        command = COMMAND.match(line)
        if command is None:
            shown.append(line)
            continue
        check_output(block, shown, output)
        shown = []
        output = run(block, command[1], command[2] or "0", work, environment)
    check_output(block, shown, output)


def run(block: Block, command: str, code: str, work: Path, environment: dict[str, str]) -> str:
    ran = subprocess.run(
        ["bash", "-c", command],
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    told = f"{block}: `{command}` exited {ran.returncode}, not {code}:\n{ran.stdout}"
    assert code in ("*", str(ran.returncode)), told
    return ran.stdout


def check_output(block: Block, shown: list[str], output: str) -> None:
    rest = output
    for line in filter(str.strip, shown):
        pattern = r"\s+".join(re.escape(word).replace("…", r".*?") for word in line.split())
        found = re.search(pattern, rest)
        assert found, f"{block}: the page shows {line!r}; it printed:\n{output}"
        rest = rest[found.end() :]


def test_the_runner_can_fail(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"]}
    page = pages()[0]
    good = Block(page, 1, "console", "$ echo one; echo two  # exits 0\none\nt…\n")
    run_block(good, tmp_path, environment)
    for bad in (
        "$ false\n",
        "$ echo one\ntwo\n",
        "$ true   # exits 3\n",
        "$ echo a; echo b\nb\na\n",
    ):
        with pytest.raises(AssertionError):
            run_block(Block(page, 1, "console", bad), tmp_path, environment)


def test_programs_are_there() -> None:
    assert shutil.which("curl"), "the pages use curl"
