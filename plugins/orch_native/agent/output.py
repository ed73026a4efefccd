"""The lines that an allocation printed, of all its containers and over its restarts."""

from __future__ import annotations

import heapq
import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from orch.types import LogLine
from orch_native.agent.driver import Stop, Unreached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch_native.agent.driver import Printed
    from orch_native.agent.pod import Piece
    from orch_native.agent.task import Task

AGAIN_SECONDS = 0.3
WAITING_LINES = 10_000


def read(task: Task, *, follow: bool, since: float | None, tail: int | None) -> Iterator[LogLine]:
    """Lines in order of time; with `follow` until the allocation has ended."""
    if follow:
        return _follow(task, since, tail)
    return _kept(task, since, tail)


def _kept(task: Task, since: float | None, tail: int | None) -> Iterator[LogLine]:
    streams = [_lines(task, piece, since, tail) for piece in task.pod.pieces]
    merged = list(heapq.merge(*streams, key=lambda line: line.time))
    return iter(merged[-tail:] if tail else merged if tail is None else [])


def _lines(task: Task, piece: Piece, since: float | None, tail: int | None) -> list[LogLine]:
    with suppress(Unreached):
        found = task.driver.logs(piece.handle, since=since, tail=tail)
        return [_line(task, piece, printed) for printed in found]
    return []


def _line(task: Task, piece: Piece, printed: Printed) -> LogLine:
    unit = task.pod.allocation.unit
    service = unit if piece.role == "main" else f"{unit}.{piece.label}"
    return LogLine(service, task.record.id, printed.stream, printed.time, printed.text)


def _follow(task: Task, since: float | None, tail: int | None) -> Iterator[LogLine]:
    lines: queue.Queue[LogLine | None] = queue.Queue(WAITING_LINES)
    stop = Stop()
    pieces = list(task.pod.pieces)
    for piece in pieces:
        threading.Thread(
            target=_follow_piece, args=(task, piece, since, tail, lines, stop), daemon=True
        ).start()
    try:
        left = len(pieces)
        while left:
            line = lines.get()
            if line is None:
                left -= 1
            else:
                yield line
    finally:
        stop.set()


def _follow_piece(
    task: Task,
    piece: Piece,
    since: float | None,
    tail: int | None,
    lines: queue.Queue[LogLine | None],
    stop: Stop,
) -> None:
    last = since
    try:
        while not stop.is_set():
            over = task.ended
            with suppress(Unreached):
                for printed in task.driver.logs(piece.handle, since=last, tail=tail, follow=stop):
                    last = printed.time
                    if not _put(lines, _line(task, piece, printed), stop):
                        return
            if over:
                return
            tail = None if last is not None else tail
            last = last if last is not None else 0.0
            stop.wait(AGAIN_SECONDS)
    finally:
        _put(lines, None, stop)


def _put(lines: queue.Queue[LogLine | None], line: LogLine | None, stop: Stop) -> bool:
    while not stop.is_set():
        try:
            lines.put(line, timeout=0.5)
        except queue.Full:
            continue
        return True
    return False
