"""Read what a supervisor wrote down of a process's output."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

from orch_native.agent.driver import Printed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STREAMS = {"o": "stdout", "e": "stderr"}
LOOK_SECONDS = 0.1
CHUNK = 65536


def read(path: Path, since: float | None, tail: int | None) -> Iterator[Printed]:
    """All kept lines, oldest first: those after `since`, of them the last `tail`."""
    lines = (line for file in _files(path) for line in _lines(file))
    wanted = (line for line in lines if since is None or line.time > since)
    return iter(deque(wanted, maxlen=tail)) if tail is not None else wanted


def follow(path: Path, pause: Callable[[float], bool]) -> Iterator[Printed]:
    """Lines as they come, and those of the newest file; `pause` says whether more may come."""
    more = True
    while more:
        if not path.exists():
            more = pause(LOOK_SECONDS)
            continue
        with path.open("rb") as file:
            rest = b""
            while True:
                chunk = file.read(CHUNK)
                *whole, rest = (rest + chunk).split(b"\n")
                yield from filter(None, map(parse, whole))
                if chunk:
                    continue
                if not more or _turned(file.fileno(), path):
                    break
                more = pause(LOOK_SECONDS)


def _turned(descriptor: int, path: Path) -> bool:
    try:
        return path.stat().st_ino != os.fstat(descriptor).st_ino
    except OSError:
        return False


def _files(path: Path) -> list[Path]:
    def age(file: Path) -> int:
        suffix = file.name.removeprefix(path.name).lstrip(".")
        return int(suffix) if suffix else 0

    found = [f for f in path.parent.glob(f"{path.name}*") if f.name[len(path.name) + 1 :].isdigit()]
    return sorted([*found, *([path] if path.exists() else [])], key=age, reverse=True)


def _lines(path: Path) -> Iterator[Printed]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return  # it was turned over just now
    with file:
        for line in file:
            parsed = parse(line.rstrip(b"\n"))
            if parsed:
                yield parsed


def parse(line: bytes) -> Printed | None:
    """One line of a log file, None when it is not whole."""
    when, _, rest = line.partition(b" ")
    stream, _, text = rest.partition(b" ")
    name = STREAMS.get(stream.decode(errors="replace"))
    if not name:
        return None
    return Printed(float(when), name, text.decode(errors="replace"))
