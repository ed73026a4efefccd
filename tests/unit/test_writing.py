"""Files that a person asked for: whole or not at all, and nothing else is put in their place."""

from __future__ import annotations

import os
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from orch.errors import UsageFault
from orch.writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def breaks_off() -> Iterator[str]:
    yield "the first half"
    raise OSError(28, "No space left on device")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_whole_and_has_the_mode_asked_for(tmp_path: Path) -> None:
    write_whole(tmp_path / "plan", ["a", "ü"], mode=0o600)
    assert (tmp_path / "plan").read_text(encoding="utf-8") == "aü"
    assert mode(tmp_path / "plan") == 0o600


@pytest.mark.parametrize("over", [True, False])
def test_a_file_that_breaks_off_leaves_nothing(tmp_path: Path, *, over: bool) -> None:
    with pytest.raises(UsageFault, match="can't be written: No space left") as told:
        write_whole(tmp_path / "plan", breaks_off(), over=over)
    assert told.value.place == str(tmp_path / "plan")
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_when_its_successor_breaks_off(tmp_path: Path) -> None:
    (tmp_path / "spec").write_text("before")
    with pytest.raises(UsageFault, match="No space left"):
        write_whole(tmp_path / "spec", breaks_off())
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_what_is_there_is_written_over_only_when_asked_to(tmp_path: Path) -> None:
    there = tmp_path / "spec"
    there.write_text("before")
    there.chmod(0o640)
    with pytest.raises(UsageFault, match="is there already"):
        write_whole(there, ["after"], over=False)
    assert there.read_text() == "before"
    write_whole(there, ["after"])
    assert there.read_text() == "after"
    assert mode(there) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", ["text"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"


def test_a_pipe_is_written_into_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_whole(pipe, ["te", "xt"])
    reader.join(10)
    assert read == ["text"]
    assert pipe.is_fifo()


def test_a_folder_and_a_missing_one_are_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "plan"):
        with pytest.raises(UsageFault, match="can't be written"):
            write_whole(path, ["text"])


def test_links_that_lead_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UsageFault, match="can't be written"):
        write_whole(tmp_path / "a", ["text"])


def test_an_interrupt_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    def cut() -> Iterator[str]:
        yield "the first half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "plan", cut())
    assert list(tmp_path.iterdir()) == []
