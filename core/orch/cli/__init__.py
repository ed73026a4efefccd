"""The command line: `main` is the entry; every verb is a file that is read when it is called."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run `orch` and return its exit code; `--version` alone imports nothing."""
    given = sys.argv[1:] if arguments is None else arguments
    if given == ["--version"]:
        from orch.version import __version__

        sys.stdout.write(f"orch {__version__}\n")
        return 0
    import gc

    # A short-lived process makes millions of values and drops none: collecting them only costs.
    # Whatever goes on to talk to a target turns the collector on again, see orch.cli.connect.
    gc.disable()
    from orch.cli.root import run

    return run(given)
