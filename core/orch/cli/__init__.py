"""The command line: `main` is the entry; every verb is a file that is read when it is called."""

from __future__ import annotations

import os
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run `orch` and return its exit code; `--version` alone imports nothing."""
    _mend_streams()
    given = sys.argv[1:] if arguments is None else arguments
    if given == ["--version"]:
        from orch.version import __version__

        sys.stdout.write(f"orch {__version__}\n")
        return 0
    try:  # what the first imports take is long enough to be told to end meanwhile
        import gc
        import signal
        from contextlib import suppress

        with suppress(ValueError):  # in another thread than the main one the caller's way stands
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        # A short-lived process makes millions of values and drops none: collecting them only
        # costs. Whatever goes on to talk to a target turns the collector on again, see connect.
        gc.disable()
        from orch.cli.root import run

        return run(given)
    except BaseException as fault:
        from orch.cli.faults import interrupt_of

        if interrupt_of(fault) is None:
            raise
        sys.stderr.write("orch: interrupted; nothing was done\n")
        return 130


def _mend_streams() -> None:
    """A closed stream swallows what it gets; a letter that one can't show becomes a code."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
