"""Where output goes: results to stdout, progress and diagnostics to stderr."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from orch.cli.render.plain import to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orch.cli.render.report import Report

    LazyReport = Report | Callable[[], Report]

FORMS = ("text", "json", "yaml", "markdown", "html")


class ReaderGone(Exception):
    """Whoever read our results has gone; for most verbs nothing is left to do."""


class Out:
    """The two streams of a command, and what each of them can show."""

    def __init__(
        self,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        color: bool | None = None,
    ) -> None:
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        self._environ = os.environ if environ is None else environ
        self._color = color

    @property
    def rich_result(self) -> bool:
        """Whether results are read on a terminal that can move its cursor."""
        return self._capable(self.stdout)

    @property
    def rich_progress(self) -> bool:
        """Whether progress is watched on a terminal that can move its cursor."""
        return self._capable(self.stderr)

    def colored(self, stream: TextIO) -> bool:
        """Whether colours are wanted on this stream."""
        if self._color is False or self._environ.get("NO_COLOR"):
            return False
        return self._capable(stream)

    @property
    def width(self) -> int:
        """Columns of the terminal; 80 when there is none."""
        return shutil.get_terminal_size((80, 24)).columns

    def result(self, report: LazyReport, shape: Any, form: str = "text") -> None:
        """Give a verb's result in the form that was asked for; only that form is made."""
        if form == "text":
            self.show(_made(report))
        elif form == "json":
            self.json(_made(shape))
        else:
            self.write(_document(report, shape, form))

    def tell(self, report: Report) -> None:
        """Show a report on stderr, beside the result; it is no fault when nobody listens."""
        with suppress(ReaderGone):
            self._show(report, self.stderr)

    def show(self, report: Report) -> None:
        """Show a report as text. Raises ReaderGone when nobody reads it."""
        self._show(report, self.stdout)

    def _show(self, report: Report, stream: TextIO) -> None:
        with _reader_watched(stream):
            if self._capable(stream):
                from orch.cli.render.terminal import console, show

                show(report, console(stream, color=self.colored(stream)))
            else:
                stream.write(to_text(report))
            stream.flush()

    def json(self, shape: Any) -> None:
        """Write one JSON document."""
        from pydantic_core import to_json  # ten times as fast as the standard library's

        self.write(to_json(shape, indent=2).decode() + "\n")

    def json_line(self, shape: Any) -> None:
        """Write one line of an event stream."""
        import json

        self.write(json.dumps(shape, ensure_ascii=False) + "\n")

    def write(self, text: str) -> None:
        """Write text to stdout as it is, at once. Raises ReaderGone when nobody reads it."""
        with _reader_watched(self.stdout):
            self.stdout.write(text)
            self.stdout.flush()

    def say(self, text: str) -> None:
        """Tell a person something beside the result; it is no fault when nobody listens."""
        with suppress(ReaderGone), _reader_watched(self.stderr):
            self.stderr.write(text + "\n")
            self.stderr.flush()

    def _capable(self, stream: TextIO) -> bool:
        return stream.isatty() and self._environ.get("TERM", "") not in ("", "dumb")


@contextmanager
def _reader_watched(stream: TextIO) -> Iterator[None]:
    """Turn a broken pipe into ReaderGone; what is still buffered goes nowhere, without a fault."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise ReaderGone from None


def _made(thing: Any) -> Any:
    return thing() if callable(thing) else thing


def _document(report: LazyReport, shape: Any, form: str) -> str:
    if form == "yaml":
        from orch.cli.render.yaml import yaml_text

        return yaml_text(_made(shape))
    if form == "markdown":
        from orch.cli.render.markdown import to_markdown

        return to_markdown(_made(report))
    from orch.cli.render.page import to_html

    return to_html(_made(report))
