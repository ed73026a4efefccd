"""The command line: `program` is the entry; a verb is a file that is read when it is called."""

from __future__ import annotations

import atexit
import os
import sys


def program() -> int:
    """`orch` as a process of its own: run it, and leave without taking the heap apart.

    An interpreter frees every object one by one at its end, which is a tenth of the time of a
    large compile. Threads and whatever is registered with `atexit` are waited for all the same.
    """
    ended: list[int] = []
    atexit.register(_leave, ended)  # the first one registered is the last one called
    code = main()
    ended.append(code)
    return code


def _leave(ended: list[int]) -> None:
    if not ended:
        return  # a fault of our own is on its way, and the interpreter tells it
    code = ended[0]
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except (OSError, ValueError) as fault:
        code = code or _not_written(fault)
    os._exit(code)


def _not_written(fault: OSError | ValueError) -> int:
    """Tell that the output is not whole, past every buffer."""
    from contextlib import suppress

    with suppress(OSError):
        os.write(2, f"orch: the output is not whole: {fault}\n".encode())
    return 1


def main(arguments: list[str] | None = None) -> int:
    """Run `orch` and return its exit code; `--version` alone imports nothing."""
    _mend_streams()
    given = sys.argv[1:] if arguments is None else arguments
    if given == ["--version"]:
        from orch.version import __version__

        try:
            sys.stdout.write(f"orch {__version__}\n")
        except OSError as fault:
            return _not_written(fault)
        return 0
    import gc

    try:
        _interrupts_end_at_once()
    except KeyboardInterrupt:
        _end()
    # A short-lived process makes millions of values and drops none: collecting them only costs.
    # Whatever goes on to talk to a target turns the collector on again, see connect.
    gc.disable()

    from orch.cli.root import run

    return run(given)


def _interrupts_end_at_once() -> None:
    """Until a target is spoken to nothing has to be undone, see connect.

    An interrupt that is raised instead can fall into a callback of an import and be lost there.
    """
    import signal
    from contextlib import suppress

    with suppress(ValueError):  # in another thread than the main one the caller's way stands
        signal.signal(signal.SIGTERM, _end)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as for a job in the background
            signal.signal(signal.SIGINT, _end)


def _end(*_: object) -> None:
    os.write(2, b"orch: interrupted\n")
    os._exit(130)


def _mend_streams() -> None:
    """A closed stream swallows what it gets; a letter that one can't show becomes a code."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
