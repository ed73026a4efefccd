"""Looking for a text everywhere it must not be: as it is, encoded, or packed inside something."""

from __future__ import annotations

import base64
import contextlib
import os
import threading
import urllib.parse
import zlib
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GZIP = b"\x1f\x8b\x08"
CHUNK = 1 << 26


def forms(text: str) -> dict[str, bytes]:
    """The text as it is, and as programs write it down."""
    raw = text.encode()
    return {
        "plain": raw,
        "base64": base64.b64encode(raw).rstrip(b"=")[:-1],
        "base64 one off": base64.b64encode(b"x" + raw)[2:-4],
        "base64 two off": base64.b64encode(b"xx" + raw)[4:-4],
        "hexadecimal": raw.hex().encode(),
        "reversed": raw[::-1],
        "utf-16": text.encode("utf-16-le"),
        "url": urllib.parse.quote(text, safe="").encode(),
    }


def found_in(data: bytes, text: str) -> list[str]:
    """The forms of `text` that stand in the data or in gzip streams within it."""
    seen = [name for name, form in forms(text).items() if form in data]
    for inner in unpacked(data):
        seen += [f"gzip, {name}" for name in found_in(inner, text)]
    return seen


def unpacked(data: bytes) -> Iterator[bytes]:
    """What every gzip stream in the data holds, also one that is cut off."""
    at = data.find(GZIP)
    while at >= 0:
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj(31).decompress(data[at : at + CHUNK])
        at = data.find(GZIP, at + 1)


def found_below(folder: Path, text: str) -> dict[Path, list[str]]:
    """Files below a folder that hold the text, by relative path; names count too."""
    hits: dict[Path, list[str]] = {}
    for path in folder.rglob("*"):
        seen = ["name"] if text in path.name else []
        if path.is_file() and not path.is_symlink():
            try:
                seen += found_in(path.read_bytes(), text)
            except OSError:
                continue
        if seen:
            hits[path.relative_to(folder)] = seen
    return hits


class ProcessWatch:
    """Reads every process's command line, as `ps` does, again and again until it is closed."""

    def __init__(self, text: str) -> None:
        self._text = text.encode()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.hits: set[bytes] = set()
        self.rounds = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.hits |= {line for line in command_lines() if self._text in line}
            self.rounds += 1


def command_lines() -> Iterator[bytes]:
    """Command lines of all processes, read the short way: it is done all the time."""
    for number in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        try:
            with open(f"/proc/{number}/cmdline", "rb", buffering=0) as file:  # noqa: PTH123
                yield file.read()
        except OSError:
            continue
